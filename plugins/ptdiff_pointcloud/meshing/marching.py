"""Marching cubes (Lorensen & Cline 1987; scikit-image) on the grid of the solid that a cloud encloses.

The points lie one reach inside the boundary of the solid, so the surface is taken where phi equals its value at the
nearby points.  It is closed for every cloud, since phi is positive at the edges of the grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ptdiff_pointcloud.meshing.enclosure import NODES, Floats, enclosure, reach_of

NEARBY = 8
"""The number of points over which phi is averaged, to even out noise."""
_THICK = 0.8
"""The ``clear`` above which a shape is thick: even its thinnest part has nodes deeper than its points."""
_SHARES = (1.0, 0.9, 0.75, 0.5)
"""Fractions of the points' depth, tried in turn until no part breaks into pieces, as thin parts do at 1."""
_KEPT = 0.995
"""Fraction of the points that must lie within one reach of the surface; the others may be noise."""
_LEAST = 0.05
"""The least distance of the surface from a node, in cells."""


def marching_cubes(points: Floats) -> tuple[Any, Any]:
    """Vertices and faces of the closed surface of a cloud (n, 3) whose largest extent is 1.

    Parts closer than two reaches merge, and parts thinner than a cell of the grid (1/64) come out thicker.
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
        # a node on the surface would make triangles so small that their corners coincide in a file
        field = np.where(np.abs(field) < _LEAST, np.copysign(_LEAST, field), field)
        if (field < 0).any():
            at, faces, *_ = measure.marching_cubes(field, 0.0)
            vertices = found.origin + found.cell * at
            if np.quantile(KDTree(vertices).query(points)[0], _KEPT) < reach:
                break
    if not len(faces):
        raise ValueError("the points enclose nothing: they lie on a line or at one place")
    return vertices, faces
