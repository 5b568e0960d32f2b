"""Nearest points by k-d trees on the CPU: a tree for each cloud, built once.

A tree holds its points in the order of the leaves that SciPy's sort gives: neighbors in that order descend the same
way, which processors are quick at.  The search is pykdtree's: exact in float64, and quicker in space than SciPy's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ptdiff_pointcloud.metrics.matrix import spread

if TYPE_CHECKING:
    from collections.abc import Sequence

Floats = npt.NDArray[np.float64]
Places = npt.NDArray[np.intp]

_LEAF = 16  # points


class Tree:
    """The points (n, 3) of a cloud, float64, in the order of leaves, and which of them is nearest to others."""

    def __init__(self, cloud: Floats) -> None:
        from pykdtree.kdtree import KDTree
        from scipy.spatial import cKDTree

        order = cKDTree(cloud, leafsize=_LEAF, compact_nodes=False, balanced_tree=False).indices
        self.points: Floats = np.ascontiguousarray(cloud[order])
        self._tree = KDTree(self.points, leafsize=_LEAF)

    def squares(self, queries: Floats) -> Floats:
        """Squared distances (m,) of the queries (m, 3) to the nearest point each."""
        return np.asarray(self._tree.query(queries, sqr_dists=True)[0])

    def nearest(self, queries: Floats) -> tuple[Floats, Places]:
        """Distances (m,) and places among ``points`` (m,)."""
        distances, places = self._tree.query(queries)
        return distances, places.astype(np.intp)


def trees_of(clouds: Tensor) -> Sequence[Tree]:
    """A tree of each cloud (k, n, 3)."""
    return spread(Tree, clouds.cpu().double().numpy())
