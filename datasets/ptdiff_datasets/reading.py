"""One file of a folder, a mesh or a point cloud, as a dense cloud that depends on the file and its id alone."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.address import address
from ptdiff_datasets.cache import Box
from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats import read_cloud
from ptdiff_datasets.meshes import MESH_SUFFIXES, read_mesh, sample_surface, surface_box
from ptdiff_datasets.ply_header import read_header


def read_shape(path: Path, id: str, points: int, normalize: str) -> tuple[npt.NDArray[np.float32], Box]:
    """The dense cloud of one file, normalized, and its box before that."""
    seed = address("surface", id)
    mesh = read_mesh(path) if _is_mesh(path) else None
    if mesh is not None:
        low, high = surface_box(mesh)
    else:
        cloud = read_cloud(path).points
        low, high = cloud.min(axis=0).astype(np.float64), cloud.max(axis=0).astype(np.float64)
        if len(cloud) > points:
            pick = np.random.default_rng(seed).choice(len(cloud), points, replace=False, shuffle=False)
            cloud = cloud[np.sort(pick)]
    center, scale = frame(low, high, normalize)
    if not (np.isfinite(scale) and scale > 0):
        raise FormatError(path, f"all points in one place, or too far apart (diagonal {scale:g})")
    with np.errstate(over="ignore"):
        if mesh is not None:
            mesh.vertices = (mesh.vertices - center) / scale
            dense = sample_surface(mesh, points, seed)
        else:
            dense = ((cloud - center) / scale).astype(np.float32)
    if not np.isfinite(dense).all():
        raise FormatError(path, "coordinates beyond the range of float32")
    return dense, (*low.tolist(), *high.tolist())


def _is_mesh(path: Path) -> bool:
    """A .ply without faces is a point cloud."""
    suffix = path.suffix.lower()
    if suffix == ".ply":
        return read_header(path.read_bytes(), path).count("face") > 0
    return suffix in MESH_SUFFIXES


def frame(
    low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], normalize: str
) -> tuple[npt.NDArray[np.float64], float]:
    """Center and scale of a shape by its box."""
    if normalize != "box":
        return np.zeros(3), 1.0
    with np.errstate(over="ignore"):  # an infinite scale is refused
        return low / 2 + high / 2, float(np.linalg.norm(high - low))
