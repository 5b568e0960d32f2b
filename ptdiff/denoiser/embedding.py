"""Embedding of the noise level and the conditions: one vector per sample, an input of every backbone.

The noise level enters as the angle theta = atan2(sigma, alpha) in [0, pi/2].  It is finite at both ends, so neither a
logarithm nor an epsilon is needed.  Its Fourier features are the sines and cosines of pi f w, where w in [0, 1] is the
angle in a warped coordinate that stretches the low-noise end, and f are the frequencies:

    positional   octaves, 1, 2, 4, … (Vaswani et al. 2017; Mildenhall et al. 2020)
    fourier      normal with a standard deviation of 16 in whole turns, as in NCSN++ (Song et al. 2021; Tancik et al.
                 2020), but placed at the quantiles: the same in every run, and closer to the distribution than draws
    learned      parameters of the network, initialized to the octaves

Each condition adds a vector: a class its row of a table; numbers and vectors, scaled to unit variance, pass through two
layers with the sines and cosines of their first octaves.  "Not given" is a row of the table, or the bias of the layers.

A flow map (:mod:`ptdiff.denoiser.target_level`) also reads the angle it walks to, ``cond["to"]`` (b,) in [0, theta].
Its features, and those of the way between both, pass through two layers, the second of which begins at zero.  Without
``cond["to"]``, the map stays where it is: the angle is theta.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from ptdiff.modality.conditions import Category, Kind, Number, Vector, absent, is_given
from ptdiff.modality.data import Condition

Frequencies = Literal["positional", "fourier", "learned"]

_COUNT, _DEVIATION = 64, 16
"""Number of ``fourier`` frequencies, and their standard deviation in turns."""
_WAY = 5
"""Number of octaves of the angle that a flow map walks to, and of the way there."""


class _ValueEmbedding(nn.Module):
    """Embed a number or vector, (b, …), NaN for samples without, as (b, width)."""

    def __init__(self, width: int, kind: Number | Vector, octaves: int = 4) -> None:
        super().__init__()
        self.kind, self.octaves = kind, octaves
        size = math.prod(kind.shape)
        self.mlp = nn.Sequential(nn.Linear(1 + size * (1 + 2 * octaves), width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, value: Tensor) -> Tensor:
        known = is_given(value)[:, None]
        z = ((value.float() - self.kind.mean) / self.kind.scale).reshape(len(value), -1)
        z = torch.where(known, z, 0.0)
        phases = [z * 2.0**k for k in range(self.octaves)]
        features = torch.cat([torch.ones_like(z[:, :1]), z, *map(torch.sin, phases), *map(torch.cos, phases)], dim=1)
        out: Tensor = self.mlp(features * known)
        return out


class LevelEmbedding(nn.Module):
    """Embed theta and the conditions of the data in a vector of ``width`` channels.

    ``width``: number of output channels.
    ``classes``: number of classes.  A missing ``label`` and the label -1 both select the embedding for "not given".
    ``octaves``: number of ``positional`` or ``learned`` frequencies.
    ``frequencies``: see :mod:`ptdiff.denoiser.embedding`.
    ``conditions``: :attr:`ptdiff.modality.data.Data.conditions`; a missing one and NaN or -1 mean "not given".
    """

    frequency: Tensor

    def __init__(
        self,
        width: int,
        classes: int = 0,
        octaves: int = 6,
        frequencies: Frequencies = "positional",
        conditions: Mapping[str, Kind] | None = None,
    ) -> None:
        super().__init__()
        if frequencies == "fourier":
            # sin(-f) = -sin(f) adds no information: the upper half of the distribution is enough
            share = (torch.arange(_COUNT) + 0.5) / _COUNT
            frequency = 2 * _DEVIATION * torch.special.ndtri((1 + share) / 2)
        else:
            frequency = 2.0 ** torch.arange(octaves)
        if frequencies == "learned":
            self.frequency = nn.Parameter(frequency)
        else:
            # not in checkpoints: post-hoc averages, whose coefficients sum to 1 only roughly, would change it
            self.register_buffer("frequency", frequency, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * len(frequency) + 2, width), nn.SiLU(), nn.Linear(width, width))
        self.width = width
        self.target: nn.Sequential | None = None
        self.label = nn.Embedding(classes + 1, width) if classes else None
        self.kinds = dict(conditions or {})
        self.others = nn.ModuleDict(
            {
                name: nn.Embedding(len(kind.names) + 1, width)
                if isinstance(kind, Category)
                else _ValueEmbedding(width, kind)
                for name, kind in self.kinds.items()
            }
        )

    def read_target(self) -> None:
        """Add the layers that read ``cond["to"]``; the output stays the same until they are trained."""
        last = nn.Linear(self.width, self.width)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.target = nn.Sequential(nn.Linear(3 + 4 * _WAY, self.width), nn.SiLU(), last)
        self.target.to(next(self.mlp.parameters()).device)

    def _way(self, u: Tensor, to: Tensor | None) -> Tensor:
        # smooth in ``to`` up to zero, because losses of flow maps differentiate it
        s = u if to is None else to.float() * (2 / math.pi)
        octaves = math.pi * 2.0 ** torch.arange(_WAY, device=u.device)
        phase = torch.cat([s[:, None] * octaves, (u - s)[:, None] * octaves], dim=-1)
        ends = torch.stack([2 * s - 1, u - s, torch.log1p(50 * s)], dim=-1)
        return torch.cat([ends, phase.sin(), phase.cos()], dim=-1)

    def forward(self, angle: Tensor, cond: Condition) -> Tensor:
        """Embed ``angle`` (b,) in [0, pi/2] and the given conditions as (b, width)."""
        u = angle.float() * (2 / math.pi)
        # the fourth root stretches the almost clean levels, where fine structure is decided
        base = torch.stack([u, u.sqrt().sqrt()], dim=-1)
        phase = base[:, 1:] * (math.pi * self.frequency)
        out: Tensor = self.mlp(torch.cat([2 * base - 1, phase.sin(), phase.cos()], dim=-1))
        if self.target is not None:
            out = out + self.target(self._way(u, cond.get("to")))
        if self.label is not None:
            label = cond.get("label")
            given = torch.full(u.shape, -1, device=u.device) if label is None else label
            out = out + self.label(given + 1)
        for name, kind in self.kinds.items():
            value = cond[name] if name in cond else absent(kind, len(u)).to(u.device)
            out = out + self.others[name](value + 1 if isinstance(kind, Category) else value)
        return out
