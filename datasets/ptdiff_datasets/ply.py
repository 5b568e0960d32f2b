"""PLY files: a strict reader and an atomic writer of points with normals and colors.

The format (Turk, 1994): a text header (`ply_header`), then the records, as text or binary. Faces are left to
`meshes`.
"""

import os
from dataclasses import dataclass
from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.ply_header import Element, Header, read_header

LINES = 1 << 15  # records of a text file that are converted at once


@dataclass(frozen=True)
class Ply:
    """`points` (n, 3) float32 or float64 as in the file, `normals` (n, 3) float32, `colors` (n, 3) uint8."""

    points: npt.NDArray[np.floating]
    normals: npt.NDArray[np.float32] | None = None
    colors: npt.NDArray[np.uint8] | None = None


def read_ply(path: str | Path) -> Ply:
    """The vertices of a PLY file (ascii, binary little or big endian); faces are ignored.

    Raises FormatError for anything that is not entirely there: missing records, no points, NaN or infinity.
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
    binary = header.order != ""
    columns = _binary(data, header, before, vertex) if binary else _text(data, header, before, vertex, path)
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
    """Text is read as float64; then it becomes what the header declares (a color of uchar is 0 to 255)."""
    if dtype[0] == "f":
        with np.errstate(over="ignore"):
            return column.astype(dtype)
    if not np.isfinite(column).all():
        return column  # to be counted and refused
    limits = np.iinfo(dtype)
    return np.clip(column, limits.min, limits.max).astype(dtype)


def _assembled(columns: Columns, path: Path) -> Ply:
    if not {"x", "y", "z"} <= columns.keys():
        raise FormatError(path, "the vertices have no x, y and z")
    points = np.stack([columns[c] for c in "xyz"], axis=1)
    coordinates: npt.NDArray[np.floating]
    coordinates = points.astype(
        np.float32 if points.dtype in (np.dtype("<f4"), np.dtype(">f4")) else np.float64, copy=False
    )
    if not np.isfinite(coordinates).all():
        bad = int((~np.isfinite(coordinates).all(axis=1)).sum())
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
    return Ply(coordinates, normals, colors)


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
        with temporary.open("xb") as file:
            file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii"))
            records.tofile(file)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
