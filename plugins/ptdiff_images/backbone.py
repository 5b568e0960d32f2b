"""A small U-Net for images of any size (Ronneberger et al. 2015; Ho et al. 2020), told level and class.

Two resolutions: a patch of pixels is folded into channels until at most 16 pixels a side are left, then once
more by a strided convolution, where attention sees the whole image.

    x -> fold -> conv -> blocks -+-------------------------------------> cat -> blocks -> conv -> unfold -> y
                                 +-> stride 2 -> blocks, attention -> nearest, conv -+

Images whose sides do not divide are padded right and below by repeating their edge, and cut at the end.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ptdiff.data import Condition
from ptdiff.embedding import LevelEmbedding

_FINEST = 16


class Block(nn.Module):
    """Two 3 x 3 convolutions beside the identity, the second one told the embedding and zero at the start."""

    def __init__(self, channels: int, out: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = _norm(channels)
        self.conv1 = nn.Conv2d(channels, out, 3, padding=1)
        self.film = nn.Linear(embedding, 2 * out)
        self.norm2 = _norm(out)
        self.conv2 = _zero(nn.Conv2d(out, out, 3, padding=1))
        self.skip = nn.Identity() if channels == out else nn.Conv2d(channels, out, 1)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x (b, channels, h, w) to (b, out, h, w)."""
        h = self.conv1(functional.silu(self.norm1(x)))
        scale, shift = self.film(embedding)[:, :, None, None].chunk(2, dim=1)
        h = self.conv2(functional.silu(torch.addcmul(shift, self.norm2(h), 1 + scale)))
        y: Tensor = self.skip(x) + h
        return y


class Attention(nn.Module):
    """Self-attention of all pixels beside the identity; it starts at zero."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // 32)
        self.norm = _norm(channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = _zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x (b, channels, h, w) to the same shape."""
        q, k, v = rearrange(self.qkv(self.norm(x)), "b (n h c) y x -> n b h (y x) c", n=3, h=self.heads)
        seen = functional.scaled_dot_product_attention(q, k, v)
        y: Tensor = x + self.out(rearrange(seen, "b h (y x) c -> b (h c) y x", x=x.shape[-1]))
        return y


class Stage(nn.Module):
    """``depth`` blocks at one resolution, each followed by attention where that is asked for."""

    def __init__(self, channels: int, out: int, embedding: int, depth: int, attention: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(channels if n == 0 else out, out, embedding) for n in range(depth))
        self.attention = nn.ModuleList(Attention(out) if attention else nn.Identity() for _ in range(depth))

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """x (b, channels, h, w) to (b, out, h, w)."""
        for block, attention in zip(self.blocks, self.attention, strict=True):
            x = attention(block(x, embedding))
        return x


class UNet(nn.Module):
    """``forward(x, angle, cond) -> y`` for images x (b, *shape) with shape (colors, height, width)."""

    def __init__(self, shape: tuple[int, int, int], channels: int, depth: int = 2, classes: int = 0) -> None:
        super().__init__()
        colors, height, width = shape
        self.patch = -(-max(height, width) // _FINEST)
        embedding = 4 * channels
        self.embedding = LevelEmbedding(embedding, classes)
        self.first = nn.Conv2d(colors * self.patch**2, channels, 3, padding=1)
        self.down = Stage(channels, channels, embedding, depth, attention=False)
        self.shrink = nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1)
        self.middle = Stage(2 * channels, 2 * channels, embedding, depth, attention=True)
        self.grow = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.up = Stage(2 * channels, channels, embedding, depth, attention=False)
        self.norm = _norm(channels)
        self.last = _zero(nn.Conv2d(channels, colors * self.patch**2, 3, padding=1))

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """x (b, colors, height, width), angle (b,) to y of the shape of x."""
        height, width = x.shape[-2:]
        step = 2 * self.patch
        # the edge repeated: zero is no color in particular
        x = functional.pad(x, (0, -width % step, 0, -height % step), mode="replicate")
        embedding = functional.silu(self.embedding(angle, cond))
        fine = self.down(self.first(functional.pixel_unshuffle(x, self.patch)), embedding)
        coarse = self.middle(self.shrink(fine), embedding)
        back = self.grow(functional.interpolate(coarse, scale_factor=2.0, mode="nearest"))
        h = self.up(torch.cat([fine, back], dim=1), embedding)
        y = functional.pixel_shuffle(self.last(functional.silu(self.norm(h))), self.patch)
        return y[..., :height, :width]


def _norm(channels: int) -> nn.GroupNorm:
    groups = next(n for n in (8, 4, 2, 1) if channels % n == 0)
    return nn.GroupNorm(groups, channels)


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
