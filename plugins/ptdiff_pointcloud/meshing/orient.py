"""Normals that point out of the solid that a cloud encloses.

The gradient of phi (:mod:`~ptdiff_pointcloud.meshing.enclosure`) at a point shows the outer side of its surface, even
if sheets lie close together and a spanning tree (ptdiff_pointcloud.ops.normals) jumps between them.  If phi is flat,
the orientation is that of the tree.
"""

from __future__ import annotations

import numpy as np

from ptdiff_pointcloud.meshing.enclosure import CLEAR, Floats, enclosure, reach_of


def outward_normals(points: Floats) -> Floats:
    """Unit normals (n, 3) of a cloud (n, 3), pointing out of what it encloses."""
    found = enclosure(points, reach_of(points))
    # in an open sheet there is no inside, and phi is flat
    return np.where((found.along < 0)[:, None] & (found.clear > CLEAR), -found.normals, found.normals)
