"""What every backbone is told besides x: the noise level and the class, as one vector per sample.

theta is the noise level as an angle, atan2(sigma, alpha) in [0, pi/2]; finite at both ends, so that neither a logarithm
nor an epsilon is needed.  Its Fourier features are the sines and cosines of pi f w, with w the angle in a warped
coordinate in [0, 1], which spreads the low-noise end, and frequencies f:

    positional   octaves, 1, 2, 4, … (Vaswani et al. 2017; Mildenhall et al. 2020)
    fourier      normal of deviation 16 in whole turns, as NCSN++ draws them (Song et al. 2021; Tancik et al. 2020), but
                 at the quantiles of that distribution: the same in every run, and nearer to it than draws
    learned      octaves at first, then whatever training makes of them
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from ptdiff.modality.data import Condition

Frequencies = Literal["positional", "fourier", "learned"]

_COUNT, _DEVIATION = 64, 16
"""Frequencies of ``fourier``, and their deviation in turns."""


class LevelEmbedding(nn.Module):
    """theta and, where there are classes, the label to a vector of ``width`` channels.

    A missing ``label`` and the label -1 both select the embedding "not given".
    octaves: how many, for ``positional`` and ``learned`` frequencies.
    """

    frequency: Tensor

    def __init__(self, width: int, classes: int = 0, octaves: int = 6, frequencies: Frequencies = "positional") -> None:
        super().__init__()
        if frequencies == "fourier":
            # a sine of -f says what one of f says: the upper half of the distribution is enough
            share = (torch.arange(_COUNT) + 0.5) / _COUNT
            frequency = 2 * _DEVIATION * torch.special.ndtri((1 + share) / 2)
        else:
            frequency = 2.0 ** torch.arange(octaves)
        if frequencies == "learned":
            self.frequency = nn.Parameter(frequency)
        else:
            # no part of checkpoints: an average after the fact would change it
            self.register_buffer("frequency", frequency, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * len(frequency) + 2, width), nn.SiLU(), nn.Linear(width, width))
        self.label = nn.Embedding(classes + 1, width) if classes else None

    def forward(self, angle: Tensor, cond: Condition) -> Tensor:
        """angle (b,) in [0, pi/2] to (b, width)."""
        u = angle.float() * (2 / math.pi)
        # a quarter power stretches the last, almost clean levels, where fine structure is decided
        base = torch.stack([u, u.sqrt().sqrt()], dim=-1)
        phase = base[:, 1:] * (math.pi * self.frequency)
        out: Tensor = self.mlp(torch.cat([2 * base - 1, phase.sin(), phase.cos()], dim=-1))
        if self.label is not None:
            label = cond.get("label")
            given = torch.full(u.shape, -1, device=u.device) if label is None else label
            out = out + self.label(given + 1)
        return out
