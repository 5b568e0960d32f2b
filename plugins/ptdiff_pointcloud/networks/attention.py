"""Multi-head attention, among tokens and from some tokens to others.

Normalized queries and keys (Henry et al. 2020) keep logits small enough for 16 bits.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ptdiff_pointcloud.networks.layers import Modulation, mlp, modulate, norm


class Attention(nn.Module):
    """Attention of tokens q (b, n, d) to tokens z (b, m, e): (b, n, d). ValueError unless heads divide width."""

    def __init__(self, width: int, heads: int, source: int | None = None) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.heads = heads
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.pair = nn.Linear(source or width, 2 * width)
        # the temperature, lost by normalizing queries and keys
        self.sharpness = nn.Parameter(self.query.weight.new_ones(heads, 1, width // heads))

    def forward(self, q: Tensor, z: Tensor, present: Tensor | None = None) -> Tensor:
        """Attend to z (b, m, e); present: bool (b, m), its tokens to attend to, None for all."""
        (b, n, d), m = q.shape, z.shape[1]
        queries = self.query(q).view(b, n, self.heads, -1).transpose(1, 2)
        keys, values = self.pair(z).view(b, m, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys = norm(queries) * self.sharpness, norm(keys)
        mask = None if present is None else present[:, None, None]
        read = attend(queries, keys, values, mask)
        out: Tensor = self.out(read.transpose(1, 2).reshape(b, n, d))
        return out


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax attention of q (b, h, n, e) to k and v (b, h, m, e), in the dtype of v."""
    if v.device.type != "cpu":
        return F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, attn_mask=mask)
    # on a CPU the fused kernel is several times slower in bfloat16 than in float32
    kind = torch.promote_types(v.dtype, torch.float32)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q.to(kind), k.to(kind), v.to(kind), attn_mask=mask).to(v.dtype)


class TransformerLayer(nn.Module):
    """Self-attention, then an MLP, both modulated and gated by c, with gates that start at zero (adaLN-zero)."""

    def __init__(self, width: int, heads: int, embedding: int | None = None) -> None:
        super().__init__()
        self.modulation = Modulation(embedding or width, 6, width)
        self.attention, self.mlp = Attention(width, heads), mlp(width, 4)

    def forward(self, z: Tensor, c: Tensor, present: Tensor | None = None) -> Tensor:
        """Map tokens z (b, m, d) to the same shape."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(c)
        y = modulate(z, shift, scale)
        z = z + gate * self.attention(y, y, present)
        out: Tensor = z + mlp_gate * self.mlp(modulate(z, mlp_shift, mlp_scale))
        return out
