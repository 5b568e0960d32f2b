"""Wavefront OBJ: vertices with colors, and faces with indices of either sign.

A negative index counts back from the last vertex before its face, whatever the objects and groups are. Statements that
do not change the surface (names, materials, smoothing) are passed over; all others are refused with their line.
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import byte_colors
from ptdiff_datasets.formats.geometry import PADDING, Geometry, check_vertices, crossing, numbers
from ptdiff_datasets.formats.polygons import triangles

PASSED_OVER = frozenset(
    b"vt g o s mg usemtl mtllib usemap maplib lod bevel c_interp d_interp shadow_obj trace_obj p".split()
) | {b""}
FREE_FORM = frozenset(
    b"vp cstype deg bmat step curv curv2 surf parm trim hole scrv sp end con stech ctech bsp bzp cdc cdp res".split()
)


def read_obj(data: bytes, path: Path) -> Geometry:
    """Read the content of an OBJ file; FormatError with the line of what cannot be read."""
    lines = _logical(data).split(b"\n")
    rows: list[bytes] = []
    faces: list[bytes] = []
    face_lines: list[int] = []
    before: list[int] = []  # number of vertices before each face
    vertex_lines: list[int] = []
    normals: list[bytes] = []
    strokes = 0
    for number, line in enumerate(lines, 1):
        key, _, rest = line.partition(b" ")
        if key == b"v":
            rows.append(rest)
            vertex_lines.append(number)
        elif key == b"f" or key == b"fo":
            faces.append(rest)
            face_lines.append(number)
            before.append(len(rows))
        elif key == b"vn":
            normals.append(rest)
        elif key == b"l":
            strokes += 1
        elif key not in PASSED_OVER:
            _refuse(key, number, len(rows), path)
    if not rows:
        raise FormatError(path, "no faces and no vertices")
    vertices, colors, remarks = _vertices(rows, vertex_lines, path)
    if not faces and strokes:
        raise FormatError(path, f"no faces, but {strokes} lines; only surfaces and points are read")
    if strokes:
        remarks.append(f"lines ('l') left out: {strokes}")
    if not faces:
        directions = _normals(normals, len(rows))
        if normals and directions is None:
            remarks.append(f"normals left out: {len(normals)} for {len(rows)} points")
        return Geometry(vertices, colors=colors, normals=directions, remarks=remarks)
    corners, sizes = _corners(faces, face_lines, before, len(vertices), path)
    cut, crossed = triangles(vertices, corners, sizes)
    return Geometry(vertices, cut, colors, polygons=len(sizes), remarks=remarks + crossing(crossed))


def _logical(data: bytes) -> bytes:
    """Return the text without comments, tabs, indents and continued lines; every statement keeps its line number."""
    text = data.removeprefix(b"\xef\xbb\xbf").rstrip(PADDING)
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if b"\\\n" in text:
        text = re.sub(
            rb"(?:[^\n]*\\\n)+[^\n]*", lambda m: m[0].replace(b"\\\n", b" ") + b"\n" * m[0].count(b"\n"), text
        )
    if b"#" in text:
        text = re.sub(rb"#[^\n]*", b"", text)
    text = text.replace(b"\t", b" ").replace(b"\f", b" ")
    if b"\n " in text or text.startswith(b" "):
        text = re.sub(rb"^ +", b"", text, flags=re.MULTILINE)
    return text


def _refuse(key: bytes, number: int, vertices: int, path: Path) -> None:
    word = key[:20].decode("latin-1")
    nothing = "" if vertices else "no faces or vertices so far; "
    what = "a free-form curve or surface, not read" if key in FREE_FORM else "not a statement that is read"
    raise FormatError(path, f"{nothing}line {number}: {word!r} is {what}")


def _vertices(
    rows: list[bytes], at: list[int], path: Path
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8] | None, list[str]]:
    widths = [len(row.split()) for row in rows]
    width, most = min(widths), max(widths)
    if width < 3:
        place = at[widths.index(width)]
        raise FormatError(path, f"line {place}: a vertex of {width} numbers (vertices of shape ({len(rows)}, {width}))")
    if most > 7:
        raise FormatError(path, f"line {at[widths.index(most)]}: a vertex of {most} numbers")
    if width != most:
        rows = [b" ".join(row.split()[:3]) for row in rows]
    try:
        table = numbers(b" ".join(rows).split())
    except ValueError:
        raise _no_number(rows, at, path) from None
    table = table.reshape(len(rows), -1)
    check_vertices(table[:, :3], path)
    points = np.ascontiguousarray(table[:, :3])
    if width != most:
        return points, None, [f"colors left out: vertex lines of {width} and of {most} numbers"]
    if width == 4 and (table[:, 3] != 1).any():
        raise FormatError(path, f"line {at[int((table[:, 3] != 1).argmax())]}: a vertex with a weight other than 1")
    if width in (5, 7):
        return points, None, [f"{width - 3} more numbers on each vertex line left out"]
    return points, byte_colors(path, table[:, 3:]) if width == 6 else None, []


def _normals(rows: list[bytes], count: int) -> npt.NDArray[np.float64] | None:
    """Normals (count, 3) of a file without faces, one for each vertex; None if they are not that."""
    if len(rows) != count:
        return None
    try:
        table = numbers(b" ".join(rows).split())
    except ValueError:
        return None
    return table.reshape(count, 3) if len(table) == 3 * count else None


def _no_number(rows: list[bytes], at: list[int], path: Path) -> FormatError:
    for row, number in zip(rows, at, strict=True):
        for word in row.split():
            try:
                numbers([word])
            except ValueError:
                hint = "; write decimal points, not commas" if b"," in word else ""
                return FormatError(path, f"line {number}: {word[:20].decode('latin-1')!r} is not a number{hint}")
    return FormatError(path, "a vertex is not made of numbers")


_AFTER_V = re.compile(rb"/[0-9/-]*")


def _corners(
    faces: list[bytes], at: list[int], before: list[int], vertices: int, path: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Corners of all faces, from 0, and the number of corners of each."""
    words = [face.split() for face in faces]
    sizes = np.array([len(row) for row in words], np.int64)
    odd = b"".join(faces).translate(None, b"0123456789-/ ")
    try:
        if odd or sizes.min() < 3:
            raise ValueError
        # the first number of each corner, v of v/t/n
        given = numbers(_AFTER_V.sub(b"", b" ".join(faces)).split(), "i8")
        if len(given) != sizes.sum():
            raise ValueError
    except (ValueError, OverflowError):
        number, row = next(((n, r) for n, r in zip(at, words, strict=True) if not _is_face(r)), (at[0], words[0]))
        text = b" ".join([b"f", *row])[:40].decode("latin-1")
        raise FormatError(path, f"line {number}: {text!r} is not a face") from None
    back = np.repeat(np.array(before, np.int64), sizes) if given.min() < 0 else given
    corners = np.where(given > 0, given - 1, back + given)
    wrong = (given == 0) | (corners < 0) | (corners >= vertices)
    if wrong.any():
        i = int(wrong.argmax())
        line = at[int(np.searchsorted(np.cumsum(sizes), i, side="right"))]
        raise FormatError(path, f"line {line}: no vertex has the index {given[i]} (there are {vertices})")
    return corners, sizes


def _is_face(words: list[bytes]) -> bool:
    return len(words) >= 3 and all(re.fullmatch(rb"-?\d{1,18}(/(-?\d+)?){0,2}", word) for word in words)
