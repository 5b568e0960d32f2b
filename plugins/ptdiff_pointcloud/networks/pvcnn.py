"""Points and voxels side by side: a convolution on a grid sees the neighborhood, an MLP the single points.

f: (b, n, d) a feature per point; x: (b, n, 3) their positions. One block (Liu et al. 2019, "PVCNN"; the denoiser of PVD
and LION, here without their hierarchy of centers), its branches modulated and gated by c, with gates that start at
zero:

    f <- f + devoxelize(convolve(voxelize(f)))       two 3^3 convolutions with group norms
    f <- f + mlp([f, mean over the cloud of f])

The grid reaches EXTENT standard deviations from the center; points beyond count as on its faces. Every other block has
a grid half as fine, which sees twice as far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ptdiff_pointcloud.networks.layers import Modulation, modulate
from ptdiff_pointcloud.networks.pooling import pooled
from ptdiff_pointcloud.networks.skeleton import Skeleton
from ptdiff_pointcloud.networks.tokens import Points
from ptdiff_pointcloud.ops import devoxelize, voxelize

EXTENT = 2.5


class PVCNN(Skeleton):
    """``layers`` blocks on a grid of ``resolution`` nodes per side, and of half as many."""

    def __init__(
        self,
        channels: int = 3,
        classes: int = 0,
        *,
        width: int = 48,
        layers: int = 4,
        resolution: int = 12,
        given: Sequence[str] = (),
    ) -> None:
        super().__init__(channels, classes, width, given=given)
        half = max(2, resolution // 2)
        self.blocks = nn.ModuleList(Block(width, half if i % 2 else resolution) for i in range(layers))

    def body(self, f: Tensor, c: Tensor, points: Points) -> Tensor:
        """Map features f (b, n, d) through all blocks."""
        places = points.x[..., :3] / EXTENT
        for block in self.blocks:
            f = block(f, c, places, points.present)
        return f


class Block(nn.Module):
    """The voxels around every point, then the point and the whole cloud."""

    def __init__(self, width: int, resolution: int) -> None:
        super().__init__()
        self.resolution = resolution
        self.modulation = Modulation(width, 6)
        groups = math.gcd(8, width)
        self.convolve = nn.Sequential(
            nn.Conv3d(width, width, 3, padding=1),
            nn.GroupNorm(groups, width),
            nn.SiLU(),
            nn.Conv3d(width, width, 3, padding=1),
            nn.GroupNorm(groups, width),
            nn.SiLU(),
        )
        self.whole = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, f: Tensor, c: Tensor, places: Tensor, present: Tensor | None) -> Tensor:
        """Map f (b, n, d) to the same shape; ``places`` (b, n, 3) in units of the grid."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(c)
        grid = voxelize(places, modulate(f, shift, scale), self.resolution, present)
        # interpolated in float32: coordinates do not survive 16 bits
        near = devoxelize(self.convolve(grid).float(), places)
        f = f + gate * near
        y = modulate(f, mlp_shift, mlp_scale)
        mean = pooled(y, present)[0][:, None].expand_as(y)
        out: Tensor = f + mlp_gate * self.whole(torch.cat([y, mean], dim=-1))
        return out
