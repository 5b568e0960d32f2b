"""Meshes in files, and points sampled on their surfaces.

Trimesh parses. Its input and its output are checked, and whatever it raises becomes a FormatError, except for a lack of
memory or of a package. Only the named file is read: no materials, textures or buffers beside it.
"""

import logging
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import Cloud
from ptdiff_datasets.formats.headers import CHECKS

if TYPE_CHECKING:
    import trimesh

MESH_SUFFIXES = frozenset({".obj", ".ply", ".stl", ".off", ".glb"})
QUIET = logging.NullHandler()  # trimesh logs parse problems; here they become a FormatError
logging.getLogger("trimesh").addHandler(QUIET)
THINNEST = 1e-12  # smallest area of a surface, relative to the squared diagonal of its box


def read_mesh(path: str | Path) -> "trimesh.Trimesh":
    """Read the mesh in an .obj, .ply, .stl, .off or .glb file: vertices (v, 3) float64 and triangles (f, 3).

    A scene is flattened into one mesh, with all transforms applied. Raises FormatError for a broken or truncated file,
    no faces, NaN or infinite vertices, indices out of range, and a surface without area.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES:
        raise FormatError(path, f"no mesh format has the suffix {suffix or '(none)'}")
    data = path.read_bytes()
    if not data:
        raise FormatError(path, "the file is empty", 0)
    least = CHECKS[suffix](data, path)
    mesh = _parsed(data, suffix, path)
    _check(mesh, least, path)
    return mesh


def _parsed(data: bytes, suffix: str, path: Path) -> "trimesh.Trimesh":
    import trimesh

    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # numpy merely deprecates stopping at the first word that is not a number: make it an error.
            warnings.filterwarnings("error", category=DeprecationWarning, module="trimesh")
            options = {"process": False, "skip_materials": True}
            parsed = trimesh.load_scene(BytesIO(data), file_type=suffix[1:], **options).to_mesh()
            colors = parsed.visual.vertex_colors if parsed.visual.kind == "vertex" else None
            return trimesh.Trimesh(parsed.vertices, parsed.faces, vertex_colors=colors, process=False)
    except (MemoryError, ImportError):  # not the fault of the file
        raise
    except Exception as error:  # trimesh's parsers may raise anything
        raise FormatError(path, f"{type(error).__name__}: {str(error)[:100]}") from None


def _check(mesh: "trimesh.Trimesh", least: int, path: Path) -> None:
    vertices, faces = np.asarray(mesh.vertices), np.asarray(mesh.faces)
    if len(faces) == 0:
        raise FormatError(path, "no faces")
    if len(faces) < least:
        raise FormatError(path, f"the header claims {least} faces, but only {len(faces)} could be read")
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise FormatError(path, f"vertices of shape {vertices.shape} and faces of shape {faces.shape}")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise FormatError(path, f"a face refers to a missing vertex (there are {len(vertices)})")
    bad = int((~np.isfinite(vertices).all(axis=1)).sum())
    if bad:
        raise FormatError(path, f"{bad} of {len(vertices)} vertices are NaN or infinite")
    # Written so that an overflow to infinity or NaN fails the test too.
    with np.errstate(all="ignore"):
        diagonal = float(np.linalg.norm(np.ptp(vertices[faces.ravel()], axis=0)))
        area = float(_areas(mesh).sum())
    if not (np.isfinite(area) and area > THINNEST * diagonal**2):
        raise FormatError(path, f"the surface has no area ({len(faces)} faces)")


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
    return Cloud(np.asarray(points), normals.astype(np.float32), colors)


def _between(points: npt.NDArray[np.float64], corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Barycentric coordinates (n, 3) of points (n, 3) in triangles with ``corners`` (n, 3, 3)."""
    opposite = np.roll(corners, -1, axis=1), np.roll(corners, -2, axis=1)
    parts = np.linalg.norm(np.cross(opposite[0] - points[:, None], opposite[1] - points[:, None]), axis=2)
    shares: npt.NDArray[np.float64] = parts / parts.sum(axis=1, keepdims=True)
    return shares
