"""PLY files: a strict reader and an atomic writer of points with normals and colors.

The format (Turk, 1994): a text header that declares elements ("vertex", "face", ...) and their properties, then the
records, as text or binary. Whatever the header claims is compared with the length of the file before anything is
allocated. Faces are left to `meshes`.
"""

import os
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4", "float": "f4", "double": "f8",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4", "float32": "f4",
    "float64": "f8",
}  # fmt: skip
ORDER = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}
LINES = 1 << 15  # records of a text file that are converted at once


@dataclass(frozen=True)
class Property:
    name: str
    dtype: str
    length: str | None = None  # the type of the count in front of a list


@dataclass(frozen=True)
class Element:
    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def lists(self) -> bool:
        return any(p.length for p in self.properties)

    def least(self, text: bool) -> int:
        """The fewest bytes that one record can take (the empty list for each list)."""
        if text:
            return 2 * len(self.properties)
        return sum(np.dtype(p.length or p.dtype).itemsize for p in self.properties)


@dataclass(frozen=True)
class Header:
    order: str  # "" for text, else "<" or ">"
    elements: tuple[Element, ...]
    size: int  # bytes

    def count(self, name: str) -> int:
        return sum(e.count for e in self.elements if e.name == name)


@dataclass(frozen=True)
class Ply:
    """`points` (n, 3) float32 or float64 as in the file, `normals` (n, 3) float32, `colors` (n, 3) uint8."""

    points: npt.NDArray[np.floating]
    normals: npt.NDArray[np.float32] | None = None
    colors: npt.NDArray[np.uint8] | None = None


def read_header(data: bytes, path: Path) -> Header:
    """The header of a PLY file whose content is `data`; FormatError if it claims more than the file holds."""
    if not data.startswith((b"ply\n", b"ply\r\n")):
        raise FormatError(path, "not a PLY file", 0)
    order: str | None = None
    elements: list[Element] = []
    at = 0
    while True:
        end = data.find(b"\n", at, at + 4096)
        if end < 0:
            raise FormatError(path, "the header never ends", at)
        words = data[at:end].decode("latin-1").split()
        start, at = at, end + 1
        match words:
            case ["end_header"]:
                break
            case ["ply"] | ["comment", *_] | ["obj_info", *_] | []:
                pass
            case ["format", name, "1.0"] if name in ORDER and order is None:
                order = ORDER[name]
            case ["element", name, count] if count.isdecimal() and len(count) < 19:
                elements.append(Element(name, int(count), ()))
            case ["property", dtype, name] if dtype in TYPES and elements:
                elements[-1] = _extended(elements[-1], Property(name, TYPES[dtype]))
            case ["property", "list", length, dtype, name] if length in TYPES and dtype in TYPES and elements:
                elements[-1] = _extended(elements[-1], Property(name, TYPES[dtype], TYPES[length]))
            case _:
                raise FormatError(path, f"line {' '.join(words)[:60]!r} in the header", start)
    if order is None:
        raise FormatError(path, "the header names no known format", 0)
    header = Header(order, tuple(elements), at)
    _check_length(header, len(data), path)
    return header


def _extended(element: Element, new: Property) -> Element:
    return Element(element.name, element.count, (*element.properties, new))


def _check_length(header: Header, length: int, path: Path) -> None:
    text = header.order == ""
    needed, there = sum(e.count * e.least(text) for e in header.elements), length - header.size
    if needed > there + text:  # the last line of a text may lack its newline
        claim = ", ".join(f"{e.count} {e.name}" for e in header.elements)
        raise FormatError(path, f"the header claims {claim}: at least {needed} bytes, {there} follow", header.size)
    fixed = not text and not any(e.lists for e in header.elements)
    if fixed and there > needed + 2:
        raise FormatError(path, f"{there - needed} bytes follow that the header does not declare", header.size + needed)


def read_ply(path: str | Path) -> Ply:
    """The vertices of a PLY file (ascii, binary little or big endian); faces are ignored.

    Raises FormatError for anything that is not entirely there: missing records, no points, NaN or infinite numbers.
    """
    path = Path(path)
    data = path.read_bytes()
    header = read_header(data, path)
    names = [e.name for e in header.elements]
    if "vertex" not in names:
        raise FormatError(path, "no vertex element", header.size)
    before, vertex = header.elements[: names.index("vertex")], header.elements[names.index("vertex")]
    if vertex.lists or any(e.lists for e in before):
        raise FormatError(path, "lists before or inside the vertices", header.size)
    if vertex.count == 0:
        raise FormatError(path, "no points", header.size)
    if header.order:
        columns = _binary(data, header, before, vertex)
    else:
        columns = _text(data, header, before, vertex, path)
    return _assembled(columns, path)


