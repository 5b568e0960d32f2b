"""Point arrays in ``.npy`` and ``.npz`` files: one cloud (n, >= 3), or many of equal size (m, n, >= 3)."""

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import Cloud, checked, from_columns, from_table
from ptdiff_datasets.formats.labels import CLASSES, LABELS, Labels, stored_labels
from ptdiff_datasets.writing import arrays, replacing

ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
NAMES = ("points", "pos", "xyz", "pc", "pointcloud", "samples", "arr_0")
NORMALS = ("normals", "normal", "vertex_normals", "point_normals")
COLORS = ("colors", "rgb", "color", "colours", "colour", "vertex_colors", "point_colors", "rgba")
FACES = ("faces", "triangles", "face", "edges", "indices")
MEBIBYTE = 1 << 20
Array = npt.NDArray[np.generic]
AxisOrder = Literal["auto", "channels-last", "channels-first"]
"""Axes of arrays: (…, n, 3), (…, 3, n), or the first of them where it cannot be the other."""


def in_order(path: Path, array: Array, order: AxisOrder, whole: tuple[int, ...] | None = None) -> Array:
    """Return an array of points (…, n, c), whatever its order; FormatError if only the user can know it.

    whole: the shape of the array that ``array`` is a part of, for the message.
    """
    if order == "channels-first":
        return np.swapaxes(array, -1, -2)
    n, channels = array.shape[-2:]
    if order == "auto" and n > 0 and (n <= 3 or channels > n):
        shape = array.shape if whole is None else whole
        many = f"{n} points of {channels} numbers or {channels} of {n}"
        raise FormatError(
            path, f"an array of shape {shape}: {many}? -o layout=channels-last or channels-first says which"
        )
    return array


@dataclass(frozen=True, eq=False)
class Arrays:
    """Contents of one file: points (n, c) or (m, n, c), normals and colors of that shape with c = 3.

    points may also be a structured array (n,) with fields x, y, z and others. labels: a class for each cloud.
    """

    points: Array
    normals: Array | None = None
    colors: Array | None = None
    labels: Labels | None = None
    remarks: tuple[str, ...] = ()

    @property
    def many(self) -> bool:
        """True if the file holds many clouds, (m, n, c)."""
        return self.points.ndim == 3

    def cloud(self, path: Path, place: int | None = None) -> Cloud:
        """Return the only cloud of the file, or cloud number ``place``; FormatError for invalid values."""
        part, normals, colors = (
            array if array is None or place is None else array[place]
            for array in (self.points, self.normals, self.colors)
        )
        assert part is not None
        fields: Any = part  # of a structured array
        if part.dtype.names is not None:
            cloud = from_columns(path, {name: fields[name] for name in part.dtype.names})
        elif normals is None and colors is None:
            cloud = from_table(path, part)
        else:
            cloud = checked(path, part[:, :3], normals, colors)
            if more := part.shape[1] - 3:
                cloud = replace(cloud, remarks=(*cloud.remarks, f"columns left out after x, y and z: {more}"))
        return replace(cloud, remarks=(*cloud.remarks, *self.remarks))


def read_points(path: str | Path, order: AxisOrder = "auto") -> Cloud:
    """Read the cloud in a ``.npy`` or ``.npz`` file.

    An array must have shape (n, >= 3), or (>= 3, n) if ``order`` is channels-first; the meaning of the other columns is
    guessed as in ``from_table``. A structured array has fields x, y, z. An archive
    must hold an array named points, pos, xyz, pc, pointcloud, samples or arr_0, or exactly one array of that shape;
    normals and colors are read from the same archive. Raises FormatError for any other content, missing bytes, and NaN
    or infinite values.
    """
    path = Path(path)
    found = read_arrays(path, order)
    if found.many:
        raise FormatError(path, f"an array of shape {found.points.shape}, not (points, 3)")
    return found.cloud(path)


def read_arrays(path: Path, order: AxisOrder = "auto") -> Arrays:
    """Read the arrays of a ``.npy`` or ``.npz`` file, one cloud or many.

    FormatError if it is broken, if points have other shapes than (n, c) or (m, n, c), and if the order of the axes is
    unclear.
    """
    data = path.read_bytes()
    if path.suffix.lower() == ".npy":
        behind = _behind(data, path)
        points = _ordered(path, _array(BytesIO(data), len(data) - behind, path), order)
        return Arrays(points, remarks=(f"bytes left out after the array: {behind}",) * bool(behind))
    return _archived(data, path, order)


def _ordered(path: Path, points: Array, order: AxisOrder) -> Array:
    """Return points (n, c), (m, n, c) or structured (n,)."""
    if points.dtype.names is not None:
        if points.ndim != 1:
            raise FormatError(
                path, f"an array of shape {points.shape} with fields {', '.join(points.dtype.names)[:60]}"
            )
        return points
    channels = -2 if order == "channels-first" else -1
    if points.ndim not in (2, 3) or points.shape[channels] < 3:
        raise FormatError(path, f"an array of shape {points.shape}, neither (points, 3) nor (clouds, points, 3)")
    return in_order(path, points, order)


def holds_many(path: Path) -> bool:
    """True if a ``.npy`` or ``.npz`` file holds an array (m, n, >= 3); only its header is read."""
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            shape, _ = _claimed(file, path)
        return len(shape) == 3
    with _archive(path, path) as archive:
        members = _members(archive)
        with archive.open(_chosen(archive, members, path)) as file:
            return len(_claimed(file, path)[0]) == 3


def _claimed(file: IO[bytes], path: Path, kinds: str = "fiu") -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Parse shape and dtype in the header of a ``.npy`` stream."""
    form = np.lib.format
    try:
        version = form.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format version {version}")
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, _, dtype = read(file)
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # the header is a Python literal: its parser may raise anything
        raise FormatError(path, f"not a .npy array: {str(error)[:90]}", 0) from None
    if dtype.hasobject or (dtype.names is None and dtype.kind not in kinds):
        raise FormatError(path, f"an array of {str(dtype)[:40]}, not of numbers", 0)
    if dtype.names is not None and any(dtype[name].kind not in "fiu" or dtype[name].shape for name in dtype.names):
        raise FormatError(path, f"an array of {str(dtype)[:60]}, not of numbers", 0)
    return shape, dtype


def _shape(
    file: IO[bytes], length: int, path: Path, kinds: str = "fiu"
) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Parse the header of a ``.npy`` stream of ``length`` bytes and check it against that length."""
    shape, dtype = _claimed(file, path, kinds)
    start = file.tell()
    needed, there = prod(shape) * dtype.itemsize, length - start
    if needed != there:
        raise FormatError(path, f"the header claims {needed} bytes of shape {shape}, but {there} follow", start)
    return shape, dtype


def _behind(data: bytes, path: Path) -> int:
    """Count the bytes behind an array in ``data`` if they are fewer than one of its rows and begin no other array."""
    file = BytesIO(data)
    shape, dtype = _claimed(file, path)
    behind = len(data) - file.tell() - prod(shape) * dtype.itemsize
    row = (shape[-1] if len(shape) > 1 else 1) * dtype.itemsize
    return behind if 0 < behind < row and np.lib.format.MAGIC_PREFIX not in data[-behind:] else 0


def _array(file: IO[bytes], length: int, path: Path, kinds: str = "fiu") -> Array:
    _shape(file, length, path, kinds)
    file.seek(0)
    array: Array = np.lib.format.read_array(file, allow_pickle=False)
    return array


@contextmanager
def _archive(source: Path | BytesIO, path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(source) as archive:
            yield archive
    except (FormatError, MemoryError, ImportError):
        raise
    except Exception as error:  # zipfile and zlib raise half a dozen kinds
        raise FormatError(path, f"not a .npz archive: {error}") from None


def named(names: tuple[str, ...], there: Iterable[str]) -> str | None:
    """Find the array with the first of ``names`` among those of a file, in upper or lower case; None without one."""
    by_lower = {name.lower(): name for name in there}
    return next((by_lower[name] for name in names if name in by_lower), None)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}


def _archived(data: bytes, path: Path, order: AxisOrder) -> Arrays:
    with _archive(BytesIO(data), path) as archive:
        members = _members(archive)
        chosen = _chosen(archive, members, path)
        points = _ordered(path, _member(archive, chosen, path), order)
        roles = {"normals": named(NORMALS, members), "colors": named(COLORS, members)}
        beside = {
            key: None if found is None else _member(archive, members[found], path) for key, found in roles.items()
        }
        for key, array in beside.items():
            if array is not None and array.ndim == points.ndim > 1 and order == "channels-first":
                beside[key] = array = np.swapaxes(array, -1, -2)
            if array is not None and key == "colors" and array.ndim > 1 and array.shape[-1] == 4 != points.shape[-1]:
                beside[key] = array = array[..., :3]  # opacity is left out
            if array is not None and array.shape != (*_full(points)[:-1], 3):
                raise FormatError(path, f"{key} of shape {array.shape} for points of shape {points.shape}")
        others = [name for name, member in members.items() if member is not chosen]
        labels, remarks = stored_labels(
            path, others, lambda name: _member(archive, members[name], path, f"{name}: "), _full(points)
        )
        read = {*roles.values(), *(name for name in others if name.lower() in (*LABELS, *CLASSES))}
        if rest := [name for name in others if name not in read]:
            remarks = (*remarks, f"arrays left out: {', '.join(rest[:8])}{', …' if len(rest) > 8 else ''}")
    return Arrays(points, **beside, labels=labels, remarks=remarks)


def _full(points: Array) -> tuple[int, ...]:
    return points.shape if points.dtype.names is None else (*points.shape, len(points.dtype.names))


def own_labels(path: Path, order: AxisOrder = "auto") -> Labels | None:
    """Return the class that a ``.npz`` file stores for its only cloud, or None."""
    with _archive(path, path) as archive:
        there = {name.lower() for name in _members(archive)}
    return read_arrays(path, order).labels if there & {*LABELS} else None


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, said: str = "") -> Array:
    if member.file_size > 64 * MEBIBYTE + 4 * member.compress_size:
        raise FormatError(path, f"{member.filename} would decompress to {member.file_size} bytes")
    with archive.open(member) as file:
        if not said:
            return _array(file, member.file_size, path)
        try:
            return _array(file, member.file_size, path, "fiubUS")
        except FormatError as error:
            raise FormatError(path, said + error.reason) from None


_ANY = "fiubUScmM"  # kinds of arrays that may lie beside the points


def _chosen(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path) -> zipfile.ZipInfo:
    if (name := named(NAMES, members)) is not None:
        return members[name]
    clouds = []
    for name, member in members.items():
        if name.lower() in (*NORMALS, *COLORS, *LABELS, *CLASSES, *FACES):
            continue
        with archive.open(member) as file:
            shape, dtype = _shape(file, member.file_size, path, _ANY)
        if (dtype.kind in "fiu" and len(shape) in (2, 3) and shape[-1] >= 3) or dtype.names is not None:
            clouds.append(member)
    if len(clouds) != 1:
        raise FormatError(path, f"no array named {', '.join(NAMES[:-1])} or {NAMES[-1]}")
    return clouds[0]


def write_npy(
    path: str | Path,
    points: npt.ArrayLike,
    normals: npt.ArrayLike | None = None,
    colors: npt.ArrayLike | None = None,
) -> None:
    """Write points (n, 3) as ``.npy``, atomically. ValueError for normals or colors, which only ``.npz`` can name."""
    if normals is not None or colors is not None:
        raise ValueError("a .npy file holds only points: write .npz, .ply or .pcd to keep normals and colors")
    with replacing(path) as file:
        np.lib.format.write_array(file, arrays(points, None, None).points, allow_pickle=False)


def write_npz(
    path: str | Path,
    points: npt.ArrayLike,
    normals: npt.ArrayLike | None = None,
    colors: npt.ArrayLike | None = None,
) -> None:
    """Write points (n, 3), optional normals (n, 3) and colors (n, 3) uint8 as ``.npz``, atomically."""
    cloud = arrays(points, normals, colors)
    parts = {"points": cloud.points, "normals": cloud.normals, "colors": cloud.colors}
    named: dict[str, Any] = {name: array for name, array in parts.items() if array is not None}
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **named)
