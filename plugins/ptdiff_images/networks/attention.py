"""Attention between pixels or tokens: softmax attention, and linear attention for fine grids.

softmax   out_i = sum_j softmax_j(q_i k_j / sqrt(c)) v_j            quadratic in the number of pixels
linear    out_i = softmax_c(q_i) (sum_j softmax_j(k_j) v_j^T)       linear in it (Shen et al. 2021)
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ptdiff_images.networks.style import Style, zero

HEAD = 32
"""Approximate number of channels per head."""


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention of q (b, h, n, e) to k and v (b, h, m, e), in the dtype of v."""
    if v.device.type != "cpu":
        return functional.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v)
    # on a CPU the fused kernel is several times slower in bfloat16 than in float32
    kind = torch.promote_types(v.dtype, torch.float32)
    with torch.autocast("cpu", enabled=False):
        return functional.scaled_dot_product_attention(q.to(kind), k.to(kind), v.to(kind)).to(v.dtype)


class Attention(nn.Module):
    """Residual self-attention of all pixels; its output starts at zero."""

    def __init__(self, channels: int, style: Style) -> None:
        super().__init__()
        self.heads = next(n for n in range(max(1, channels // HEAD), 0, -1) if channels % n == 0)
        self.norm = style.normalize(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (b, channels, h, w) to the same shape."""
        q, k, v = rearrange(self.qkv(self.norm(x)), "b (n h c) y x -> n b h (y x) c", n=3, h=self.heads)
        y: Tensor = x + self.out(rearrange(self.read(q, k, v), "b h (y x) c -> b (h c) y x", x=x.shape[-1]))
        return y

    def read(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend: q, k and v (b, h, n, c) to what each pixel reads, (b, h, n, c)."""
        return attend(q, k, v)


class LinearAttention(Attention):
    """Self-attention linear in the number of pixels: each pixel reads a summary of all of them."""

    def read(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend: q, k and v (b, h, n, c) to what each pixel reads, (b, h, n, c)."""
        summary = k.softmax(dim=-2).to(v.dtype).transpose(-1, -2) @ v
        return q.softmax(dim=-1).to(v.dtype) @ summary
