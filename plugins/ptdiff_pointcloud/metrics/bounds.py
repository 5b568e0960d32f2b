"""Lower bounds of distances between clouds, a hundred times cheaper than the distances.

D_Y(g) is the distance from a grid node g to the nearest point of the cloud Y. It changes no faster than g moves, so for
a point p whose nearest node is g

    min_j |p - y_j|  >=  D_Y(g) - |p - g|.

The mean over the points of X bounds one half of the (squared) Chamfer distance. The mean of the distances themselves
bounds the earth mover's distance, because every point must travel at least to the nearest one (Kusner et al. 2015); so
does the transport cost between the projections of the points on any line, which takes only sorting.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ptdiff_pointcloud.metrics.matrix import spread
from ptdiff_pointcloud.metrics.trees import Floats, Tree, trees_of

NODES = 2.0
"""Grid nodes along the longest side of all clouds together, per cube root of the points of a cloud."""

DIRECTIONS = 64
"""Number of lines that clouds are projected on."""

_ROUNDING = 1e-9
"""Generous bound on the rounding error of a bound, as a fraction of the values it is made of."""


def chamfer_bound(x: Tensor, y: Tensor) -> Tensor:
    """Return lower bounds of the Chamfer distances of x (k, n, 3) to y (l, m, 3): float64 (k, l)."""
    there, back = _one_way(x, y, 2)
    return (there + back) * (1 - _ROUNDING)


def emd_bound(x: Tensor, y: Tensor) -> Tensor:
    """Return lower bounds of the exact earth mover's distances of x (k, n, 3) to y (l, n, 3): float64 (k, l)."""
    there, back = _one_way(x, y, 1)
    return torch.maximum(torch.maximum(there, back), _projected(x, y)) * (1 - _ROUNDING)


def _one_way(x: Tensor, y: Tensor, power: int) -> tuple[Tensor, Tensor]:
    """Lower bounds of the mean powers of the distances from the points of x to the clouds y, and back, (k, l) each."""
    a, b = (clouds.double().cpu().numpy() for clouds in (x, y))
    low, high = (f([f(a, axis=(0, 1)), f(b, axis=(0, 1))], axis=0) for f in (np.min, np.max))
    nodes = max(4, round(NODES * max(a.shape[1], b.shape[1]) ** (1 / 3)))
    step = max(float((high - low).max()) / (nodes - 1), np.finfo(np.float64).tiny)
    count = np.rint((high - low) / step).astype(np.int64) + 2
    axes = [low[k] + step * np.arange(count[k]) for k in range(3)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    places = [_placed(clouds, low, step, count, grid) for clouds in (a, b)]
    there = _means(places[0], y, grid, power)
    back = there if x is y else _means(places[1], x, grid, power)
    return torch.from_numpy(there), torch.from_numpy(back).T


Placed = tuple[npt.NDArray[np.int64], Floats]
"""The nearest node of every point and the distance to it, (k, n) each."""


def _placed(clouds: Floats, low: Floats, step: float, count: npt.NDArray[np.int64], grid: Floats) -> Placed:
    cell = np.rint((clouds - low) / step).astype(np.int64)
    node = (cell[..., 0] * count[1] + cell[..., 1]) * count[2] + cell[..., 2]
    return node, np.linalg.norm(clouds - grid[node], axis=-1)


def _means(placed: Placed, clouds: Tensor, grid: Floats, power: int) -> Floats:
    node, off = placed
    used, place = np.unique(node, return_inverse=True)
    place, nodes, longer = place.reshape(node.shape), grid[used], off * (1 + _ROUNDING)

    def column(tree: Tree) -> Floats:
        least = np.maximum(tree.nearest(nodes)[0][place] - longer, 0)
        return np.asarray((least if power == 1 else least * least).mean(axis=1))

    return np.stack(spread(column, trees_of(clouds)), axis=1)


def _projected(x: Tensor, y: Tensor) -> Tensor:
    """Largest transport cost on any of the lines, (k, l)."""
    generator = torch.Generator().manual_seed(0)
    lines = torch.randn(3, DIRECTIONS, generator=generator, dtype=torch.float64)
    lines = lines / lines.norm(dim=0)
    center = x.double().cpu().mean(dim=(0, 1))
    a, b = (((clouds.double().cpu() - center) @ lines).sort(dim=1).values.permute(2, 0, 1) for clouds in (x, y))
    found = torch.zeros(len(x), len(y), dtype=torch.float64)
    for places_x, places_y in zip(a, b, strict=True):
        found = torch.maximum(found, torch.cdist(places_x, places_y, p=1))
    # projections have rounding errors of their own, however near they are
    return found / x.shape[1] - 1e-12 * torch.maximum(a.abs().amax(), b.abs().amax())
