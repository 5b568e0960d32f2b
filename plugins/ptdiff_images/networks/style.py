"""Layers of a U-Net: norm, activation, kernel size, padding, dropout.

Batch normalization is excluded: its statistics mix the samples of a batch, and with them their noise levels, but no
sample may depend on others (ptdiff.testing checks it).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptdiff_images.networks.options import Activation, Norm

ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "silu": functional.silu,
    "gelu": functional.gelu,
    "mish": functional.mish,
    "relu": functional.relu,
    "leaky-relu": lambda x: functional.leaky_relu(x, 0.2),
    "elu": functional.elu,
    "softplus": functional.softplus,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "none": lambda x: x,
}


class ChannelNorm(nn.Module):
    """Channels of each pixel normalized to a mean square of one (Zhang and Sennrich 2019), times a learned gain."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (b, channels, h, w) to the same shape."""
        with torch.autocast(x.device.type, enabled=False):
            y = functional.rms_norm(x.movedim(1, -1), self.gain.shape, self.gain.to(x.dtype))
        return y.movedim(-1, 1)


@dataclass(frozen=True)
class Style:
    """Layers by the options of a network; ``circular`` images have no edges, ``dropout`` is the rate in blocks."""

    norm: Norm = "group"
    activation: Activation = "silu"
    kernel: int = 3
    circular: bool = False
    dropout: float = 0.0

    def normalize(self, channels: int) -> nn.Module:
        """Return the norm: group has at most eight groups, instance one per channel, none is the identity."""
        if self.norm == "none":
            return nn.Identity()
        if self.norm == "rms":
            return ChannelNorm(channels)
        groups = channels if self.norm == "instance" else next(n for n in (8, 4, 2, 1) if channels % n == 0)
        return nn.GroupNorm(groups, channels)

    def activate(self, x: Tensor) -> Tensor:
        """Apply the activation elementwise."""
        return ACTIVATIONS[self.activation](x)

    def drop(self) -> nn.Module:
        """Return dropout, or the identity if its rate is zero."""
        return nn.Dropout(self.dropout) if self.dropout else nn.Identity()

    def conv(self, channels: int, out: int, stride: int = 1) -> nn.Conv2d:
        """Return a convolution of ``kernel`` x ``kernel`` (odd) that keeps the size, or divides it by its stride."""
        edges: Literal["circular", "zeros"] = "circular" if self.circular else "zeros"
        return nn.Conv2d(channels, out, self.kernel, stride, self.kernel // 2, padding_mode=edges)


def zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Set the weights of a layer to zero and return it."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
