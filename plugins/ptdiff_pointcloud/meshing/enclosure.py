"""The solid that a cloud encloses, on a grid around it.

    shell     nodes within ``reach`` of a point: wide enough to leave no holes between points
    solid     the shell and all that it encloses
    phi       signed distance to the boundary of the solid, negative inside

Of several reaches, the one with the steepest phi along the normals is used: wide ones close the surface, narrow ones
keep sheets apart.  A cloud that encloses nothing (an open scan) lies in the middle of its shell, where phi is
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
"""The reaches tried, as fractions of :func:`reach_of`."""
CLEAR = 0.2
"""The mean slope below which phi counts as flat."""
LEAST = 16
"""The fewest points that define a surface."""


def reach_of(points: Floats) -> float:
    """The distance around the points (n, 3) within which a surface must be assumed to continue, so that it is closed.

    A disc that contains k points on average is empty with probability exp(-k), so among n discs one with k = log n is
    expected to be; its radius is the distance to the k-th neighbor.
    """
    from scipy.spatial import KDTree

    k = math.ceil(math.log(len(points)))
    distances = KDTree(points).query(points, k=[k + 1])[0]
    return 1.2 * float(np.median(distances))


@dataclass(frozen=True, eq=False)
class Enclosure:
    """phi, in cells, on a grid (a, b, c); its first node is at ``origin`` and its cells are cubes of side ``cell``.

    normals: of the cloud's points, (n, 3), each of either sign.  along: the slope of phi along them, (n,), near -1 or 1
    if the reach suits the shape.
    """

    phi: Floats
    origin: Floats
    cell: float
    normals: Floats
    along: Floats

    @property
    def clear(self) -> float:
        """Mean absolute slope of phi at the points, 0 to about 1: low for thin sheets, below CLEAR for open ones."""
        return float(np.abs(self.along).mean())

    def at(self, points: Floats) -> Floats:
        """Grid coordinates (n, 3) of points, in cells."""
        return (points - self.origin) / self.cell


def enclosure(points: Floats, reach: float) -> Enclosure:
    """The solid that a cloud (n, 3) encloses, for the best of REACHES, which are fractions of ``reach``."""
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
