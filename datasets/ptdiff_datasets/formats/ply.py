"""PLY files: a strict reader and an atomic writer of points with normals and colors.

The format (Turk 1994): a text header (``ply_header``), then the records as text or binary. Faces are read by
``meshes``.
"""

from io import BytesIO
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import Cloud, from_columns
from ptdiff_datasets.formats.ply_header import Element, Header, read_header
from ptdiff_datasets.writing import arrays, replacing

LINES = 1 << 15  # records of a text file converted at once


def read_ply(path: str | Path) -> Cloud:
    """Read the vertices of a PLY file (ascii, binary little or big endian); faces are ignored.

    Raises FormatError for missing records, no points, NaN or infinity.
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
    # Two properties may share a name, which numpy refuses: number them.
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
    """Convert a column read as float64 to the type declared in the header (a uchar color is 0 to 255)."""
    if dtype[0] == "f":
        with np.errstate(over="ignore"):
            return column.astype(dtype)
    if not np.isfinite(column).all():
        return column  # counted and refused later
    limits = np.iinfo(dtype)
    return np.clip(column, limits.min, limits.max).astype(dtype)


def _assembled(columns: Columns, path: Path) -> Cloud:
    return from_columns(path, columns)


def write_ply(
    path: str | Path,
    points: npt.ArrayLike,
    normals: npt.ArrayLike | None = None,
    colors: npt.ArrayLike | None = None,
) -> None:
    """Write points (n, 3), optional normals (n, 3) and colors (n, 3) uint8 as binary little-endian PLY, atomically.

    Raises ValueError for other shapes or types.
    """
    cloud = arrays(points, normals, colors)
    parts: list[tuple[str, str, str, npt.NDArray[np.generic]]] = [("x y z", "float", "<f4", cloud.points)]
    if cloud.normals is not None:
        parts.append(("nx ny nz", "float", "<f4", cloud.normals))
    if cloud.colors is not None:
        parts.append(("red green blue", "uchar", "u1", cloud.colors))
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(cloud)}"]
    lines += [f"property {kind} {name}" for names, kind, _, _ in parts for name in names.split()]
    records = np.empty(len(cloud), np.dtype([(names, dtype, 3) for names, _, dtype, _ in parts]))
    for names, _, _, array in parts:
        records[names] = array
    with replacing(path) as file:
        file.write(("\n".join([*lines, "end_header"]) + "\n").encode("ascii"))
        file.write(records.tobytes())
