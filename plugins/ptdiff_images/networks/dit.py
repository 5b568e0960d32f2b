"""A transformer on image patches (Dosovitskiy et al. 2021), conditioned on level and class in every layer.

Blocks as in Peebles and Xie 2023 (DiT, adaLN-zero): attention, then an MLP, each after a norm with shift and scale from
the embedding, and multiplied by a gate that starts at zero. Positions are fixed sines and cosines of row and column.

z: (b, n, d) tokens; c: (b, d) embedding of noise level and class, activated.
"""

from __future__ import annotations

import math

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from ptdiff.denoiser.embedding import Frequencies
from ptdiff.modality.data import Condition
from ptdiff_images.networks.attention import attend
from ptdiff_images.networks.inputs import Shape, Told, padded, patch_of, with_estimate


def positions(height: int, width: int, channels: int) -> Tensor:
    """Return sines and cosines of the rows and columns of a grid, (height * width, channels); 4 divides channels.

    Wavelengths are spaced logarithmically from 2 pi to 20,000 pi (Vaswani et al. 2017).
    """
    frequency = torch.exp(-math.log(1e4) * torch.arange(channels // 4) / (channels // 4))
    row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    phase = torch.stack([row.flatten(), column.flatten()], dim=1)[:, :, None] * frequency
    return torch.cat([phase.sin(), phase.cos()], dim=2).flatten(1)


def modulated(z: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalize each token of z, multiply by 1 + scale and add shift."""
    return torch.addcmul(shift, functional.layer_norm(z, z.shape[-1:]), 1 + scale)


class Modulation(nn.Module):
    """Map c (b, d) to ``parts`` shifts, scales or gates (b, 1, d), all zero at the start."""

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.parts, self.linear = parts, zero_linear(width, parts * width)

    def forward(self, c: Tensor) -> tuple[Tensor, ...]:
        """Return the parts for c (b, d), already activated."""
        parts: tuple[Tensor, ...] = self.linear(c)[:, None].chunk(self.parts, dim=-1)
        return parts


class Layer(nn.Module):
    """Self-attention of all tokens, then an MLP, with dropout after each."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.modulation = heads, Modulation(width, 6)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))
        # normalized queries and keys (Henry et al. 2020) keep logits small in 16 bits
        self.sharpness = nn.Parameter(torch.ones(heads, 1, width // heads))
        self.drop = nn.Dropout(dropout) if dropout else nn.Identity()

    def forward(self, z: Tensor, c: Tensor) -> Tensor:
        """Map tokens z (b, n, d) to the same shape."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(c)
        q, k, v = rearrange(self.qkv(modulated(z, shift, scale)), "b n (p h e) -> p b h n e", p=3, h=self.heads)
        q, k = (functional.layer_norm(each, each.shape[-1:]) for each in (q, k))
        z = z + gate * self.drop(self.out(rearrange(attend(q * self.sharpness, k, v), "b h n e -> b n (h e)")))
        out: Tensor = z + mlp_gate * self.drop(self.mlp(modulated(z, mlp_shift, mlp_scale)))
        return out


class DiT(nn.Module):
    """``forward(x, angle, cond) -> y`` for images x (b, *shape): at most ``finest`` tokens along either side.

    ValueError unless 4 and heads divide width.
    """

    positions: Tensor

    def __init__(
        self,
        shape: Shape,
        classes: int = 0,
        augment: int = 0,
        *,
        width: int = 128,
        layers: int = 6,
        heads: int = 4,
        finest: int = 8,
        embedding: Frequencies = "positional",
        dropout: float = 0.0,
        self_conditioning: bool = False,
    ) -> None:
        super().__init__()
        if width % 4 or width % heads:
            raise ValueError(f"width must be a multiple of 4 and of heads, not {width} with {heads} heads")
        self.patch, self.self_conditioning = patch_of(shape, finest), self_conditioning
        folded = shape[0] * self.patch**2
        grid = [-(-side // self.patch) for side in shape[1:]]
        self.register_buffer("positions", positions(grid[0], grid[1], width), persistent=False)
        self.told = Told(width, classes, augment, embedding)
        self.lift = nn.Linear(folded * (2 if self_conditioning else 1), width)
        self.layers = nn.ModuleList(Layer(width, heads, dropout) for _ in range(layers))
        self.modulation, self.head = Modulation(width, 2), zero_linear(width, folded)

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, colors, height, width), angle (b,) to y of the shape of x."""
        height, width = x.shape[-2:]
        grid = padded(with_estimate(x, cond) if self.self_conditioning else x, self.patch)
        columns = grid.shape[-1] // self.patch
        patches = rearrange(functional.pixel_unshuffle(grid, self.patch), "b c y x -> b (y x) c")
        c = self.told(angle, cond)
        z = self.lift(patches) + self.positions
        for layer in self.layers:
            z = layer(z, c)
        y = rearrange(self.head(modulated(z, *self.modulation(c))), "b (y x) c -> b c y x", x=columns)
        return functional.pixel_shuffle(y, self.patch)[..., :height, :width]


def zero_linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer initialized to zero."""
    linear = nn.Linear(inputs, outputs)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear
