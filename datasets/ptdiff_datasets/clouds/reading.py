"""Shapes of one file, meshes and clouds, as dense clouds that depend on the file and their ids alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.address import address
from ptdiff_datasets.clouds.layout import Shape
from ptdiff_datasets.clouds.lists import Lists
from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.arrays import ARRAY_SUFFIXES, AxisOrder, read_points
from ptdiff_datasets.formats.catalog import read_cloud
from ptdiff_datasets.formats.cloud import Cloud
from ptdiff_datasets.formats.containers import members, opened
from ptdiff_datasets.formats.hdf5 import HDF5_SUFFIXES
from ptdiff_datasets.formats.meshes import MESH_SUFFIXES, read_mesh_or_points, sample_surface, surface_box
from ptdiff_datasets.formats.numerals import Decimal
from ptdiff_datasets.formats.ply import has_surface
from ptdiff_datasets.formats.ply_header import read_header

if TYPE_CHECKING:
    import trimesh

FAR = 64  # distance from the origin, in diagonals, beyond which float32 would blur a shape
Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Dense:
    """A dense cloud of one shape.

    cloud: float32 points minus ``origin``, which is zero unless they lie far away. low, high: bounding box of the whole
    shape in units of the file. count: number of points in the file (0 for a mesh).
    """

    cloud: Cloud
    origin: Vector
    low: Vector
    high: Vector
    count: int


def read_shapes(
    root: Path, shapes: Iterable[Shape], points: int, order: AxisOrder = "auto", decimal: Decimal | None = None
) -> Iterator[tuple[Shape, Dense | Exception]]:
    """Yield each shape of one file with its dense cloud, or with the FormatError or OSError that prevented reading it.

    A shape that also exists in other formats follows in the first of them that can be read, if the file cannot.

    points: number sampled from a mesh, and the most kept of a cloud. order: the axes of arrays. decimal: the
    decimal mark of text tables.
    """
    shapes = list(shapes)
    if shapes[0].place is None:
        for shape in shapes:
            for each in (shape, *shape.instead):
                try:
                    dense = _read(root / each.file, each.id, points, order, decimal)
                except (FormatError, OSError) as error:
                    yield each, error
                else:
                    yield each, dense
                    break
        return
    try:
        with opened(root / shapes[0].file, order) as read:
            for shape in shapes:
                assert shape.place is not None
                try:
                    cloud = read(shape.inside, shape.place)
                    yield shape, _dense(cloud, root / shape.file, shape.id, points)
                except (FormatError, OSError) as error:
                    yield shape, error
    except (FormatError, OSError) as error:
        for shape in shapes:
            yield shape, error


def read_one(path: str | Path, points: int, order: AxisOrder = "auto", decimal: Decimal | None = None) -> Cloud:
    """Read the cloud in a file, or sample ``points`` from the surface of its mesh; FormatError if it holds neither."""
    path = Path(path)
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return read_points(path, order).with_true_normals()
    if path.suffix.lower() in HDF5_SUFFIXES:
        inside = members(path, path.name, Lists(), order) or []
        if len(inside) != 1:
            raise FormatError(path, f"{len(inside):,} clouds, not one: save one of them as .npy or .ply")
        with opened(path, order) as read:
            return read(inside[0].set, inside[0].place).with_true_normals()
    found = _mesh_or_cloud(path, decimal)
    if isinstance(found, Cloud):
        return found.with_true_normals()
    return sample_surface(found, points, address("surface", path.name))


def _read(path: Path, id: str, points: int, order: AxisOrder, decimal: Decimal | None) -> Dense:
    if path.suffix.lower() in HDF5_SUFFIXES:
        members(path, id, Lists())
        raise FormatError(path, "its clouds could not be counted")
    if path.suffix.lower() in ARRAY_SUFFIXES:
        return _dense(read_points(path, order), path, id, points)
    mesh = _mesh_or_cloud(path, decimal)
    if isinstance(mesh, Cloud):
        return _dense(mesh, path, id, points)
    low, high = surface_box(mesh)
    return _packed(sample_surface(mesh, points, address("surface", id)), path, low, high, 0)


def _dense(cloud: Cloud, path: Path, id: str, points: int) -> Dense:
    low, high = cloud.points.min(axis=0).astype(np.float64), cloud.points.max(axis=0).astype(np.float64)
    count = len(cloud)
    if count > points:
        random = np.random.default_rng(address("surface", id))
        cloud = cloud.take(np.sort(random.choice(count, points, replace=False, shuffle=False)))
    return _packed(cloud, path, low, high, count)


def _packed(cloud: Cloud, path: Path, low: Vector, high: Vector, count: int) -> Dense:
    with np.errstate(over="ignore", invalid="ignore"):
        center, diagonal = low / 2 + high / 2, float(np.linalg.norm(high - low))
        if not (np.isfinite(diagonal) and diagonal > 0):
            raise FormatError(path, f"all points coincide or lie too far apart (diagonal {diagonal:g})")
        origin = np.rint(center) if np.abs(center).max() > FAR * diagonal else np.zeros(3)
        points = (cloud.points - origin).astype(np.float32) if origin.any() else cloud.points.astype(np.float32)
    if not np.isfinite(points).all() or not np.isfinite(origin.astype(np.float32)).all():
        raise FormatError(path, "coordinates beyond the range of float32")
    if float(np.ptp(points, axis=0).max()) == 0 and len(points) > 1:
        raise FormatError(path, "all points coincide in float32")
    return Dense(replace(cloud, points=points).with_true_normals(), origin, low, high, count)


def _mesh_or_cloud(path: Path, decimal: Decimal | None) -> "trimesh.Trimesh | Cloud":
    """Read the mesh in a file, or its cloud; a .ply file without faces or strips is a cloud."""
    suffix = path.suffix.lower()
    if suffix not in MESH_SUFFIXES or (suffix == ".ply" and not has_surface(read_header(path.read_bytes(), path))):
        return read_cloud(path, decimal)
    return read_mesh_or_points(path)
