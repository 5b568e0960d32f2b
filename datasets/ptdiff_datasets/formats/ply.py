"""PLY files: a strict reader and an atomic writer of points with normals and colors.

The format (Turk 1994): a text header (``ply_header``), then the records as text or binary (``ply_records``). The
vertices are a cloud, and with faces or triangle strips a surface.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import (
    COLUMNS,
    Cloud,
    byte_colors,
    check_names,
    colors_of,
    from_columns,
    known_name,
    side_by_side,
)
from ptdiff_datasets.formats.geometry import Geometry, check_vertices, crossing
from ptdiff_datasets.formats.ply_header import Element, Header, read_header
from ptdiff_datasets.formats.ply_records import Column, Records, read_records
from ptdiff_datasets.formats.polygons import triangles
from ptdiff_datasets.writing import arrays, replacing

CORNERS = ("vertex_indices", "vertex_index")
SURFACES = ("face", "tristrips")
PRESENT = "vertex_ind"  # an element with such a list holds a part of the surface


def read_ply(path: str | Path) -> Cloud:
    """Read the vertices of a PLY file (ascii, binary little or big endian); faces are ignored.

    Raises FormatError for missing records, no points, NaN or infinity.
    """
    path = Path(path)
    data = path.read_bytes()
    header = read_header(data, path)
    records, behind = read_records(data, header, path, "vertex")
    if "vertex" not in [e.name for e in header.elements]:
        raise FormatError(path, "no vertex element", header.size)
    if not header.count("vertex"):
        raise FormatError(path, "no points", header.size)
    columns = records["vertex"].columns
    if records["vertex"].lists and not {"x", "y", "z"} <= columns.keys():
        raise FormatError(path, "the vertices have no x, y and z as numbers, only lists")
    cloud = from_columns(path, columns)
    return (
        replace(
            cloud,
            remarks=(
                *cloud.remarks,
                f"bytes left out after the points: {behind}",
            ),
        )
        if behind
        else cloud
    )


def has_surface(header: Header) -> bool:
    """True for a file with faces or strips; the vertices of any other are a point cloud."""
    return any(e.count and (e.name in SURFACES or _unread(e)) for e in header.elements)


def read_surface(data: bytes, path: Path) -> Geometry:
    """Read the content of a PLY file with faces or triangle strips; FormatError for other parts of a surface."""
    header = read_header(data, path)
    for element in header.elements:
        if element.count and element.name not in SURFACES and _unread(element):
            raise FormatError(path, f"surfaces made of {element.name!r} are not read; save faces")
    if not header.count("vertex"):
        raise FormatError(path, "no vertices", header.size)
    records, behind = read_records(data, header, path, "vertex", *SURFACES)
    check_names(path, tuple(records["vertex"].columns))
    columns = {known_name(name): column for name, column in records["vertex"].columns.items()}
    points = _stacked(columns, COLUMNS["points"])
    if points is None:
        raise FormatError(path, "the vertices have no x, y and z (as numbers, not as lists)")
    vertices = points.astype(np.float64)
    check_vertices(vertices, path)
    colors, _ = colors_of(columns)
    tints = None if colors is None else byte_colors(path, colors)
    remarks = [f"bytes left out after the records: {behind}"] if behind else []
    faces, polygons = [np.empty((0, 3), np.int64)], 0
    if header.count("face"):
        corners, sizes = _corners(records["face"], "face", len(vertices), path)
        if (sizes < 3).any():
            raise FormatError(path, f"a face of {int(sizes.min())} corners")
        cut, crossed = triangles(vertices, corners, sizes)
        faces.append(cut)
        polygons += len(sizes)
        remarks += crossing(crossed)
        if any(known_name(name) == "red" for name in records["face"].columns):
            remarks.append("colors of faces left out")
    if header.count("tristrips"):
        corners, sizes = _corners(records["tristrips"], "tristrips", len(vertices), path, restart=True)
        faces.append(strips(corners, sizes))
        polygons += len(sizes)
    return Geometry(vertices, np.concatenate(faces), tints, None, polygons, remarks)


def strips(corners: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Triangles (f, 3) of strips; -1 starts a new strip, and every other triangle of a strip is turned."""
    pieces = [np.empty((0, 3), np.int64)]
    for strip in np.split(corners, np.cumsum(sizes)[:-1]):
        for part in np.split(strip, np.flatnonzero(strip == -1)):
            run = part[part != -1]
            if len(run) >= 3:
                cut = np.stack([run[:-2], run[1:-1], run[2:]], axis=1)
                cut[1::2] = cut[1::2, [1, 0, 2]]
                pieces.append(cut)
    every = np.concatenate(pieces)
    a, b, c = every.T
    # a strip is led to its next place by triangles with a corner twice
    kept: npt.NDArray[np.int64] = every[(a != b) & (b != c) & (c != a)]
    return kept


def _unread(element: Element) -> bool:
    return any(p.length and p.name.lower().startswith(PRESENT) for p in element.properties)


def _corners(
    records: Records, name: str, vertices: int, path: Path, restart: bool = False
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    found = next((records.lists[key] for key in records.lists if key.lower() in CORNERS), None)
    if found is None:
        there = ", ".join([*records.lists, *records.columns])[:60] or "nothing"
        raise FormatError(path, f"{name} has no list vertex_indices, only {there}")
    sizes, values = found
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.rint(values))).all():
        raise FormatError(path, f"{name} has indices that are not whole numbers")
    corners = values.astype(np.int64)
    if len(corners) and (corners.min() < -restart or corners.max() >= vertices):
        wrong = corners[(corners < -restart) | (corners >= vertices)][0]
        raise FormatError(path, f"{name} has the index {wrong}, but there are {vertices} vertices")
    return corners, sizes


def _stacked(columns: dict[str, Column], names: tuple[str, ...]) -> Column | None:
    return side_by_side([columns[name] for name in names]) if set(names) <= columns.keys() else None


def write_ply(
    path: str | Path,
    points: npt.ArrayLike,
    normals: npt.ArrayLike | None = None,
    colors: npt.ArrayLike | None = None,
) -> None:
    """Write points (n, 3), optional normals (n, 3) and colors (n, 3) uint8 as binary little-endian PLY, atomically.

    Points in float64 are written as doubles.  Raises ValueError for other shapes or types.
    """
    cloud = arrays(points, normals, colors)
    parts: list[tuple[str, str, str, npt.NDArray[np.generic]]] = [
        ("x y z", "double", "<f8", cloud.points)
        if cloud.points.dtype.itemsize == 8
        else ("x y z", "float", "<f4", cloud.points)
    ]
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
