"""A residual multi-layer perceptron for points and for rows of a table.

    h <- h + Linear(silu(s * norm(h) + b))         in each block

s and b come from the noise level and the class (FiLM, Perez et al. 2018) and are shared by the blocks, which in
measurements learned as well as a pair for each block, in two thirds of the time. The first layer sees the coordinates
and, for points, a few of their Fourier features (Tancik et al. 2020), because distributions in the plane have sharp
edges.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.modality.data import Condition

_EMBEDDING = 32
_OCTAVES = 3
_POINTS = 3


class ResidualMLP(nn.Module):
    """``forward(x, angle, cond) -> y`` for x (b, dim)."""

    def __init__(self, dim: int, width: int, blocks: int, classes: int = 0) -> None:
        super().__init__()
        self.embedding = LevelEmbedding(_EMBEDDING, classes)
        self.film = nn.Linear(_EMBEDDING, 2 * width)
        self.octaves = _OCTAVES if dim <= _POINTS else 0
        self.first = nn.Linear(dim * (1 + 2 * self.octaves), width)
        self.blocks = nn.ModuleList(nn.Linear(width, width) for _ in range(blocks))
        self.last = nn.Linear(width, dim)
        # the first prediction is zero, the mean of the target
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, dim), angle (b,) to y (b, dim)."""
        scale, shift = self.film(functional.silu(self.embedding(angle, cond))).chunk(2, dim=-1)
        scale = 1 + scale
        h = self.first(_features(x, self.octaves) if self.octaves else x)
        for block in self.blocks:
            h = h + block(functional.silu(torch.addcmul(shift, _norm(h), scale)))
        y: Tensor = self.last(functional.silu(_norm(h)))
        return y


def _norm(h: Tensor) -> Tensor:
    return functional.layer_norm(h, h.shape[-1:])


def _features(x: Tensor, octaves: int) -> Tensor:
    # periods of 8 standard deviations, wider than data and noise, and its octaves
    frequency = math.pi / 4 * 2.0 ** torch.arange(octaves, device=x.device, dtype=x.dtype)
    phase = (x[..., None] * frequency).flatten(-2)
    return torch.cat([x, phase.sin(), phase.cos()], dim=-1)
