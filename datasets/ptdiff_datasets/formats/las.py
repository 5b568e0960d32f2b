"""LAS and LAZ files of laser scanners (ASPRS, versions 1.0 to 1.4), read and written by laspy.

Header claims are compared with the length of the file before laspy sees it. Needs the packages laspy and lazrs
(``pip install ptdiff[las]``).
"""

import io
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError, needed
from ptdiff_datasets.formats.cloud import Cloud, checked
from ptdiff_datasets.writing import arrays, replacing

LAS_SUFFIXES = frozenset({".las", ".laz"})
CLASSES = {
    0: "never classified", 1: "unclassified", 2: "ground", 3: "low vegetation", 4: "medium vegetation",
    5: "high vegetation", 6: "building", 7: "low noise", 9: "water", 10: "rail", 11: "road surface", 13: "wire guard",
    14: "wire conductor", 15: "transmission tower", 16: "wire connector", 17: "bridge deck", 18: "high noise",
    19: "overhead structure", 20: "ignored ground", 21: "snow", 22: "temporal exclusion",
}  # fmt: skip
"""Names of the classes of points (ASPRS, LAS Specification 1.4 R15, table 17)."""
CHUNK = 1 << 16  # points decompressed at once
RATIO = 64  # bytes of points that one byte of a .laz file may hold


def read_las(path: str | Path) -> Cloud:
    """Read the points of a LAS or LAZ file, (n, 3) float64 in its units, with colors if it has them.

    A remark counts the points of each class (``CLASSES``). COPC files are LAZ files with the points in the order of an
    octree, of which all levels are read. FormatError for missing bytes, a broken compressed stream, no points, NaN and
    infinity.
    """
    path = Path(path)
    data = path.read_bytes()
    count = _check(data, path)
    laspy = needed("laspy", "las", path)
    needed("lazrs", "las", path)
    points, classes = np.empty((count, 3)), np.zeros(256, np.int64)
    colors = None
    done = 0
    try:
        # not the parallel backend, which trusts the chunk table and ends the process if memory runs short
        backend = laspy.LazBackend.Lazrs
        with (
            np.errstate(over="ignore"),
            laspy.open(io.BytesIO(data), read_evlrs=False, laz_backend=backend) as file,
        ):
            if {"red", "green", "blue"} <= set(file.header.point_format.dimension_names):
                colors = np.empty((count, 3), np.uint16)
            for chunk in file.chunk_iterator(CHUNK):
                rows = slice(done, done + len(chunk))
                for axis, name in enumerate("xyz"):
                    points[rows, axis] = getattr(chunk, name)
                if colors is not None:
                    for axis, name in enumerate(("red", "green", "blue")):
                        colors[rows, axis] = getattr(chunk, name)
                classes += np.bincount(np.asarray(chunk.classification), minlength=256)
                done += len(chunk)
    except (MemoryError, ImportError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of the decompressor is not an Exception
        if type(error).__name__ != "PanicException" and not isinstance(error, Exception):
            raise
        raise FormatError(path, f"{type(error).__name__}: {str(error)[:100]}") from None
    if done != count:
        raise FormatError(path, f"the header claims {count} points, but {done} could be read")
    cloud = checked(path, points, None, colors)
    found = {number: int(n) for number, n in enumerate(classes) if n}
    if found.keys() <= {0}:
        return cloud
    most = sorted(found, key=lambda number: (-found[number], number))
    shown = ", ".join(f"{CLASSES.get(number, f'class {number}')} {found[number]:,}" for number in most[:6])
    remark = f"points by class, which are read as one cloud: {shown}{', …' if len(most) > 6 else ''}"
    return replace(cloud, remarks=(*cloud.remarks, remark))


def _check(data: bytes, path: Path) -> int:
    """Return the number of points after checking that header, leading records and points lie within the file."""
    if len(data) < 227 or data[:4] != b"LASF":
        raise FormatError(path, "not a LAS file", 0)
    major, minor = data[24:26]
    size, start, extra, kind, record, count = struct.unpack_from("<HIIBHI", data, 94)
    if major != 1 or minor > 4 or size < (375 if minor == 4 else 227) or size > start or start > len(data):
        raise FormatError(path, f"unsupported header: version {major}.{minor}, {size} bytes, points from {start}", 24)
    if minor == 4:
        after, more, wide = struct.unpack_from("<QIQ", data, 235)
        count = wide or count
        if more and after + 60 * more > len(data):
            raise FormatError(path, f"it claims {more} records after the points, beyond its end", 235)
    at, packing = size, b""
    for _ in range(extra):
        if at + 54 > start:
            raise FormatError(path, f"the header claims {extra} records, which do not fit before byte {start}", 100)
        length = int(struct.unpack_from("<H", data, at + 20)[0])
        if data[at + 2 : at + 16] == b"laszip encoded":
            packing = data[at + 54 : at + 54 + length]
        at += 54 + length
    if at > start:
        raise FormatError(path, "a record reaches into the points", 100)
    if count == 0:
        raise FormatError(path, "no points", 107)
    there = len(data) - start
    if kind & 0x80:
        layers = _layers(packing, record, path)
        end = _table(data, start, record, path) if packing[:2] != b"\1\0" else len(data)
        if layers:
            chunks = _chunks(data, start + 8, end, record, layers, path)
            _check_number(chunks, count, int(struct.unpack_from("<I", packing, 12)[0]), path)
        there = RATIO * there + (1 << 20)
    if record < 20 or count * record > there:
        raise FormatError(path, f"it claims {count} points of {record} bytes, but {len(data) - start} follow", 107)
    return int(count)


VARIABLE = 0xFFFFFFFF  # chunks of variable size
LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}
"""Layers of each item of a compressed point: coordinates, color, color and infrared, waveform. Extra bytes (14) have
one layer each; the items of older versions have none.
"""


