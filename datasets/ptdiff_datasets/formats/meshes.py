"""Meshes in files, and points sampled on their surfaces.

Each format has a reader of its own; what it returns is compared with what the file declares (``headers``). Only the
named file is read, and the buffers of a .gltf file in its folder: no materials and no textures.
"""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import Cloud, checked
from ptdiff_datasets.formats.geometry import Geometry
from ptdiff_datasets.formats.gltf import read_glb
from ptdiff_datasets.formats.headers import check_claims
from ptdiff_datasets.formats.obj import read_obj
from ptdiff_datasets.formats.off import read_off
from ptdiff_datasets.formats.ply import read_surface
from ptdiff_datasets.formats.stl import read_stl

if TYPE_CHECKING:
    import trimesh

READERS = {
    ".obj": read_obj,
    ".ply": read_surface,
    ".stl": read_stl,
    ".off": read_off,
    ".glb": read_glb,
    ".gltf": read_glb,
}
MESH_SUFFIXES = frozenset(READERS)
REMARKS = "remarks"  # in the metadata of a mesh: what its reader left out
THINNEST = 1e-12  # smallest area of a surface, relative to the squared diagonal of its box


def read_mesh(path: str | Path) -> "trimesh.Trimesh":
    """Read the mesh in an .obj, .ply, .stl, .off, .glb or .gltf file: vertices (v, 3) float64 and triangles (f, 3).

    A scene is flattened into one mesh, with all transforms applied. What was left out is in ``metadata["remarks"]``.
    Raises FormatError for a broken or truncated file, no faces, NaN or infinite vertices, indices out of range, a
    surface without area, and everything that is not understood.
    """
    path = Path(path)
    return _mesh(_geometry(path), path)


def read_mesh_or_points(path: str | Path) -> "trimesh.Trimesh | Cloud":
    """Read the mesh in a file, or, if it has vertices but no faces, its vertices as a cloud."""
    path = Path(path)
    geometry = _geometry(path)
    if len(geometry.faces) or geometry.polygons or path.suffix.lower() == ".stl":
        return _mesh(geometry, path)
    remarks = (*geometry.remarks, f"no faces, read as a cloud of {len(geometry.vertices)} points")
    cloud = checked(path, geometry.vertices, geometry.normals, geometry.colors)
    return replace(cloud, remarks=remarks)


def _geometry(path: Path) -> Geometry:
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise FormatError(path, f"no mesh format has the suffix {suffix or '(none)'}")
    data = path.read_bytes()
    if not data:
        raise FormatError(path, "the file is empty", 0)
    with np.errstate(all="ignore"):  # overflows are found in what they lead to
        geometry = READERS[suffix](data, path)
    check_claims(data, geometry, path)
    return geometry


def _mesh(geometry: Geometry, path: Path) -> "trimesh.Trimesh":
    import trimesh

    vertices, faces = geometry.vertices, geometry.faces
    if len(faces) == 0:
        raise FormatError(path, "no faces")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise FormatError(path, f"a face refers to a missing vertex (there are {len(vertices)})")
    mesh = trimesh.Trimesh(vertices, faces, vertex_colors=geometry.colors, process=False)
    mesh.metadata[REMARKS] = tuple(geometry.remarks)
    # Written so that an overflow to infinity or NaN fails the test too.
    with np.errstate(all="ignore"):
        used = vertices[faces.ravel()]
        diagonal = float(np.linalg.norm([np.ptp(used[:, axis]) for axis in range(3)]))
        area = float(_areas(mesh).sum())
    if not (np.isfinite(area) and area > THINNEST * diagonal**2):
        raise FormatError(path, f"the surface has no area ({len(faces)} faces)")
    return mesh


def _areas(mesh: "trimesh.Trimesh") -> npt.NDArray[np.float64]:
    """Areas of the triangles (f,), from the vertices alone (trimesh trusts the normals in a file)."""
    a, b, c = np.asarray(mesh.vertices, np.float64)[np.asarray(mesh.faces)].transpose(1, 0, 2)
    areas: npt.NDArray[np.float64] = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return areas


def surface_box(mesh: "trimesh.Trimesh") -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the lowest and the highest corner, (3,) each, of all triangles that have an area."""
    corners = np.asarray(mesh.vertices)[np.asarray(mesh.faces)[_areas(mesh) > 0]].reshape(-1, 3)
    return corners.min(axis=0), corners.max(axis=0)


def sample_surface(mesh: "trimesh.Trimesh", count: int, seed: int) -> Cloud:
    """Sample ``count`` points on the surface, uniformly by area, with face normals; deterministic for a seed.

    points: (count, 3) float64; colors if the vertices have them.
    """
    import trimesh

    points, faces = trimesh.sample.sample_surface(mesh, count, face_weight=_areas(mesh), seed=seed)
    corners = np.asarray(mesh.vertices, np.float64)[np.asarray(mesh.faces)[faces]]
    a, b, c = corners.transpose(1, 0, 2)
    # in units of the largest side, whose square neither vanishes nor overflows
    side = np.maximum(np.abs(b - a), np.abs(c - a)).max(axis=1, keepdims=True)
    normals = np.cross((b - a) / side, (c - a) / side)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    colors = None
    if mesh.visual.kind == "vertex":
        # interpolated between the corners by barycentric coordinates
        weights = _between(np.asarray(points), corners)[..., None]
        mixed = (weights * np.asarray(mesh.visual.vertex_colors)[np.asarray(mesh.faces)[faces], :3]).sum(axis=1)
        colors = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return Cloud(np.asarray(points), normals.astype(np.float32), colors, mesh.metadata.get(REMARKS, ()))


def _between(points: npt.NDArray[np.float64], corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Barycentric coordinates (n, 3) of points (n, 3) in triangles with ``corners`` (n, 3, 3)."""
    opposite = np.roll(corners, -1, axis=1), np.roll(corners, -2, axis=1)
    parts = np.linalg.norm(np.cross(opposite[0] - points[:, None], opposite[1] - points[:, None]), axis=2)
    shares: npt.NDArray[np.float64] = parts / parts.sum(axis=1, keepdims=True)
    return shares
