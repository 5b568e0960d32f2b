"""Videos through an image network (after Ho et al. 2022, "Video Diffusion Models", and Singer et al. 2022).

A video (b, colors, t, h, w) passes as b t images through the layers of an image network, each with the level and class
of its video. Between them its frames interact: a convolution over time follows every block, so that space and time are
convolved in turn (Tran et al. 2018, "(2+1)D"). These convolutions start as the identity, where the network is that of
single images, frame by frame.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ptdiff.modality.data import Condition
from ptdiff_images.networks.style import Style, zero


class OverTime(nn.Module):
    """Residual convolution of each pixel over a frame and its two neighbors; it starts at zero."""

    def __init__(self, channels: int, frames: int, style: Style) -> None:
        super().__init__()
        self.frames, self.activate = frames, style.activate
        self.norm, self.conv = style.normalize(channels), zero(nn.Conv2d(3 * channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map x (b t, channels, h, w) to the same shape; frames before the first and after the last are zero."""
        h = rearrange(self.activate(self.norm(x)), "(b t) c y x -> b t c y x", t=self.frames)
        h = functional.pad(h, (0, 0, 0, 0, 0, 0, 1, 1))
        near = torch.cat([h[:, :-2], h[:, 1:-1], h[:, 2:]], dim=2)
        y: Tensor = x + self.conv(near.flatten(0, 1))
        return y


class Video(nn.Module):
    """``forward(x, angle, cond) -> y`` for videos x (b, colors, t, h, w), by a network for images (b t, ...)."""

    def __init__(self, images: nn.Module) -> None:
        super().__init__()
        self.images = images
        self.self_conditioning = bool(getattr(images, "self_conditioning", False))

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, colors, t, h, w), angle (b,) to y of the shape of x."""
        frames = x.shape[2]
        each = {
            name: _images(value) if name == "estimate" else value.repeat_interleave(frames, dim=0)
            for name, value in cond.items()
        }
        y: Tensor = rearrange(
            self.images(_images(x), angle.repeat_interleave(frames), each), "(b t) c y x -> b c t y x", t=frames
        )
        return y


def _images(x: Tensor) -> Tensor:
    """Flatten videos (b, colors, t, h, w) to their frames (b t, colors, h, w)."""
    return rearrange(x, "b c t y x -> (b t) c y x")
