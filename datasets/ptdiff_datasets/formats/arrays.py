"""Point arrays in ``.npy`` and ``.npz`` files: one cloud (n, >= 3), or many of equal size (m, n, >= 3)."""

import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import Cloud, checked, from_table
from ptdiff_datasets.writing import arrays, replacing

ARRAY_SUFFIXES = frozenset({".npy", ".npz"})
NAMES = ("points", "pos", "xyz", "pc", "pointcloud", "samples", "arr_0")
NORMALS, COLORS, LABELS = ("normals", "normal"), ("colors", "rgb"), ("label", "labels")
MEBIBYTE = 1 << 20
Array = npt.NDArray[np.generic]


@dataclass(frozen=True, eq=False)
class Arrays:
    """Contents of one file: points (n, c) or (m, n, c), normals and colors of that shape with c = 3, labels (m,)."""

    points: Array
    normals: Array | None = None
    colors: Array | None = None
    labels: Array | None = None

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
        if normals is None and colors is None:
            return from_table(path, part)
        return checked(path, part[:, :3], normals, colors)


def read_points(path: str | Path) -> Cloud:
    """Read the cloud in a ``.npy`` or ``.npz`` file.

    An array must have shape (n, >= 3); the meaning of the other columns is guessed as in ``from_table``. An archive
    must hold an array named points, pos, xyz, pc, pointcloud, samples or arr_0, or exactly one array of that shape;
    normals and colors are read from the same archive. Raises FormatError for any other content, missing bytes, and NaN
    or infinite values.
    """
    path = Path(path)
    found = read_arrays(path)
    if found.many or found.points.ndim != 2 or found.points.shape[1] < 3:
        raise FormatError(path, f"an array of shape {found.points.shape}, not (points, 3)")
    return found.cloud(path)


def read_arrays(path: Path) -> Arrays:
    """Read the arrays of a ``.npy`` or ``.npz`` file, one cloud or many; FormatError if it is broken."""
    data = path.read_bytes()
    if path.suffix.lower() == ".npy":
        return Arrays(_array(BytesIO(data), len(data), path))
    return _archived(data, path)


def holds_many(path: Path) -> bool:
    """True if a ``.npy`` or ``.npz`` file holds an array (m, n, >= 3); only its header is read."""
    if path.suffix.lower() == ".npy":
        with path.open("rb") as file:
            shape, _ = _shape(file, path.stat().st_size, path)
        return len(shape) == 3
    with _archive(path, path) as archive:
        members = _members(archive)
        with archive.open(_chosen(archive, members, path)) as file:
            return len(_claimed(file, path)[0]) == 3


def _claimed(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
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
    if dtype.kind not in "fiu":
        raise FormatError(path, f"an array of {str(dtype)[:40]}, not of numbers", 0)
    return shape, dtype


def _shape(file: IO[bytes], length: int, path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """Parse the header of a ``.npy`` stream of ``length`` bytes and check it against that length."""
    shape, dtype = _claimed(file, path)
    start = file.tell()
    needed, there = prod(shape) * dtype.itemsize, length - start
    if needed != there:
        raise FormatError(path, f"the header claims {needed} bytes of shape {shape}, but {there} follow", start)
    return shape, dtype


def _array(file: IO[bytes], length: int, path: Path) -> Array:
    _shape(file, length, path)
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


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}


def _archived(data: bytes, path: Path) -> Arrays:
    with _archive(BytesIO(data), path) as archive:
        members = _members(archive)
        points = _member(archive, _chosen(archive, members, path), path)
        beside = {
            key: next((_member(archive, members[name], path) for name in names if name in members), None)
            for key, names in (("normals", NORMALS), ("colors", COLORS), ("labels", LABELS))
        }
    for key in ("normals", "colors"):
        array = beside[key]
        if array is not None and array.shape != (*points.shape[:-1], 3):
            raise FormatError(path, f"{key} of shape {array.shape} for points of shape {points.shape}")
    labels = beside["labels"]
    if labels is not None and (labels.shape != points.shape[:1] or labels.dtype.kind not in "iu"):
        beside["labels"] = None
    return Arrays(points, **beside)


def _member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> Array:
    if member.file_size > 64 * MEBIBYTE + 4 * member.compress_size:
        raise FormatError(path, f"{member.filename} would decompress to {member.file_size} bytes")
    with archive.open(member) as file:
        return _array(file, member.file_size, path)


def _chosen(archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], path: Path) -> zipfile.ZipInfo:
    for name in NAMES:
        if name in members:
            return members[name]
    clouds = []
    for member in members.values():
        with archive.open(member) as file:
            shape, _ = _shape(file, member.file_size, path)
        if len(shape) in (2, 3) and shape[-1] >= 3:
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
