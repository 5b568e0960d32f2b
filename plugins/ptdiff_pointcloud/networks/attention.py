"""Multi-head attention, among tokens and from some tokens to others.

Queries and keys are normalized (Henry et al. 2020), which keeps logits small where 16 bits would not hold them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ptdiff_pointcloud.networks.layers import Modulation, mlp, modulate, norm


class Attention(nn.Module):
    """What tokens q (b, n, d) read from tokens z (b, m, e): (b, n, d)."""

    def __init__(self, width: int, heads: int, source: int | None = None) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.heads = heads
        self.query, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.pair = nn.Linear(source or width, 2 * width)
        # the temperature, which normalized queries and keys have lost
        self.sharpness = nn.Parameter(self.query.weight.new_ones(heads, 1, width // heads))

    def forward(self, q: Tensor, z: Tensor, present: Tensor | None = None) -> Tensor:
        """present: bool (b, m), the tokens of z that are there; None for all."""
        (b, n, d), m = q.shape, z.shape[1]
        queries = self.query(q).view(b, n, self.heads, -1).transpose(1, 2)
        keys, values = self.pair(z).view(b, m, 2, self.heads, -1).permute(2, 0, 3, 1, 4)
        queries, keys = norm(queries) * self.sharpness, norm(keys)
        mask = None if present is None else present[:, None, None]
        read = attend(queries, keys, values, mask)
        out: Tensor = self.out(read.transpose(1, 2).reshape(b, n, d))
        return out


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Softmax attention of q (b, h, n, e) to k and v (b, h, m, e), in the type of v."""
    if v.device.type != "cpu":
        return F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, attn_mask=mask)
    # on a CPU the fused kernel is several times slower in bfloat16 than in float32
    kind = torch.promote_types(v.dtype, torch.float32)
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(q.to(kind), k.to(kind), v.to(kind), attn_mask=mask).to(v.dtype)


class TransformerLayer(nn.Module):
    """Attention among tokens, then an MLP, both modulated by c and gated, gates zero at first (adaLN-zero)."""

    def __init__(self, width: int, heads: int, embedding: int | None = None) -> None:
        super().__init__()
        self.modulation = Modulation(embedding or width, 6, width)
        self.attention, self.mlp = Attention(width, heads), mlp(width, 4)

    def forward(self, z: Tensor, c: Tensor, present: Tensor | None = None) -> Tensor:
        """Tokens z (b, m, d) one layer further."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(c)
        y = modulate(z, shift, scale)
        z = z + gate * self.attention(y, y, present)
        out: Tensor = z + mlp_gate * self.mlp(modulate(z, mlp_shift, mlp_scale))
        return out
