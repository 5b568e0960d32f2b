"""PCD files of the Point Cloud Library: ascii, binary and binary_compressed, with normals and colors.

A text header (VERSION, FIELDS, SIZE, TYPE, COUNT, WIDTH, HEIGHT, VIEWPOINT, POINTS, DATA), then rows of text, packed
records, or LZF-compressed columns after their two lengths. A color is 0x00RRGGBB in the bits of one float or integer
called rgb or rgba, or three fields. Organized clouds (HEIGHT > 1) have NaN where the camera saw nothing.
"""

import struct
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats import lzf
from ptdiff_datasets.formats.cloud import Cloud, as_declared, from_columns
from ptdiff_datasets.formats.text import parse
from ptdiff_datasets.writing import arrays, replacing

KINDS = {"F": "f", "I": "i", "U": "u"}
SIZES = {"F": ("4", "8"), "I": ("1", "2", "4", "8"), "U": ("1", "2", "4", "8")}
SWELL = 64 << 20  # bytes that any file, however small, may decompress to


@dataclass(frozen=True)
class Header:
    """A parsed header: ``fields`` are (name, type, count), ``size`` is its length in bytes."""

    fields: tuple[tuple[str, str, int], ...]
    points: int
    encoding: str
    size: int

    @property
    def record(self) -> int:
        """Bytes per point."""
        return sum(np.dtype(kind).itemsize * count for _, kind, count in self.fields)


def read_pcd(path: str | Path) -> Cloud:
    """Read the points of a PCD file; bytes after the points that hold no other are left out with a remark.

    Raises FormatError for missing or other surplus bytes, missing x, y or z, and infinite values.
    """
    path = Path(path)
    data = path.read_bytes()
    header = _header(data, path)
    columns = {"ascii": _text, "binary": _binary, "binary_compressed": _compressed}[header.encoding](data, header, path)
    cloud = from_columns(path, columns)
    behind = 0
    if header.encoding == "binary":
        behind = len(data) - header.size - header.points * header.record
    elif header.encoding == "binary_compressed":
        behind = len(data) - header.size - 8 - struct.unpack_from("<I", data, header.size)[0]
    if behind <= 2:
        return cloud
    return replace(cloud, remarks=(*cloud.remarks, f"bytes left out after the points: {behind}"))


Columns = dict[str, npt.NDArray[np.generic]]

_VECTORS = {"xyz": "xyz", "rgb": "rgb", "rgba": "rgb", "normal": ("nx", "ny", "nz"), "normals": ("nx", "ny", "nz")}
"""Fields of several numbers that some programs write for three fields of one."""


def _named(name: str, field: npt.NDArray[np.generic]) -> Columns:
    """Return a field (n, count) as columns: its first number, or all of a vector."""
    parts = _VECTORS.get(name.lower(), ())
    if 3 <= field.shape[1] <= 4 and parts:
        return dict(zip(parts, field.T, strict=False))
    return {name: field[:, 0]}


def _header(data: bytes, path: Path) -> Header:
    said: dict[str, list[str]] = {}
    at = 0
    while "DATA" not in said:
        end = data.find(b"\n", at, at + 4096)
        if end < 0:
            raise FormatError(path, "the header never ends" if said else "not a PCD file", at)
        words = data[at:end].split(b"#")[0].decode("latin-1").split()
        if words and words[0] not in _KEYS:
            raise FormatError(path, f"unknown line {' '.join(words)[:60]!r} in the header", at)
        if words:
            said[words[0]] = words[1:]
        at = end + 1
    try:
        names, sizes, kinds = said["FIELDS"], said["SIZE"], said["TYPE"]
        counts = [_whole(c) for c in said.get("COUNT", ["1"] * len(names))]
        if any(size not in SIZES[kind] for kind, size in zip(kinds, sizes, strict=True)):
            raise ValueError("a type with an unsupported size")
        types = [KINDS[kind] + size for kind, size in zip(kinds, sizes, strict=True)]
        fields = tuple(zip(names, types, counts, strict=True))
        width, height = (_whole(said[key][0]) for key in ("WIDTH", "HEIGHT"))
        points = _whole(said["POINTS"][0]) if "POINTS" in said else width * height
        (encoding,) = said["DATA"]
    except (KeyError, IndexError, ValueError) as error:
        raise FormatError(path, f"inconsistent header: {error}", 0) from None
    if points != width * height or encoding not in ("ascii", "binary", "binary_compressed"):
        raise FormatError(path, f"{points} points for {width} times {height}, data {encoding[:20]!r}", 0)
    header = Header(fields, points, encoding, at)
    least = 2 * sum(counts) if encoding == "ascii" else header.record
    if encoding != "binary_compressed" and points * least > len(data) - at + 1:
        there = len(data) - at
        raise FormatError(path, f"the header claims {points} points: {points * least} bytes, but {there} follow", at)
    return header


_KEYS = frozenset(
    {"VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS", "DATA", "COLUMNS"}
)


def _whole(word: str) -> int:
    if not word.isdecimal() or len(word) > 12:
        raise ValueError(f"{word[:20]!r} is not a count")
    return int(word)


