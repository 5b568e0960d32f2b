"""Chamfer distances between point clouds.

    CD(x, y) = mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2

squared, the sum of the two means, without root and without a half: the definition of PointFlow (Yang et al.
2019) and of the papers that compare with it.

Two exact ways, picked by size: one matrix product per pair, |x|^2 + |y|^2 - 2 x y, in float64 (the terms
cancel: float32 would lose the small distances, and TensorFloat-32 all of them), or SciPy's k-d trees, one for
each cloud, built once.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ptdiff.modality import Progress
from ptdiff_pointcloud.pairs import Pairs, in_threads, matrix

TREES_FROM = 256
"""Points per cloud from which trees are faster than products on a CPU."""

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


def _by_products(x: Tensor, y: Tensor) -> Pairs:
    # one center for both: the smaller the coordinates, the less there is to cancel
    center = x.double().mean(dim=(0, 1))
    x, y = x.double() - center, y.double() - center
    left = torch.cat([x, x.square().sum(-1, keepdim=True), torch.ones_like(x[..., :1])], dim=-1)
    right = torch.cat([-2 * y, torch.ones_like(y[..., :1]), y.square().sum(-1, keepdim=True)], dim=-1)
    right = right.mT.contiguous()
    step = max(1, _BLOCK.get(x.device.type, 1 << 21) // (8 * x.shape[1] * y.shape[1]))

    def of(i: Tensor, j: Tensor) -> Tensor:
        blocks = []
        for a, b in zip(*(torch.split(k.to(x.device), step) for k in (i, j)), strict=True):
            squares = left[a] @ right[b]  # (block, n, m)
            there, back = squares.amin(2).clamp(min=0), squares.amin(1).clamp(min=0)
            blocks.append(there.mean(1) + back.mean(1))
        return torch.cat(blocks)

    return of


def _by_trees(x: Tensor, y: Tensor) -> Pairs:
    from scipy.spatial import cKDTree

    trees_x = [cKDTree(cloud) for cloud in x.double().numpy()]
    trees_y = trees_x if y is x else [cKDTree(cloud) for cloud in y.double().numpy()]

    def one(i: int, j: int) -> float:
        a, b = trees_x[i], trees_y[j]
        return float(np.square(b.query(a.data)[0]).mean() + np.square(a.query(b.data)[0]).mean())

    return in_threads(one)
