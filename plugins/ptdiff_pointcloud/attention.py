"""Multi-head attention, among tokens and from some tokens to others.

Queries and keys are normalized (Henry et al. 2020), which keeps logits small where 16 bits would not hold them.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ptdiff_pointcloud.layers import Modulation, mlp, modulate, norm


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
        queries, keys = norm(queries) * self.sharpness.to(queries.dtype), norm(keys)
        mask = None if present is None else present[:, None, None]
        read = F.scaled_dot_product_attention(queries.to(values.dtype), keys.to(values.dtype), values, attn_mask=mask)
        out: Tensor = self.out(read.transpose(1, 2).reshape(b, n, d))
        return out


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
