"""Normals that point out of what the cloud encloses.

On a grid around the cloud,

    shell     nodes within ``reach`` of a point: wide enough that no hole between points is left
    solid     the shell and what it encloses
    phi       distance to the border of the solid, negative inside

and grad phi at a point tells the outer side of its surface, also where sheets lie close together and a spanning tree
(ptdiff_pointcloud.ops.normals) jumps between them.  Of several reaches that one is taken under which phi is steepest
along the normals, whose directions are those of the points' neighborhoods.  A cloud that encloses nothing (an open
scan) lies in the middle of its shell, where phi is flat; there the sides are those of the tree.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch

from ptdiff_pointcloud.ops import estimate_normals

Floats = npt.NDArray[np.float64]
NODES, MARGIN, NEIGHBORS = 64, 4, 16
REACHES = (0.6, 0.8, 1.0)
"""Tried, as parts of :func:`reach_of`: wide ones close the surface, narrow ones keep sheets apart."""
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


def outward_normals(points: Floats) -> Floats:
    """Unit normals (n, 3) of a cloud (n, 3), pointing out of what it encloses."""
    normals = estimate_normals(torch.from_numpy(points)[None], min(NEIGHBORS, len(points)))[0].numpy()
    reach = reach_of(points)
    tried = [_along(points, normals, part * reach) for part in REACHES]
    along = max(tried, key=lambda found: float(np.abs(found).mean()))
    # in an open sheet there is no inside, and phi is flat
    clear = np.abs(along).mean() > CLEAR
    return np.where((along < 0)[:, None] & clear, -normals, normals)


def _along(points: Floats, normals: Floats, reach: float) -> Floats:
    """The slope of phi along each of the normals, (n,): near -1 or 1 where the reach suits the shape."""
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
    along: Floats = (normals * slope).sum(-1)
    return along
