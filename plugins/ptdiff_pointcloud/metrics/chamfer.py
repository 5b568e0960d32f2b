"""Chamfer distances between point clouds.

    CD(x, y) = mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2

Squared distances, the sum of the two means, no root and no factor one half: the definition of PointFlow (Yang et al.
2019) and of the papers that compare with it.

Two exact methods, chosen by size: one matrix product per pair, |x|^2 + |y|^2 - 2 x y, in float64 (the terms cancel:
float32 would lose the small distances, and TensorFloat-32 all of them; what cancels even in float64 is recomputed from
differences), or k-d trees, one for each cloud, built once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ptdiff.metrics import Array, tensors
from ptdiff.modality import Progress
from ptdiff_pointcloud.metrics.matrix import Pairs, in_threads, matrix
from ptdiff_pointcloud.metrics.trees import trees_of

TREES_FROM = 384
"""Points per cloud from which trees are as fast as products on one CPU core.

With more cores products lose: their threads wait for each other in every operation, those of trees never. At 512 points
and with other programs on both cores, a pair took 9 ms of processor time by products and 0.5 ms by trees.
"""

_CANCELS = 1e-7
"""Squared distances below this fraction of the squared extent keep fewer than seven digits in a product."""

_BLOCK = {"cpu": 1 << 21, "cuda": 1 << 28}
"""Bytes of one product that a cache, or a GPU, processes fastest."""


def checked(*sets: Tensor) -> None:
    """Raise ValueError unless every set holds clouds, (number, points, 3), and is finite."""
    for clouds in sets:
        if clouds.ndim != 3 or clouds.shape[-1] != 3 or clouds.shape[1] == 0:
            raise ValueError(f"clouds must have shape (number, points, 3), not {tuple(clouds.shape)}")
        if not torch.isfinite(clouds).all():
            raise ValueError("a cloud has coordinates that are not finite")


def chamfer(x: Array, y: Array | None = None, progress: Progress | None = None) -> Tensor:
    """Return the distances of all clouds x (k, n, 3) to all clouds y (l, m, 3): float64 (k, l), in squared units.

    Without ``y``, those between the clouds of x: each pair once, (k, k), symmetric with a zero diagonal.
    ``progress(done, total)`` counts pairs.
    """
    x, other = tensors(x, x if y is None else y)
    return matrix(chamfer_pairs(x, other), (len(x), len(other)), among=y is None, progress=progress)


def chamfer_pairs(x: Tensor, y: Tensor) -> Pairs:
    """Return the function that computes the distances of single pairs."""
    checked(x, y)
    large = max(x.shape[1], y.shape[1]) >= TREES_FROM
    return _by_trees(x, y) if x.device.type == "cpu" and large else _by_products(x, y)


def _by_trees(x: Tensor, y: Tensor) -> Pairs:
    trees_x = trees_of(x)
    trees_y = trees_x if y is x else trees_of(y)

    def one(i: int, j: int, ceiling: float) -> float:
        a, b = trees_x[i], trees_y[j]
        there = float(b.squares(a.points).mean())
        return math.inf if there > ceiling else there + float(a.squares(b.points).mean())

    return in_threads(one)


def _by_products(x: Tensor, y: Tensor) -> Pairs:
    center = x.double().mean(dim=1, keepdim=True)
    step = max(1, _BLOCK.get(x.device.type, 1 << 21) // (8 * x.shape[1] * y.shape[1]))

    def of(i: Tensor, j: Tensor, ceiling: Tensor | None = None) -> Tensor:
        blocks = zip(*(torch.split(k.to(x.device), step) for k in (i, j)), strict=True)
        return torch.cat([_of_products(x[a].double(), y[b].double(), center[a]) for a, b in blocks])

    return of


def _of_products(x: Tensor, y: Tensor, center: Tensor) -> Tensor:
    """Distances (b,) of pairs x (b, n, 3) and y (b, m, 3)."""
    p, q = x - center, (y - center).mT
    pp, qq = p.square().sum(2, keepdim=True), q.square().sum(1, keepdim=True)
    left, right = torch.cat([p, pp, torch.ones_like(pp)], 2), torch.cat([-2 * q, torch.ones_like(qq), qq], 1)
    squares = left @ right  # (b, n, m)
    least = _CANCELS * (pp.amax((1, 2)) + qq.amax((1, 2)))
    there, back = _not_cancelled(squares.amin(2), least, x, y), _not_cancelled(squares.amin(1), least, y, x)
    return there.mean(1) + back.mean(1)


def _not_cancelled(squares: Tensor, least: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Recompute the squared distances (b, n) of x to the nearest of y below ``least`` (b,) from differences."""
    pair, point = (squares < least[:, None]).nonzero(as_tuple=True)
    if len(pair):
        squares[pair, point] = (x[pair, point, None] - y[pair]).square().sum(-1).amin(1)
    return squares
