"""Methods that make a surface from a cloud; the first two are Open3D's.

poisson         the solid whose indicator has the normals for its gradient (Kazhdan & Hoppe 2013): closed, in a larger
                box where it runs out of the first, as a sheet of some thickness where it runs out of all
ball-pivoting   what a rolling ball touches (Bernardini et al. 1999): passes through points, seldom closed
alpha           what a ball of radius alpha does not get to from outside, through the triangles of the points
                (Edelsbrunner & Mücke 1994): closed
marching-cubes  the boundary of the solid that the points enclose, on a grid (Lorensen & Cline 1987): closed
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff.choices import unknown
from ptdiff.machine import libraries
from ptdiff.modality import Unsupported
from ptdiff_pointcloud.meshing.enclosure import LEAST, Floats, reach_of
from ptdiff_pointcloud.meshing.marching import marching_cubes
from ptdiff_pointcloud.meshing.orient import outward_normals
from ptdiff_pointcloud.meshing.surface import Surface, cleaned

ALPHA = 1
"""alpha, in reaches; larger ones fill what lies between the parts of a shape, smaller ones leave out points."""

_SCALES = (1.2, 1.4, 1.7)
"""Sides of Poisson's box, in sides of the cloud's, until the surface does not run into it and end there."""

_TURN = np.linalg.qr(np.array([[3.0, 1, -1], [1, 4, 2], [1, -1, 5]]))[0]
_TURN *= np.sign(np.linalg.det(_TURN))

METHODS = {
    "poisson": "closed surfaces, smooth between the points",
    "ball-pivoting": "triangles between the points themselves; seldom closed",
    "alpha": "closed surfaces, whose corners are the points themselves; no normals needed",
    "marching-cubes": "closed surfaces on a grid, coarser than Poisson's; needs no Open3D",
}


def methods() -> dict[str, str]:
    """METHODS with the default of this machine first: marching cubes if Open3D cannot be imported.

    Importing Open3D takes a second, so only the libraries that it needs are checked.
    """
    if find_spec("open3d") is None:
        why = "Open3D is not installed"
    elif names := libraries.missing():
        why = libraries.advice(names)
    else:
        return dict(METHODS)
    name = "marching-cubes"
    first = {name: f"{METHODS[name]}; the default here: {why}"}
    return first | {other: text for other, text in METHODS.items() if other != name}


def mesh(points: npt.ArrayLike, method: str | None = None) -> Surface:
    """The surface of a cloud (n, 3) by one of METHODS, by default the first of :func:`methods`.

    Raises ValueError for a cloud that has none (fewer than 16 points, no extent, not finite), and Unsupported for
    Open3D's methods if it cannot be imported.
    """
    name = method or next(iter(methods()))
    if name not in METHODS:
        raise unknown("meshing method", name, METHODS)
    cloud = np.asarray(points, np.float64)
    if cloud.ndim != 2 or cloud.shape[1] != 3 or not np.isfinite(cloud).all():
        raise ValueError(f"a cloud must be an array (n, 3) of finite numbers, not {cloud.shape}")
    cloud = np.unique(cloud, axis=0)
    if len(cloud) < LEAST:
        raise ValueError(f"{len(cloud)} distinct points have no surface; at least {LEAST} are needed")
    # the parameters and grids are for shapes of about this size
    center, size = cloud.mean(0), float(np.ptp(cloud, axis=0).max())
    unit = (cloud - center) / size
    vertices, faces = _WAYS[name](unit)
    found = cleaned(vertices, faces, unit, reach_of(unit))
    found.triangles.apply_scale(size)
    found.triangles.apply_translation(center)
    return found


def depth_of(count: int) -> int:
    """The depth of Poisson's tree, of 2^depth cells a side: about two points to a cell of the surface."""
    return 6 if count < 6000 else 7 if count < 25000 else 8


def _open3d() -> Any:
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise Unsupported(
            f"{libraries.why_no_open3d(error)}; or use --method marching-cubes or alpha, which need no Open3D"
        ) from error
    return open3d


def _cloud(open3d: Any, points: Floats, normals: bool) -> Any:
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points))
    if normals:
        cloud.normals = open3d.utility.Vector3dVector(outward_normals(points))
    return cloud


