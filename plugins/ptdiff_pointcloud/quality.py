"""How well single clouds match: density-aware Chamfer distance and F-score.

n(y) is how many points of the other cloud have y as their nearest.

* Density-aware Chamfer (Wu et al. 2021): 1/2 [mean_x (1 - exp(-alpha d_x^2) / n(y(x))) + mean_y (1 -
  exp(-alpha d_y^2) / n(x(y)))], d the distance to the nearest point y(x), x(y); in [0, 1], and blind neither to holes
  nor to clumps.  alpha = 1000 for clouds of size 1, and squared distances, as in its authors' code.
* F-score (Knapitsch et al. 2017): the harmonic mean of the shares of points of either cloud that lie within tau of the
  other, in percent.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ptdiff_pointcloud.chamfer import checked
from ptdiff_pointcloud.pairs import Pairs, in_threads

ALPHA = 1000.0
"""Sharpness of the density-aware distance, per squared unit."""

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]


def density_aware_pairs(x: Tensor, y: Tensor, alpha: float = ALPHA) -> Pairs:
    """Density-aware Chamfer distances of single pairs of x (k, n, 3) and y (l, m, 3)."""

    def half(distance: Floats, nearest: Places, count: int) -> float:
        crowd = np.bincount(nearest, minlength=count)[nearest]
        return float((1 - np.exp(-alpha * distance * distance) / crowd).mean())

    def of(there: Floats, nearest: Places, back: Floats, nearest_back: Places) -> float:
        return (half(there, nearest, len(back)) + half(back, nearest_back, len(there))) / 2

    return _by_neighbors(x, y, of)


def f_score_pairs(x: Tensor, y: Tensor, tau: float) -> Pairs:
    """F-scores of single pairs, in percent; 0 where no point of either is near."""

    def of(there: Floats, _: Places, back: Floats, __: Places) -> float:
        precision, recall = float((there <= tau).mean()), float((back <= tau).mean())
        return 200 * precision * recall / (precision + recall) if precision + recall else 0.0

    return _by_neighbors(x, y, of)


def _by_neighbors(x: Tensor, y: Tensor, of: Callable[[Floats, Places, Floats, Places], float]) -> Pairs:
    checked(x, y)
    from scipy.spatial import cKDTree

    trees_x = [cKDTree(cloud) for cloud in x.double().cpu().numpy()]
    trees_y = trees_x if y is x else [cKDTree(cloud) for cloud in y.double().cpu().numpy()]

    def one(i: int, j: int) -> float:
        a, b = trees_x[i], trees_y[j]
        return of(*b.query(a.data), *a.query(b.data))

    return in_threads(one)
