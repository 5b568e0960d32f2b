"""Nearest points by k-d trees on the CPU: one tree per cloud, built once.

A tree holds its points in the order of leaves given by SciPy's sort: neighbors in that order descend the same way,
which is fast on a CPU. The search is pykdtree's: exact in float64, and faster in 3-D than SciPy's.
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

_LEAF = 16  # points per leaf


class Tree:
    """The points (n, 3) of a cloud, float64, in the order of leaves, with nearest-neighbor search among them."""

    def __init__(self, cloud: Floats) -> None:
        from pykdtree.kdtree import KDTree
        from scipy.spatial import cKDTree

        order = cKDTree(cloud, leafsize=_LEAF, compact_nodes=False, balanced_tree=False).indices
        self.points: Floats = np.ascontiguousarray(cloud[order])
        self._tree = KDTree(self.points, leafsize=_LEAF)

    def squares(self, queries: Floats) -> Floats:
        """Return squared distances (m,) of the queries (m, 3) to their nearest points."""
        return np.asarray(self._tree.query(queries, sqr_dists=True)[0])

    def nearest(self, queries: Floats) -> tuple[Floats, Places]:
        """Return distances (m,) of the queries (m, 3) to their nearest points, and indices (m,) into ``points``."""
        distances, places = self._tree.query(queries)
        return distances, places.astype(np.intp)


def trees_of(clouds: Tensor) -> Sequence[Tree]:
    """Build a tree for each cloud (k, n, 3)."""
    return spread(Tree, clouds.cpu().double().numpy())
