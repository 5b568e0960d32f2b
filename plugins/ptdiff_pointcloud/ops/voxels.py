"""From points to a grid and back: averages of the points near each node, and trilinear interpolation.

The grid has r^3 nodes, evenly spaced on [-1, 1]^3 (the outermost ones on its faces). Points outside the cube count as
on its faces. The axes of a grid (b, c, r, r, r) are the coordinates x, y, z in this order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ptdiff_pointcloud.ops.neighbors import check_clouds


def voxelize(x: Tensor, features: Tensor, resolution: int, present: Tensor | None = None) -> Tensor:
    """Average ``features`` (b, n, c) of the points x (b, n, 3) nearest to each node: (b, c, r, r, r).

    Nodes without points are zero. present: bool (b, n), False for points that do not count. Sums are taken in float32
    at least; differentiable in the features. On a GPU the order of a sum, and so its last bit, is fixed by
    torch.use_deterministic_algorithms. ValueError for other shapes or a resolution below 2.
    """
    check_clouds(x)
    b, n, c = features.shape
    if x.shape != (b, n, 3) or resolution < 2:
        raise ValueError(f"need points (b, n, 3) and a resolution of 2 or more, not {tuple(x.shape)}, {resolution}")
    with torch.no_grad():
        wide = x if x.dtype == torch.float64 else x.float()
        node = ((wide.clamp(-1, 1) + 1) * ((resolution - 1) / 2)).round().long()
        cell = (node[..., 0] * resolution + node[..., 1]) * resolution + node[..., 2]
        cell = (cell + resolution**3 * torch.arange(b, device=x.device)[:, None]).flatten()
    values = features.float() if features.dtype in (torch.float16, torch.bfloat16) else features
    ones = torch.ones_like(values[..., 0]) if present is None else present.to(values.dtype)
    values = values if present is None else torch.where(present[..., None], values, 0)
    total = values.new_zeros(b * resolution**3, c).index_add(0, cell, values.reshape(b * n, c))
    count = values.new_zeros(b * resolution**3).index_add(0, cell, ones.flatten())
    mean = total / count.clamp(min=1)[:, None]
    grid = mean.view(b, resolution**3, c).mT.reshape(b, c, resolution, resolution, resolution)
    return grid.to(features.dtype)


def devoxelize(grid: Tensor, x: Tensor) -> Tensor:
    """Interpolate the grid (b, c, r, r, r) trilinearly at points x (b, n, 3): (b, n, c). Differentiable in both."""
    check_clouds(x)
    if grid.ndim != 5 or x.shape[-1] != 3 or x.shape[0] != grid.shape[0]:
        raise ValueError(f"need a grid (b, c, r, r, r) and points (b, n, 3), not {tuple(grid.shape)}, {tuple(x.shape)}")
    # the last axis of a grid comes first in torch's coordinates
    places = x.flip(-1)[:, :, None, None].to(grid.dtype)
    found = F.grid_sample(grid, places, mode="bilinear", padding_mode="border", align_corners=True)
    return found.flatten(2).mT