def _layers(packing: bytes, record: int, path: Path) -> int:
    """Return the number of layers of a compressed chunk; the items must add up to the size of a point."""
    parts = struct.unpack_from("<H", packing, 32)[0] if len(packing) >= 34 else 0
    if not parts or len(packing) < 34 + 6 * parts:
        raise FormatError(path, "no record says how the points are compressed", 100)
    found = [struct.unpack_from("<2H", packing, 34 + 6 * i) for i in range(parts)]
    if (total := sum(size for _, size in found)) != record:
        raise FormatError(path, f"compressed points of {total} bytes, but the header says {record}", 105)
    layers = sum(size if kind == 14 else LAYERS.get(kind, 0) for kind, size in found)
    way = struct.unpack_from("<H", packing)[0]
    if way not in ((3,) if layers else (1, 2)):
        raise FormatError(path, f"points of {layers} layers cannot have compression {way}", 100)
    return layers


def _check_number(chunks: int, count: int, size: int, path: Path) -> None:
    """Check that chunks of a fixed size hold ``count`` points: beyond them, any bytes would be read as a length."""
    if size != VARIABLE and (size == 0 or chunks != -(-count // size)):
        raise FormatError(path, f"{count} points do not fit {chunks} chunks of {size}", 107)


def _chunks(data: bytes, at: int, end: int, record: int, layers: int, path: Path) -> int:
    """Count the chunks; each (a whole point, a count, the lengths of its layers, the layers) must lie in the file."""
    number = 0
    while at < end:
        number += 1
        sizes = at + record + 4
        if sizes + 4 * layers > end:
            raise FormatError(path, "a chunk of points is truncated", at)
        after = sizes + 4 * layers + sum(struct.unpack_from(f"<{layers}I", data, sizes))
        if after > end:
            raise FormatError(path, f"a chunk claims {after - at} bytes, but {end - at} follow", at)
        at = after
    return number


def _table(data: bytes, start: int, record: int, path: Path) -> int:
    """Return the offset of the chunk table, which follows the compressed points and must fit into the file."""
    if len(data) < start + 8:
        raise FormatError(path, "the file ends before the compressed points", start)
    (table,) = struct.unpack_from("<q", data, start)
    if table == -1:
        (table,) = struct.unpack_from("<q", data, len(data) - 8)
    if not start + 8 <= table <= len(data) - 8:
        raise FormatError(path, f"the chunk table would lie at byte {table}, outside the file", start)
    _, chunks = struct.unpack_from("<2I", data, table)
    if chunks * record > len(data):  # each begins with a whole point
        raise FormatError(path, f"it claims {chunks} chunks, more than fit into the file", table)
    return int(table)


def write_las(
    path: str | Path,
    points: npt.ArrayLike,
    normals: npt.ArrayLike | None = None,
    colors: npt.ArrayLike | None = None,
) -> None:
    """Write points (n, 3) and optional colors (n, 3) uint8 as LAS 1.2, or as LAZ if the path ends in ``.laz``.

    Coordinates are rounded to a power of ten near a billionth of the largest extent. ValueError for normals, which the
    format cannot hold.
    """
    if normals is not None:
        raise ValueError("a LAS file cannot hold normals: write .ply, .pcd or .npz")
    cloud = arrays(points, None, colors)
    laspy: Any = needed("laspy", "las", path)
    center = np.round(cloud.points.mean(axis=0, dtype=np.float64))
    reach = float(np.abs(cloud.points - center).max())
    header = laspy.LasHeader(point_format=0 if cloud.colors is None else 2, version="1.2")
    header.offsets = center
    header.scales = np.full(3, 10.0 ** np.ceil(np.log10(max(reach, 1e-30) / 2e9)))
    file = laspy.LasData(header)
    file.x, file.y, file.z = cloud.points.astype(np.float64).T
    if cloud.colors is not None:
        file.red, file.green, file.blue = cloud.colors.astype(np.uint16).T * np.uint16(257)
    stream = io.BytesIO()
    file.write(stream, do_compress=Path(path).suffix.lower() == ".laz")
    with replacing(path) as out:
        out.write(stream.getvalue())
