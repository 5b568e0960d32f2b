"""What a cloud encloses, on a grid around it.

    shell     nodes within ``reach`` of a point: wide enough that no hole between points is left
    solid     the shell and what it encloses
    phi       distance to the border of the solid, negative inside

Of several reaches that one is taken under which phi is steepest along the normals: wide ones close the surface, narrow
ones keep sheets apart.  A cloud that encloses nothing (an open scan) lies in the middle of its shell, where phi is
flat.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from ptdiff_pointcloud.ops import estimate_normals

Floats = npt.NDArray[np.float64]
NODES, MARGIN, NEIGHBORS = 64, 4, 16
REACHES = (0.6, 0.8, 1.0)
"""Tried, as parts of :func:`reach_of`."""
CLEAR = 0.2
"""Mean slope below which phi is flat."""
LEAST = 16
"""Points below which a cloud has no surface to speak of."""


def reach_of(points: Floats) -> float:
    """How far from its points (n, 3) a surface must be taken to go on, so that it is closed.

    A disc that holds k points on average is empty with probability exp(-k): among n, some disc with k = log n is, and
    its radius is the distance to the k-th neighbor.
    """
    from scipy.spatial import KDTree

    k = math.ceil(math.log(len(points)))
    distances = KDTree(points).query(points, k=[k + 1])[0]
    return 1.2 * float(np.median(distances))


@dataclass(frozen=True, eq=False)
class Enclosure:
    """phi, in cells, on a grid (a, b, c); its first node is at ``origin`` and its cells are cubes of side ``cell``.

    normals: of the cloud's points, (n, 3), each of any of its two senses.  along: the slope of phi along them, (n,),
    near -1 or 1 where the reach suits the shape.
    """

    phi: Floats
    origin: Floats
    cell: float
    normals: Floats
    along: Floats

    @property
    def clear(self) -> float:
        """Mean steepness of phi at the points, from 0 to about 1: low for thin sheets, below CLEAR for open ones."""
        return float(np.abs(self.along).mean())

    def at(self, points: Floats) -> Floats:
        """Places (n, 3) on the grid, in nodes."""
        return (points - self.origin) / self.cell


def enclosure(points: Floats, reach: float) -> Enclosure:
    """What a cloud (n, 3) encloses, by that one of REACHES, in parts of ``reach``, which suits it best."""
    normals = estimate_normals(torch.from_numpy(points)[None], min(NEIGHBORS, len(points)))[0].numpy()
    return max((_enclosed(points, normals, part * reach) for part in REACHES), key=lambda found: found.clear)


def _enclosed(points: Floats, normals: Floats, reach: float) -> Enclosure:
    from scipy.ndimage import binary_fill_holes, distance_transform_edt, gaussian_filter, map_coordinates
    from scipy.spatial import KDTree

    extent = np.ptp(points, axis=0)
    cell = float(extent.max() + 2 * reach) / NODES
    origin = points.min(0) - reach - MARGIN * cell
    shape = np.ceil((extent + 2 * reach) / cell).astype(int) + 2 * MARGIN + 1
    nodes = origin + cell * np.moveaxis(np.indices(shape), 0, -1)
    near = KDTree(points).query(nodes.reshape(-1, 3), distance_upper_bound=reach)[0]
    solid = binary_fill_holes(np.isfinite(near).reshape(shape))
    phi = gaussian_filter(distance_transform_edt(~solid) - distance_transform_edt(solid), 1.0)
    at = ((points - origin) / cell).T
    slope = np.stack([map_coordinates(part, at, order=1) for part in np.gradient(phi)], axis=-1)
    return Enclosure(phi, origin, cell, normals, (normals * slope).sum(-1))