def _text(data: bytes, header: Header, path: Path) -> Columns:
    table = parse(BytesIO(data[header.size :]), path, None)
    width = sum(count for _, _, count in header.fields)
    if table.shape != (header.points, width):
        found = f"{len(table)} rows of {table.shape[1]} numbers follow"
        raise FormatError(path, f"the header claims {header.points} rows of {width}, but {found}", header.size)
    columns: Columns = {}
    at = 0
    for name, kind, count in header.fields:
        column = table[:, at : at + count]
        if not count:
            continue
        if kind[0] != "f":
            limits = np.iinfo(kind)
            highest = float(limits.max) if limits.bits < 64 else np.nextafter(float(limits.max), 0)
            column = np.clip(np.nan_to_num(column), float(limits.min), highest)
            columns |= _named(name, column.astype(kind))
        elif count == 1:
            columns[name] = as_declared(name, column[:, 0], kind)
        else:
            with np.errstate(over="ignore"):
                columns |= _named(name, column.astype(kind))
        at += count
    packed = next((columns[name] for name in ("rgb", "rgba") if name in columns), np.zeros(0))
    if packed.dtype.kind == "f" and len(packed) and {"x", "y", "z"} <= columns.keys():
        # the bits of a color make a NaN if its first byte is 255, and text does not keep them
        lost = np.isnan(packed) & ~np.isnan(columns["x"].astype(np.float64))
        if lost.any():
            raise FormatError(path, f"{int(lost.sum())} of {len(lost)} colors are NaN; write them as integers (TYPE U)")
    return columns


def _binary(data: bytes, header: Header, path: Path) -> Columns:
    there, needed = len(data) - header.size, header.points * header.record
    # after the points there may be less than another one, or zeros up to a block of the disk
    few = max(3, header.record)
    if there < needed or (there >= needed + few and data[header.size + needed :].strip(b"\0")):
        raise FormatError(path, f"the header claims {needed} bytes of points, but {there} follow", header.size)
    # Padding fields may share a name, which numpy refuses: number the fields.
    fields = [(str(i), "<" + kind, (count,)) for i, (_, kind, count) in enumerate(header.fields)]
    records = np.frombuffer(data, np.dtype(fields), header.points, header.size)
    columns: Columns = {}
    for i, (name, _, count) in enumerate(header.fields):
        if count:
            columns |= _named(name, records[str(i)])
    return columns


def _compressed(data: bytes, header: Header, path: Path) -> Columns:
    at = header.size + 8
    if len(data) < at:
        raise FormatError(path, "the file ends before the compressed data", header.size)
    packed, unpacked = struct.unpack_from("<2I", data, header.size)
    if packed > len(data) - at:
        raise FormatError(path, f"{packed} compressed bytes are claimed, but {len(data) - at} follow", header.size)
    if unpacked != header.points * header.record:
        needed = header.points * header.record
        raise FormatError(path, f"{unpacked} bytes are claimed for {needed} bytes of points", header.size + 4)
    if unpacked > min(lzf.LONGEST * packed, SWELL + 4 * packed):
        raise FormatError(path, f"{packed} bytes would decompress to {unpacked}", header.size)
    try:
        whole = lzf.decompress(data[at : at + packed], unpacked)
    except ValueError as error:
        raise FormatError(path, str(error), at) from None
    columns: Columns = {}
    begin = 0
    for name, kind, count in header.fields:
        size = np.dtype(kind).itemsize * count * header.points
        if count:
            # a compressed field of several numbers holds them point by point
            columns |= _named(name, np.frombuffer(whole, "<" + kind, count * header.points, begin).reshape(-1, count))
        begin += size
    return columns


def write_pcd(
    path: str | Path,
    points: npt.ArrayLike,
    normals: npt.ArrayLike | None = None,
    colors: npt.ArrayLike | None = None,
) -> None:
    """Write points (n, 3), optional normals (n, 3) and colors (n, 3) uint8 as binary PCD, atomically."""
    cloud = arrays(points, normals, colors)
    size = cloud.points.dtype.itemsize
    fields: list[tuple[str, str, npt.NDArray[np.generic]]] = [
        (name, f"<f{size}", cloud.points[:, i]) for i, name in enumerate("xyz")
    ]
    if cloud.normals is not None:
        fields += [(f"normal_{name}", "<f4", cloud.normals[:, i]) for i, name in enumerate("xyz")]
    if cloud.colors is not None:
        red, green, blue = cloud.colors.astype(np.uint32).T
        fields.append(("rgb", "<u4", red << 16 | green << 8 | blue))
    records = np.empty(len(cloud), np.dtype([(name, kind) for name, kind, _ in fields]))
    for name, _, column in fields:
        records[name] = column
    lines = {
        "VERSION": "0.7",
        "FIELDS": " ".join(name for name, _, _ in fields),
        "SIZE": " ".join(kind[2] for _, kind, _ in fields),
        "TYPE": " ".join(kind[1].upper() for _, kind, _ in fields),
        "COUNT": " ".join("1" for _ in fields),
        "WIDTH": len(cloud),
        "HEIGHT": 1,
        "VIEWPOINT": "0 0 0 1 0 0 0",
        "POINTS": len(cloud),
        "DATA": "binary",
    }
    with replacing(path) as file:
        file.write("".join(f"{key} {value}\n" for key, value in lines.items()).encode("ascii"))
        file.write(records.tobytes())
