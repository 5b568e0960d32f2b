"""Layers shared by the denoisers of points: Fourier features, modulated norms, layers that start at zero.

x: (b, n, k) coordinates; f: (b, n, d) features; c: (b, d) noise level and class, already activated.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Modulation(nn.Module):
    """Map c (b, d) to ``parts`` shifts, scales or gates (b, 1, channels), zero at the start; channels defaults to d."""

    def __init__(self, width: int, parts: int, channels: int | None = None) -> None:
        super().__init__()
        self.parts = parts
        self.linear = zero_linear(width, parts * (channels or width))

    def forward(self, c: Tensor) -> tuple[Tensor, ...]:
        """Return the parts for c (b, d), already activated."""
        parts: tuple[Tensor, ...] = self.linear(c)[:, None].chunk(self.parts, dim=-1)
        return parts


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer initialized to zero."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def mlp(width: int, ratio: int) -> nn.Sequential:
    """Return an MLP of two layers with ``ratio`` times the width between them."""
    return nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))


def norm(x: Tensor) -> Tensor:
    """Normalize each token to mean 0 and variance 1; sums are taken in float32 whatever the dtype of x."""
    return F.layer_norm(x, x.shape[-1:])


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Return norm(x) (1 + scale) + shift."""
    return torch.addcmul(shift, norm(x), 1 + scale)


def fourier(x: Tensor, octaves: int) -> Tensor:
    """Append sines and cosines at ``octaves`` frequencies to coordinates (b, n, k)."""
    frequency = math.pi / 4 * 2.0 ** torch.arange(octaves, device=x.device)
    phase = (x[..., None] * frequency).flatten(-2)
    return torch.cat([x, phase.sin(), phase.cos()], dim=-1)
