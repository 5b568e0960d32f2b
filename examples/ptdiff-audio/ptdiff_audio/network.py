"""A residual network of dilated convolutions on patches of 64 samples, after WaveNet and DiffWave."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from ptdiff.denoiser.embedding import LevelEmbedding

PATCH, DEPTH = 64, 6


class Network(nn.Module):
    """Map sounds (b, 1, length), noise levels (b,) and labels to (b, 1, length)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.level = LevelEmbedding(width, classes)
        # patches overlap, so that their borders are not heard
        self.lift = nn.Conv1d(1, width, 2 * PATCH, stride=PATCH, padding=PATCH // 2)
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in range(DEPTH))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, 2 * width, 3, padding=2**i, dilation=2**i) for i in range(DEPTH)
        )
        self.scales = nn.ModuleList(nn.Linear(width, 2 * width) for _ in range(DEPTH))
        self.mixes = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(DEPTH))
        self.head = nn.ConvTranspose1d(width, 1, 2 * PATCH, stride=PATCH, padding=PATCH // 2)

    def forward(self, x: Tensor, angle: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        """Return y, of the shape of x."""
        level = self.level(angle, cond)
        h = self.lift(x)
        for norm, convolution, scales, mix in zip(self.norms, self.convolutions, self.scales, self.mixes, strict=True):
            gain, shift = scales(level)[..., None].chunk(2, dim=1)
            value, gate = convolution(norm(h) * (1 + gain) + shift).chunk(2, dim=1)
            h = h + mix(value * torch.sigmoid(gate))
        y: Tensor = self.head(h)
        return y
