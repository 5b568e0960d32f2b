"""Quality of the match between single clouds: density-aware Chamfer distance and F-score.

n(y) is the number of points of the other cloud whose nearest point is y.

* Density-aware Chamfer (Wu et al. 2021): 1/2 [mean_x (1 - exp(-alpha d_x^2) / n(y(x))) + mean_y (1 -
  exp(-alpha d_y^2) / n(x(y)))], d the distance to the nearest point y(x), x(y); in [0, 1], and sensitive to both holes
  and clumps. alpha = 1000 for clouds of size 1, and squared distances, as in its authors' code.
* F-score (Knapitsch et al. 2017): the harmonic mean of the fractions of points of either cloud within tau of the other,
  in percent.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ptdiff_pointcloud.metrics.chamfer import checked
from ptdiff_pointcloud.metrics.matrix import Pairs, in_threads, spread
from ptdiff_pointcloud.metrics.trees import Floats, Places, Tree, trees_of

ALPHA = 1000.0
"""Sharpness of the density-aware distance, per squared unit."""


class Neighbors(NamedTuple):
    """Distances and indices of the nearest point of the other cloud, for every point of two clouds."""

    there: Floats
    nearest: Places
    back: Floats
    nearest_back: Places


def neighbors(a: Tree, b: Tree) -> Neighbors:
    """Find the nearest neighbors between the points of two trees."""
    return Neighbors(*b.nearest(a.points), *a.nearest(b.points))


def density_aware(found: Neighbors) -> float:
    """Density-aware Chamfer distance, in [0, 1]."""

    def half(distance: Floats, nearest: Places) -> float:
        crowd = np.bincount(nearest)[nearest]
        return float((1 - np.exp(-ALPHA * distance * distance) / crowd).mean())

    return (half(found.there, found.nearest) + half(found.back, found.nearest_back)) / 2


def f_score(found: Neighbors, tau: float) -> float:
    """F-score in percent; 0 if no point of either cloud is near the other."""
    precision, recall = float((found.there <= tau).mean()), float((found.back <= tau).mean())
    return 200 * precision * recall / (precision + recall) if precision + recall else 0.0


def density_aware_pairs(x: Tensor, y: Tensor) -> Pairs:
    """Return the function of density-aware Chamfer distances of single pairs of x (k, n, 3) and y (l, m, 3)."""
    checked(x, y)
    trees_x = trees_of(x)
    trees_y = trees_x if y is x else trees_of(y)
    return in_threads(lambda i, j, _: density_aware(neighbors(trees_x[i], trees_y[j])))


def matched(x: Tensor, y: Tensor, match: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """Return density-aware distances and F-scores of each y_j (k, m, 3) with x_match(j): float64 (k,) each."""
    checked(x, y)
    trees_x = trees_of(x)

    def both(i: int, tree: Tree) -> tuple[float, float]:
        found = neighbors(trees_x[i], tree)
        return density_aware(found), f_score(found, tau)

    distances, scores = torch.tensor(spread(both, match.tolist(), trees_of(y)), dtype=torch.float64).T
    return distances, scores
