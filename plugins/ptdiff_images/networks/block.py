"""Residual block of the U-Net, modulated by the embedding, optionally halving or doubling the size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ptdiff_images.networks.style import Style, zero


class Block(nn.Module):
    """Two convolutions beside the identity; the second is modulated by the embedding and starts at zero.

    resize: a layer without weights that halves or doubles, before the first convolution and on the identity (Brock et
    al. 2019, BigGAN; Dhariwal and Nichol 2021, ADM).
    """

    def __init__(self, channels: int, out: int, embedding: int, style: Style, resize: nn.Module | None = None) -> None:
        super().__init__()
        self.activate, self.resize = style.activate, nn.Identity() if resize is None else resize
        self.norm1, self.conv1 = style.normalize(channels), style.conv(channels, out)
        self.film = nn.Linear(embedding, 2 * out)
        self.norm2, self.drop, self.conv2 = style.normalize(out), style.drop(), zero(style.conv(out, out))
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map x (b, channels, h, w) to (b, out, h, w), or to half or twice the sides."""
        h = self.conv1(self.resize(self.activate(self.norm1(x))))
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(self.drop(self.activate(torch.addcmul(shift, self.norm2(h), 1 + scale))))
        y: Tensor = self.skip(self.resize(x)) + h
        return y
