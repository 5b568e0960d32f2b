"""Marching cubes (Lorensen & Cline 1987; scikit-image) on the grid of what a cloud encloses.

The points lie one reach inside the border of the solid, so their surface is where phi has the value that it has at the
points nearby.  There it is closed whatever the cloud, since phi is positive at the edges of the grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptdiff_pointcloud.meshing.enclosure import NODES, Floats, enclosure, reach_of

NEARBY = 8
"""Points over which phi is averaged: it evens out noise."""
_THICK = 0.8
"""Clearness from which a shape is thick: inside its thinnest part there are nodes deeper than its points."""
_SHARES = (1.0, 0.9, 0.75, 0.5)
"""Of the depth of the points: the first at which no part of the shape falls to pieces, as thin ones do at the first."""
_KEPT = 0.995
"""Share of the points that must have the surface within their reach; the others may be noise."""
_LEAST = 0.05
"""How near to a node the surface may pass, in cells."""


def marching_cubes(points: Floats) -> tuple[Any, Any]:
    """Vertices and faces of the closed surface of a cloud (n, 3) whose largest extent is 1.

    Parts that lie closer than two reaches grow together, and what is thinner than a cell of the grid (1/64) comes out
    thicker.
    """
    from scipy.ndimage import map_coordinates
    from scipy.spatial import KDTree
    from skimage import measure

    # a shell thinner than the cells of the grid would have holes
    reach = max(reach_of(points), 2 / NODES)
    found = enclosure(points, reach)
    inside = np.argwhere(found.phi < 0)
    nearby = KDTree(found.at(points)).query(inside, k=min(NEARBY, len(points)))[1]
    level = map_coordinates(found.phi, found.at(points).T, order=1)[nearby].mean(1)
    vertices, faces = points[:0], np.zeros((0, 3), np.int64)
    for share in _SHARES if found.clear > _THICK else _SHARES[1:]:
        field = found.phi - share * np.median(level)
        field[tuple(inside.T)] = found.phi[tuple(inside.T)] - share * level
        # a node on the surface would make triangles so small that a file takes their corners for one
        field = np.where(np.abs(field) < _LEAST, np.copysign(_LEAST, field), field)
        if (field < 0).any():
            at, faces, *_ = measure.marching_cubes(field, 0.0)
            vertices = found.origin + found.cell * at
            if np.quantile(KDTree(vertices).query(points)[0], _KEPT) < reach:
                break
    return vertices, faces
