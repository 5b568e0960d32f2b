"""Chamfer distances between point clouds.

    CD(x, y) = mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2

squared, the sum of the two means, without root and without a half: the definition of PointFlow (Yang et al.
2019) and of the papers that compare with it.

Two exact ways, picked by size: one matrix product per pair, |x|^2 + |y|^2 - 2 x y, in float64 (the terms
cancel: float32 would lose the small distances, and TensorFloat-32 all of them; what cancels even so is computed from
differences), or k-d trees, one for each cloud, built once.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ptdiff.modality import Progress
from ptdiff_pointcloud.metrics.matrix import Pairs, in_threads, matrix
from ptdiff_pointcloud.metrics.trees import trees_of

TREES_FROM = 384
"""Points per cloud from which trees are as fast as products on one core of a CPU.

With more cores the products lose: their threads wait for each other in every operation, those of trees never.  At 512
points and with other programs on both cores a pair took 9 ms of processor time by products, and 0.5 ms by trees.
"""

_CANCELS = 1e-7
"""Squared distances below this share of the squared extent come out of a product with less than seven digits."""

_BLOCK = {"cpu": 1 << 21, "cuda": 1 << 28}
"""Bytes of one product: what a cache, or a card, works through fastest."""


def checked(*sets: Tensor) -> None:
    """ValueError unless every set is one of clouds, (number, points, 3), and finite."""
    for clouds in sets:
        if clouds.ndim != 3 or clouds.shape[-1] != 3 or clouds.shape[1] == 0:
            raise ValueError(f"clouds are an array (number, points, 3), not {tuple(clouds.shape)}")
        if not torch.isfinite(clouds).all():
            raise ValueError("a cloud holds coordinates that are not finite")


def chamfer(x: Tensor, y: Tensor | None = None, progress: Progress | None = None) -> Tensor:
    """Distances of all clouds x (k, n, 3) to all clouds y (l, m, 3): float64 (k, l), in squared units.

    Without ``y`` the clouds of x among each other: each pair once, (k, k), symmetric with a zero diagonal.
    ``progress(done, total)`` counts pairs.
    """
    other = x if y is None else y
    return matrix(chamfer_pairs(x, other), (len(x), len(other)), among=y is None, progress=progress)


def chamfer_pairs(x: Tensor, y: Tensor) -> Pairs:
    """The distances of single pairs."""
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
    """Of pairs (b, n, 3) and (b, m, 3)."""
    p, q = x - center, (y - center).mT
    pp, qq = p.square().sum(2, keepdim=True), q.square().sum(1, keepdim=True)
    left, right = torch.cat([p, pp, torch.ones_like(pp)], 2), torch.cat([-2 * q, torch.ones_like(qq), qq], 1)
    squares = left @ right  # (b, n, m)
    least = _CANCELS * (pp.amax((1, 2)) + qq.amax((1, 2)))
    there, back = _not_cancelled(squares.amin(2), least, x, y), _not_cancelled(squares.amin(1), least, y, x)
    return there.mean(1) + back.mean(1)


def _not_cancelled(squares: Tensor, least: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Squared distances (b, n) of x to the nearest of y; those below ``least`` (b,) anew, by differences."""
    pair, point = (squares < least[:, None]).nonzero(as_tuple=True)
    if len(pair):
        squares[pair, point] = (x[pair, point, None] - y[pair]).square().sum(-1).amin(1)
    return squares