Columns = dict[str, npt.NDArray[np.generic]]


def _binary(data: bytes, header: Header, before: tuple[Element, ...], vertex: Element) -> Columns:
    offset = header.size + sum(e.count * e.least(False) for e in before)
    names = [p.name for p in vertex.properties]
    # Two properties may bear the same name, which numpy would refuse: number them.
    dtype = np.dtype([(str(i), header.order + p.dtype) for i, p in enumerate(vertex.properties)])
    records = np.frombuffer(data, dtype, vertex.count, offset)
    return {name: records[str(i)] for i, name in enumerate(names)}


def _text(data: bytes, header: Header, before: tuple[Element, ...], vertex: Element, path: Path) -> Columns:
    stream = BytesIO(data)
    stream.seek(header.size)
    for _ in islice(stream, sum(e.count for e in before)):
        pass
    width, pieces, left = len(vertex.properties), [], vertex.count
    while left:
        start = stream.tell()
        lines = list(islice(stream, min(left, LINES)))
        rows = [line.split() for line in lines]
        if not rows or any(len(row) != width for row in rows):
            reason = f"expected {left} more vertices of {width} numbers"
            raise FormatError(path, reason, start)
        try:
            pieces.append(np.array([[float(word) for word in row] for row in rows]))
        except ValueError as error:
            raise FormatError(path, str(error), start) from None
        left -= len(rows)
    table = np.concatenate(pieces)
    return {p.name: _typed(table[:, i], p.dtype) for i, p in enumerate(vertex.properties)}


def _typed(column: npt.NDArray[np.float64], dtype: str) -> npt.NDArray[np.generic]:
    """Text is read as float64; integers keep their meaning (a color of uchar is 0 to 255)."""
    if dtype[0] == "f" or not np.isfinite(column).all():
        return column
    limits = np.iinfo(dtype)
    return np.clip(column, limits.min, limits.max).astype(dtype)


def _assembled(columns: Columns, path: Path) -> Ply:
    if not {"x", "y", "z"} <= columns.keys():
        raise FormatError(path, "the vertices have no x, y and z")
    points = np.stack([columns[c] for c in "xyz"], axis=1)
    points = points.astype(np.float32 if points.dtype == np.dtype("f4").newbyteorder(points.dtype.byteorder) else float)
    bad = int((~np.isfinite(points).all(axis=1)).sum())
    if bad:
        raise FormatError(path, f"{bad} of {len(points)} points are NaN or infinite")
    normals = colors = None
    if {"nx", "ny", "nz"} <= columns.keys():
        normals = np.stack([columns[c] for c in ("nx", "ny", "nz")], axis=1).astype(np.float32)
        if not np.isfinite(normals).all():
            raise FormatError(path, "normals that are NaN or infinite")
    if {"red", "green", "blue"} <= columns.keys():
        raw = np.stack([columns[c] for c in ("red", "green", "blue")], axis=1)
        if raw.dtype.kind == "f":  # unit interval
            raw = np.rint(np.nan_to_num(raw.astype(np.float64)) * 255)
        colors = np.clip(raw, 0, 255).astype(np.uint8)
    return Ply(points, normals, colors)


def write_ply(
    path: str | Path,
    points: npt.ArrayLike,
    normals: npt.ArrayLike | None = None,
    colors: npt.ArrayLike | None = None,
) -> None:
    """Write points (n, 3), optional normals (n, 3) and colors (n, 3) uint8 as binary little-endian PLY.

    The file appears whole or not at all. Raises ValueError for other shapes or types.
    """
    path = Path(path)
    parts = [("x y z", "float", "<f4", np.asarray(points))]
    if normals is not None:
        parts.append(("nx ny nz", "float", "<f4", np.asarray(normals)))
    if colors is not None:
        parts.append(("red green blue", "uchar", "u1", np.asarray(colors)))
        if parts[-1][3].dtype != np.uint8:
            raise ValueError(f"colors must be uint8 from 0 to 255, not {parts[-1][3].dtype}")
    count = len(parts[0][3])
    lines, fields = ["ply", "format binary_little_endian 1.0", f"element vertex {count}"], []
    for names, kind, dtype, array in parts:
        if array.shape != (count, 3):
            raise ValueError(f"{names} must have shape ({count}, 3), not {array.shape}")
        lines += [f"property {kind} {name}" for name in names.split()]
        fields.append((names, dtype, 3))
    records = np.empty(count, np.dtype(fields))
    for names, _, _, array in parts:
        records[names] = array
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii"))
            records.tofile(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
