"""What the denoisers of points share: Fourier features, norms modulated by the condition, layers that begin at zero.

x: (b, n, k) coordinates; f: (b, n, d) features; c: (b, d) noise level and class, already activated.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Modulation(nn.Module):
    """c (b, d) to ``parts`` shifts, scales or gates (b, 1, channels), all zero at first; channels are d or given."""

    def __init__(self, width: int, parts: int, channels: int | None = None) -> None:
        super().__init__()
        self.parts = parts
        self.linear = zero_linear(width, parts * (channels or width))

    def forward(self, c: Tensor) -> tuple[Tensor, ...]:
        """c (b, d), already activated."""
        parts: tuple[Tensor, ...] = self.linear(c)[:, None].chunk(self.parts, dim=-1)
        return parts


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """A linear layer that begins as zero."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


def mlp(width: int, ratio: int) -> nn.Sequential:
    """Two layers with ``ratio`` times the width between them."""
    return nn.Sequential(nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width))


def norm(x: Tensor) -> Tensor:
    """Each token to mean 0 and variance 1; sums are taken in float32 whatever the type of x."""
    return F.layer_norm(x, x.shape[-1:])


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """norm(x) (1 + scale) + shift."""
    return torch.addcmul(shift, norm(x), 1 + scale)


def fourier(x: Tensor, octaves: int) -> Tensor:
    """Coordinates (b, n, k), then their sines and cosines at ``octaves`` frequencies."""
    frequency = math.pi / 4 * 2.0 ** torch.arange(octaves, device=x.device)
    phase = (x[..., None] * frequency).flatten(-2)
    return torch.cat([x, phase.sin(), phase.cos()], dim=-1)
