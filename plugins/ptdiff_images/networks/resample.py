"""Resampling of features by a factor of two; every kind is a layer down and a layer up.

    strided          a convolution of stride 2; nearest neighbors and a convolution
    unshuffle        2 x 2 pixels to channels and a 1 x 1 convolution; the reverse (Shi et al. 2016)
    bilinear         the binomial filter [1, 3, 3, 1] and a convolution, either way: no aliasing (Karras et al. 2022)
    transpose        a convolution of stride 2; a transposed one, a pixel larger
    block            a residual block around means of 2 x 2 pixels, or nearest neighbors (Dhariwal and Nichol 2021)
    bilinear-block   the same with the binomial filter (Song et al. 2021, NCSN++)

[1, 3, 3, 1] / 4 on twice the grid is bilinear interpolation; downwards, [1, 3, 3, 1] / 8 is its adjoint.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptdiff_images.networks.block import Block
from ptdiff_images.networks.options import Resample
from ptdiff_images.networks.style import Style


class Binomial(nn.Module):
    """Halve or double features (b, c, h, w), h and w even, with the filter [1, 3, 3, 1] along both axes."""

    taps: Tensor

    def __init__(self, up: bool, circular: bool) -> None:
        super().__init__()
        self.up, self.mode = up, "circular" if circular else "replicate"
        taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
        self.register_buffer("taps", taps[:, None] * taps, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Resample x; two pixels of the finer grid lie between any two of the coarser one."""
        channels = x.shape[1]
        weight = self.taps.to(x.dtype).expand(channels, 1, 4, 4)
        x = functional.pad(x, (1, 1, 1, 1), mode=self.mode)
        if self.up:
            return functional.conv_transpose2d(x, weight, stride=2, padding=3, groups=channels)
        return functional.conv2d(x, weight, stride=2, groups=channels)


def down(kind: Resample, channels: int, out: int, embedding: int, style: Style) -> nn.Module:
    """Return a layer from (b, channels, h, w) to (b, out, h / 2, w / 2), or a Block that does so.

    embedding: channels of the embedding that a Block takes.
    """
    match kind:
        case "strided" | "transpose":
            return style.conv(channels, out, stride=2)
        case "unshuffle":
            return nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, out, 1))
        case "bilinear":
            return nn.Sequential(Binomial(up=False, circular=style.circular), style.conv(channels, out))
        case "block":
            return Block(channels, out, embedding, style, nn.AvgPool2d(2))
        case "bilinear-block":
            return Block(channels, out, embedding, style, Binomial(up=False, circular=style.circular))


def up(kind: Resample, channels: int, out: int, embedding: int, style: Style) -> nn.Module:
    """Return a layer from (b, channels, h, w) to (b, out, 2 h, 2 w), or a Block that does so.

    embedding: channels of the embedding that a Block takes. ValueError for a circular transposed convolution.
    """
    match kind:
        case "strided":
            return nn.Sequential(nn.Upsample(scale_factor=2.0, mode="nearest"), style.conv(channels, out))
        case "unshuffle":
            return nn.Sequential(nn.Conv2d(channels, 4 * out, 1), nn.PixelShuffle(2))
        case "bilinear":
            return nn.Sequential(Binomial(up=True, circular=style.circular), style.conv(channels, out))
        case "transpose":
            if style.circular:
                raise ValueError("a transposed convolution pads with zeros: circular needs another resample")
            return nn.ConvTranspose2d(channels, out, style.kernel + 1, stride=2, padding=style.kernel // 2)
        case "block":
            return Block(channels, out, embedding, style, nn.Upsample(scale_factor=2.0, mode="nearest"))
        case "bilinear-block":
            return Block(channels, out, embedding, style, Binomial(up=True, circular=style.circular))
