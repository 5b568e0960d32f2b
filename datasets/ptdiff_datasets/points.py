"""Point clouds in files: .npy and .npz arrays and vertex PLY, as (n, 3) coordinates."""

import zipfile
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.ply import read_ply

POINT_SUFFIXES = frozenset({".npy", ".npz", ".ply"})
NAMES = ("points", "pos", "xyz", "pc", "pointcloud", "arr_0")
MEBIBYTE = 1 << 20


def read_points(path: str | Path) -> npt.NDArray[np.floating]:
    """The points of a .npy, .npz or .ply file, (n, 3), float32 or float64 as in the file.

    An array must have shape (n, 3 or more); columns after the third are ignored. An archive must hold one
    under the name points, pos, xyz, pc, pointcloud or arr_0, or hold one array of that shape only. Raises
    FormatError for any other content, for missing bytes, and for NaN or infinite numbers.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".ply":
            return read_ply(path).points
        case ".npy":
            data = path.read_bytes()
            array = _array(BytesIO(data), len(data), path)
        case ".npz":
            array = _archived(path.read_bytes(), path)
        case suffix:
            raise FormatError(path, f"no point cloud format has the suffix {suffix or '(none)'}")
    return _coordinates(array, path)


def _shape(file: IO[bytes], length: int, path: Path) -> tuple[tuple[int, ...], np.dtype[np.generic]]:
    """What the header of a .npy stream of `length` bytes claims, once it is known to be true."""
    form = np.lib.format
    try:
        version = form.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"format version {version}")
        read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
        shape, _, dtype = read(file)
    except (MemoryError, ImportError):
        raise
    except Exception as error:  # the header is a Python literal: whatever its parser raises
        raise FormatError(path, f"not a .npy array: {str(error)[:90]}", 0) from None
    if dtype.kind not in "fiu":
        raise FormatError(path, f"an array of {str(dtype)[:40]}, not of numbers", 0)
    start = file.tell()
    needed, there = prod(shape) * dtype.itemsize, length - start
    if needed != there:
        raise FormatError(path, f"the header claims {needed} bytes of shape {shape}, {there} follow", start)
    return shape, dtype


def _array(file: IO[bytes], length: int, path: Path) -> npt.NDArray[np.generic]:
    _shape(file, length, path)
    file.seek(0)
    array: npt.NDArray[np.generic] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def _archived(data: bytes, path: Path) -> npt.NDArray[np.generic]:
    try:
        with zipfile.ZipFile(BytesIO(data)) as archive:
            member = _chosen(archive, path)
            if member.file_size > 64 * MEBIBYTE + 4 * member.compress_size:
                raise FormatError(path, f"{member.filename} swells to {member.file_size} bytes")
            with archive.open(member) as file:
                return _array(file, member.file_size, path)
    except (FormatError, MemoryError, ImportError):
        raise
    except Exception as error:  # zipfile and zlib raise half a dozen kinds
        raise FormatError(path, f"not a .npz archive: {error}") from None


def _chosen(archive: zipfile.ZipFile, path: Path) -> zipfile.ZipInfo:
    members = {m.filename.removesuffix(".npy"): m for m in archive.infolist() if m.filename.endswith(".npy")}
    for name in NAMES:
        if name in members:
            return members[name]
    clouds = []
    for member in members.values():
        with archive.open(member) as file:
            shape, _ = _shape(file, member.file_size, path)
        if len(shape) == 2 and shape[1] >= 3:
            clouds.append(member)
    if len(clouds) != 1:
        raise FormatError(path, f"no array named {', '.join(NAMES[:-1])} or {NAMES[-1]}")
    return clouds[0]


def _coordinates(array: npt.NDArray[np.generic], path: Path) -> npt.NDArray[np.floating]:
    if array.ndim != 2 or array.shape[1] < 3:
        raise FormatError(path, f"an array of shape {array.shape}, not (points, 3)")
    if len(array) == 0:
        raise FormatError(path, "no points")
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    points: npt.NDArray[np.floating] = array[:, :3].astype(np.float32 if single else np.float64)
    bad = int((~np.isfinite(points).all(axis=1)).sum())
    if bad:
        raise FormatError(path, f"{bad} of {len(points)} points are NaN or infinite")
    return points