def _poisson(points: Floats) -> tuple[Any, Any]:
    open3d = _open3d()
    cloud = _cloud(open3d, points, True)
    first = _solid(open3d, cloud, _SCALES[0])
    if _closed(first[1]):
        return first
    for tried, scale in [*product([cloud], _SCALES[1:]), *product([_sheet(open3d, cloud)], _SCALES)]:
        found = _solid(open3d, tried, scale)
        if _closed(found[1]):
            return found
    return first


def _solid(open3d: Any, cloud: Any, scale: float) -> tuple[Any, npt.NDArray[np.int32]]:
    """Poisson's surface in a box of ``scale`` sides of the cloud's."""
    make = open3d.geometry.TriangleMesh.create_from_point_cloud_poisson
    # faces along the cells of the tree leave the surface open at its border; none are, once the cloud is rotated
    turned = open3d.geometry.PointCloud(cloud).rotate(_TURN, np.zeros(3))
    # one thread: several add in any order, and the mesh would differ from call to call
    found, _ = make(turned, depth=depth_of(len(cloud.points)), scale=scale, n_threads=1)
    return np.asarray(found.vertices) @ _TURN, np.asarray(found.triangles)


def _sheet(open3d: Any, cloud: Any) -> Any:
    """The cloud as a sheet, half a reach thick: normals of one side alone, as of thin plates, enclose nothing."""
    points, normals = np.asarray(cloud.points), np.asarray(cloud.normals)
    aside = reach_of(points) / 4 * normals
    both = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(np.concatenate([points + aside, points - aside])))
    both.normals = open3d.utility.Vector3dVector(np.concatenate([normals, -normals]))
    return both


def _closed(faces: npt.NDArray[np.int32]) -> bool:
    """True if every edge has an even number of faces."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
    return not (np.unique(edges, axis=0, return_counts=True)[1] % 2).any()


def _ball_pivoting(points: Floats) -> tuple[Any, Any]:
    open3d = _open3d()
    reach = reach_of(points)
    radii = open3d.utility.DoubleVector([reach / 2, reach, 2 * reach])
    make = open3d.geometry.TriangleMesh.create_from_point_cloud_ball_pivoting
    found = make(_cloud(open3d, points, True), radii)
    return found.vertices, found.triangles


def _alpha(points: Floats) -> tuple[Any, Any]:
    """The border of a set of tetrahedra: every edge of it has an even number of faces, whatever the set."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import Delaunay

    # moved by a millionth, no four points lie in one plane, where a tetrahedron would have no inner side
    points = points + 1e-6 * np.random.default_rng(0).standard_normal(points.shape)
    found = Delaunay(points)
    count = len(found.simplices)
    # side k of a tetrahedron lies across from its corner k; beyond the hull is one more tetrahedron, the last
    sides = np.stack([np.delete(found.simplices, k, axis=1) for k in range(4)], axis=1)
    beside = np.where(found.neighbors < 0, count, found.neighbors)
    one, side = np.nonzero(_radii(points[sides]) > ALPHA * reach_of(points))
    joined = coo_array((np.ones(len(one)), (one, beside[one, side])), shape=(count + 1, count + 1))
    part = connected_components(joined, directed=False)[1]
    # solid is what a ball of radius alpha cannot reach from outside
    solid = part != part[count]
    one, side = np.nonzero(solid[:count, None] & ~solid[beside])
    faces = sides[one, side]
    # facing away from the corner across
    a, b, c = (points[faces[:, k]] for k in range(3))
    inward = (np.cross(b - a, c - a) * (points[found.simplices[one, side]] - a)).sum(1) > 0
    faces[inward] = faces[inward][:, ::-1]
    return points, faces


def _radii(corners: Floats) -> Floats:
    """Radii of the circles around triangles (…, 3, 3)."""
    a, b, c = (corners[..., k, :] - corners[..., k - 1, :] for k in range(3))
    lengths = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1) * np.linalg.norm(c, axis=-1)
    radii: Floats = lengths / (2 * np.linalg.norm(np.cross(a, b), axis=-1))
    return radii


_WAYS: dict[str, Callable[[Floats], tuple[Any, Any]]] = {
    "poisson": _poisson,
    "ball-pivoting": _ball_pivoting,
    "alpha": _alpha,
    "marching-cubes": marching_cubes,
}
