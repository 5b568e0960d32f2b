"""A U-Net for images of any size (Ronneberger et al. 2015; Ho et al. 2020), with level, class and augmentation.

Patches of pixels are folded into channels until at most ``finest`` per side are left; from there every resolution has
half the side of the previous one. At each, ``layers`` blocks on the way down and as many on the way up:

    x -> fold -> conv -> blocks -+------------------------------------------> cat -> blocks -> conv -> unfold -> y
                                 +-> down -> blocks -+-> … -> cat -> blocks -> up -+

The image may be carried beside the features (module ``pyramid``). Images whose sides are not divisible are padded at
the right and the bottom by repeating their edge, and cropped at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptdiff.denoiser.embedding import Frequencies
from ptdiff.modality.data import Condition
from ptdiff_images.networks import resample as resampling
from ptdiff_images.networks.attention import Attention, LinearAttention
from ptdiff_images.networks.block import Block
from ptdiff_images.networks.inputs import Shape, Told, padded, patch_of, with_estimate
from ptdiff_images.networks.options import Decoder, Encoder, Resample
from ptdiff_images.networks.pyramid import inlets, outlets
from ptdiff_images.networks.style import Style, zero
from ptdiff_images.networks.video import OverTime


class Stage(nn.Module):
    """``layers`` blocks at one resolution, each followed by attention and, for videos, by a convolution over time."""

    def __init__(
        self,
        channels: int,
        out: int,
        embedding: int,
        layers: int,
        attention: type[Attention] | None,
        style: Style,
        frames: int | None,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(out if n else channels, out, embedding, style) for n in range(layers))
        self.attention = nn.ModuleList(
            nn.Identity() if attention is None else attention(out, style) for _ in range(layers)
        )
        self.time = nn.ModuleList(
            nn.Identity() if frames is None else OverTime(out, frames, style) for _ in range(layers)
        )

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Map x (b, channels, h, w) to (b, out, h, w)."""
        for block, attention, time in zip(self.blocks, self.attention, self.time, strict=True):
            x = time(attention(block(x, embedding)))
        return x


class UNet(nn.Module):
    """``forward(x, angle, cond) -> y`` for images x (b, *shape) with shape (colors, height, width).

    multipliers: the channels of each resolution, finest first, in units of ``width``.
    attention: number of the coarsest resolutions with softmax attention.
    linear_attention: use linear attention at the others.
    frames: the images are frames of videos of this length, in turn, and see each other (module ``video``).
    ValueError if ``circular`` images do not divide into patches as often as they are halved, or are too small for the
    kernel.
    """

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        augment: int = 0,
        *,
        width: int = 32,
        layers: int = 2,
        multipliers: Sequence[int] = (1, 2),
        finest: int = 16,
        attention: int = 1,
        linear_attention: bool = False,
        resample: Resample = "strided",
        encoder: Encoder = "standard",
        decoder: Decoder = "standard",
        embedding: Frequencies = "positional",
        self_conditioning: bool = False,
        style: Style | None = None,
        frames: int | None = None,
    ) -> None:
        super().__init__()
        style = Style() if style is None else style
        self.patch = patch_of(shape, finest)
        self.step = self.patch * 2 ** (len(multipliers) - 1)
        if style.circular and any(side % self.step for side in shape[1:]):
            raise ValueError(f"circular images need sides divisible by {self.step}, not {shape[1]} x {shape[2]}")
        if style.circular and min(shape[1:]) // self.step < style.kernel // 2:
            raise ValueError(f"circular images of {shape[1]} x {shape[2]} are too small for a kernel of {style.kernel}")
        self.self_conditioning, self.activate = self_conditioning, style.activate
        told, folded = 4 * width, shape[0] * self.patch**2
        sizes = [width * m for m in multipliers]
        kinds = [
            Attention if len(sizes) - n <= attention else LinearAttention if linear_attention else None
            for n in range(len(sizes))
        ]

        def stage(channels: int, n: int) -> Stage:
            return Stage(channels, sizes[n], told, layers, kinds[n], style, frames)

        *fine, last = range(len(sizes))
        self.told = Told(told, classes, augment, embedding)
        seen = folded * (2 if self_conditioning else 1)
        self.first, self.inlets = style.conv(seen, sizes[0]), inlets(encoder, seen, sizes, style)
        self.down = nn.ModuleList(stage(sizes[n], n) for n in fine)
        self.shrink = nn.ModuleList(resampling.down(resample, sizes[n], sizes[n + 1], told, style) for n in fine)
        self.middle = stage(sizes[last], last)
        self.grow = nn.ModuleList(resampling.up(resample, sizes[n + 1], sizes[n], told, style) for n in fine)
        self.up = nn.ModuleList(stage(2 * sizes[n], n) for n in fine)
        self.outlets = outlets(decoder, folded, sizes, style)
        self.norm = style.normalize(sizes[0])
        self.last = zero(style.conv(sizes[0], folded))

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, colors, height, width), angle (b,) to y of the shape of x."""
        height, width = x.shape[-2:]
        seen = padded(with_estimate(x, cond) if self.self_conditioning else x, self.step)
        embedding, image = self.told(angle, cond), functional.pixel_unshuffle(seen, self.patch)
        h, passed, drawn = self.first(image), [], None
        for stage, shrink, inlet in zip(self.down, self.shrink, self.inlets, strict=True):
            h = stage(h, embedding)
            passed.append(h)
            h, image = inlet(_resampled(shrink, h, embedding), image)
        h = self.middle(h, embedding)
        for stage, grow, outlet in zip(*map(reversed, (self.up, self.grow, self.outlets)), strict=True):
            drawn = outlet(h, drawn)
            h = stage(torch.cat([passed.pop(), _resampled(grow, h, embedding)], dim=1), embedding)
        y = self.last(self.activate(self.norm(h)))
        return functional.pixel_shuffle(y if drawn is None else y + drawn, self.patch)[..., :height, :width]


def _resampled(layer: nn.Module, h: Tensor, embedding: Tensor) -> Tensor:
    """Apply a resampling layer to h; blocks also take the embedding."""
    out: Tensor = layer(h, embedding) if isinstance(layer, Block) else layer(h)
    return out
