"""What every backbone is told besides x: the noise level and the class, as one vector per sample.

theta is the noise level as an angle, atan2(sigma, alpha) in [0, pi/2]; finite at both ends, so that neither a logarithm
nor an epsilon is needed.  Its Fourier features are taken in a warped coordinate that spreads the low-noise end.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ptdiff.data import Condition


class LevelEmbedding(nn.Module):
    """theta and, where there are classes, the label to a vector of ``width`` channels.

    A missing ``label`` and the label -1 both select the embedding "not given".
    """

    def __init__(self, width: int, classes: int = 0, octaves: int = 6) -> None:
        super().__init__()
        self.octaves = octaves
        self.mlp = nn.Sequential(nn.Linear(2 * octaves + 2, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, angle: Tensor, cond: Condition) -> Tensor:
        """angle (b,) in [0, pi/2] to (b, width)."""
        u = angle.float() * (2 / math.pi)
        # a quarter power stretches the last, almost clean levels, where fine structure is decided
        base = torch.stack([u, u.sqrt().sqrt()], dim=-1)
        phase = base[:, 1:] * (math.pi * 2.0 ** torch.arange(self.octaves, device=u.device))
        out: Tensor = self.mlp(torch.cat([2 * base - 1, phase.sin(), phase.cos()], dim=-1))
        if self.label is not None:
            label = cond.get("label")
            given = torch.full(u.shape, -1, device=u.device) if label is None else label
            out = out + self.label(given + 1)
        return out
