"""A transformer on atoms that sees distances, not coordinates: equivariant to rotations, reflections and permutations.

Every layer has three parts:

    pairs       a vector for every two atoms, from their distance (radial functions) and the channels of both
    attention   between all atoms, with a bias from the pairs; the sum of a molecule's pairs is added, because a valence
                counts neighbors, and the mean that attention takes cannot count
    positions   move along the lines to the other atoms, by amounts that the pairs determine (EGNN; Satorras et al.
                2021, eq. 4)

It is dense: a molecule of at most 12 heavy atoms has some 20 atoms, all of which see each other, so a list of edges
would hold every pair, and the scatter operations on such lists are slower on a CPU than products of padded tensors.

The center of mass of the data is zero, but that of noise is not. With c the center of mass of the input,
x = cos x0 + sin eps, c is that of sin eps alone, so the velocity cos eps - sin x0 has exactly the center of mass
c cos / sin. The network adds it instead of learning it; the estimate of x0 then has a center of mass of zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

from ptdiff.denoiser.embedding import LevelEmbedding

if TYPE_CHECKING:
    from ptdiff.modality import Data

RADIAL, PAIR = 24, 32
"""Number of radial functions, and of channels of a pair."""

TOGETHER = 8
"""Number of molecules of similar size that are computed together."""


class DistanceTransformer(nn.Module):
    """A network for sets of atoms, x (b, n, 3 + kinds): positions, then the channels of the elements.

    ``layers``, ``width``, ``heads``: size of the transformer.
    """

    prediction = "velocity"

    def __init__(self, data: Data, layers: int = 5, width: int = 128, heads: int = 8) -> None:
        super().__init__()
        self.level = LevelEmbedding(width, conditions=data.conditions)
        self.inside = nn.Linear(data.shape[-1] - 3, width)
        self.count = nn.Linear(1, width)
        self.layers = nn.ModuleList(_Layer(width, heads) for _ in range(layers))
        self.out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, data.shape[-1] - 3))
        nn.init.zeros_(self.out[-1].weight)

    def forward(self, x: Tensor, angle: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        """The velocity (b, n, 3 + kinds) at x of the same shape and levels ``angle`` (b,)."""
        mask = cond.get("mask", torch.ones(x.shape[:2], dtype=torch.bool, device=x.device))
        level, sizes, y = self.level(angle, cond), mask.sum(dim=1), torch.zeros_like(x)
        # molecules of similar size together: padding costs time, with the square of its size
        for rows in sizes.argsort().split(TOGETHER):
            n = int(sizes[rows].max())
            y[rows, :n] = self._velocity(x[rows, :n], angle[rows], level[rows], mask[rows, :n])
        return y

    def _velocity(self, x: Tensor, angle: Tensor, level: Tensor, mask: Tensor) -> Tensor:
        within = mask[..., None].to(x.dtype)
        count = within.sum(dim=1, keepdim=True)
        center = (x[..., :3] * within).sum(dim=1, keepdim=True) / count
        start = (x[..., :3] - center) * within
        level = level[:, None] + self.count(count / 20 - 1)
        h, at = (self.inside(x[..., 3:]) + level) * within, start
        for layer in self.layers:
            h, at = layer(h, at, silu(level), within)
        moved = (at - start) * within
        moved = moved - moved.sum(dim=1, keepdim=True) / count
        cos, sin = (part[:, None, None] for part in (angle.cos(), angle.sin().clamp(min=1e-4)))
        return torch.cat([moved + center * (cos / sin), self.out(h)], dim=-1) * within


class _Layer(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = (nn.LayerNorm(width, elementwise_affine=False) for _ in range(2))
        self.modulate = nn.Linear(width, 6 * width)
        self.far = nn.Linear(RADIAL, PAIR)
        self.ends = nn.Linear(width, 2 * PAIR, bias=False)
        self.pair = nn.Linear(PAIR, heads + PAIR + 1)
        self.qkv = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width + PAIR, width)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.SiLU(), nn.Linear(3 * width, width))
        for part in (self.modulate, self.join, self.mlp[-1]):
            nn.init.zeros_(part.bias)
        nn.init.normal_(self.modulate.weight, std=0.02)
        with torch.no_grad():
            # positions start where they are
            self.pair.weight[-1].zero_()
            self.pair.bias.zero_()

    def forward(self, h: Tensor, at: Tensor, level: Tensor, within: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale, gate, shift2, scale2, gate2 = self.modulate(level).chunk(6, dim=-1)
        z = self.before(h) * (1 + scale) + shift
        apart = at[:, :, None] - at[:, None]
        distance = (apart.square().sum(dim=-1) + 1e-8).sqrt()
        mine, theirs = self.ends(z).chunk(2, dim=-1)
        pair = silu(self.far(radial(distance)) + mine[:, :, None] + theirs[:, None])
        bias, message, step = self.pair(pair).split([self.heads, PAIR, 1], dim=-1)
        both = within[:, :, None] * within[:, None]
        b, n, width = h.shape
        q, k, v = self.qkv(z).reshape(b, n, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        hidden = bias.permute(0, 3, 1, 2).masked_fill(within[:, None, None, :, 0] == 0, -1e4)
        seen = scaled_dot_product_attention(q, k, v, attn_mask=hidden).transpose(1, 2).reshape(b, n, width)
        counted = (silu(message) * both).sum(dim=2) / 4
        h = h + (1 + gate) * self.join(torch.cat([seen, counted], dim=-1))
        h = h + (1 + gate2) * self.mlp(self.between(h) * (1 + scale2) + shift2)
        pull = step * both / (1 + distance[..., None])
        return h * within, at + (apart * pull).sum(dim=2) / 4


def radial(distance: Tensor) -> Tensor:
    """Radial functions of distances in model units, (…, RADIAL): Gaussians in exp(-d), finer for close atoms.

    From PhysNet (Unke and Meuwly 2019, eq. 7).
    """
    centers = torch.linspace(0, 1, RADIAL, device=distance.device, dtype=distance.dtype)
    return torch.exp(-(((torch.exp(-distance)[..., None] - centers) * (RADIAL / 1.5)) ** 2))
