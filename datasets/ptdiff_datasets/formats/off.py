"""OFF: ``OFF`` with the prefixes ST, C and N, its counts, then one line for each vertex and each face.

The prefixes say which numbers follow x, y and z on a vertex line: a normal (N), a color (C), texture coordinates (ST).
"""

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import byte_colors
from ptdiff_datasets.formats.geometry import PADDING, Geometry, check_vertices, crossing, numbers
from ptdiff_datasets.formats.polygons import triangles

PREFIXES = re.compile(rb"(ST)?(C)?(N)?(4)?(n)?OFF *", re.IGNORECASE)


def read_off(data: bytes, path: Path) -> Geometry:
    """Read the content of an OFF file; FormatError if it is not one or its lines are not those that it declares."""
    lines, kind, vertices, faces = _header(data, path)
    if len(lines) != vertices + faces:
        claim = f"the header claims {vertices} vertices and {faces} faces"
        raise FormatError(path, f"{claim}, {len(lines)} lines follow")
    points, colors, normals, remarks = _vertices(lines[:vertices], kind, path)
    if not faces:
        return Geometry(points, colors=colors, normals=normals, remarks=remarks)
    corners, sizes, more = _faces(lines[vertices:], path)
    if more:
        remarks.append("colors of faces left out")
    if corners.min() < 0 or corners.max() >= vertices:
        wrong = corners[(corners < 0) | (corners >= vertices)][0]
        raise FormatError(path, f"a face has the index {wrong}, but there are {vertices} vertices")
    cut, crossed = triangles(points, corners, sizes)
    return Geometry(points, cut, colors, normals, len(sizes), remarks + crossing(crossed))


def _header(data: bytes, path: Path) -> tuple[list[bytes], str, int, int]:
    """Return the lines of vertices and faces without comments, the prefixes in upper case, and both counts."""
    text = data.removeprefix(b"\xef\xbb\xbf").rstrip(PADDING)
    if b"#" in text:
        text = re.sub(rb"#[^\r\n]*", b"", text)
    lines = [line for raw in text.splitlines() if (line := raw.strip())]
    found = PREFIXES.match(lines[0]) if lines else None
    if found is None:
        raise FormatError(path, "not an OFF file", 0)
    kind = found[0].strip().upper().decode("ascii")[:-3]
    if "4" in kind or found[5]:
        raise FormatError(path, f"vertices of four or n coordinates ({kind}OFF) are not read", 0)
    at = 1
    counts = lines[0][found.end() :].split()
    if not counts and len(lines) > 1:
        counts, at = lines[1].split(), 2
    if not 2 <= len(counts) <= 3 or not all(c.isdigit() and len(c) < 19 for c in counts):
        binary = "; binary OFF is not read" if counts and counts[0].upper() == b"BINARY" else ""
        raise FormatError(path, f"no counts of vertices and faces after OFF{binary}", 0)
    return lines[at:], kind, int(counts[0]), int(counts[1])


def _vertices(
    lines: list[bytes], kind: str, path: Path
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.uint8] | None, npt.NDArray[np.float64] | None, list[str]]:
    widths = {len(line.split()) for line in lines}
    if not widths:
        raise FormatError(path, "no faces and no vertices")
    if len(widths) > 1:
        raise FormatError(path, f"vertex lines of {min(widths)} and of {max(widths)} numbers")
    (width,) = widths
    try:
        table = numbers(b" ".join(lines).split()).reshape(len(lines), width)
    except ValueError:
        raise _no_number(lines, path) from None
    fixed = 3 + 3 * ("N" in kind) + 2 * ("ST" in kind)
    tint = width - fixed  # a color has three or four numbers, and none in some files that claim it
    if width < 3 or ("C" in kind and tint not in (3, 4)) or ("N" in kind and tint < 0):
        raise FormatError(path, f"vertex lines of {width} numbers do not fit {kind}OFF")
    points = np.ascontiguousarray(table[:, :3])
    check_vertices(points, path)
    remarks = []
    if not ("C" in kind or tint == 0):
        remarks.append(f"{width - 3} more numbers on each vertex line left out; COFF or NOFF would name them")
    normals = table[:, 3:6] if "N" in kind else None
    at = 6 if "N" in kind else 3
    return points, byte_colors(path, table[:, at : at + 3]) if "C" in kind else None, normals, remarks


def _no_number(lines: list[bytes], path: Path) -> FormatError:
    for line in lines:
        try:
            numbers(line.split())
        except ValueError:
            return FormatError(path, f"{line[:40].decode('latin-1')!r} is not a vertex")
    return FormatError(path, "a vertex is not made of numbers")


def _faces(lines: list[bytes], path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], bool]:
    """Corners of all faces, the number of corners of each, and whether colors follow them."""
    words = [line.split() for line in lines]
    widths = np.array([len(row) for row in words], np.int64)
    try:
        sizes = numbers([row[0] for row in words], "i8")
        if (sizes < 3).any() or (widths <= sizes).any() or sizes.sum() > widths.sum():
            raise ValueError
        corners = numbers(
            [word for row, size in zip(words, sizes.tolist(), strict=True) for word in row[1 : size + 1]], "i8"
        )
    except ValueError:
        wrong = next((line for line, row in zip(lines, words, strict=True) if not _is_face(row)), lines[0])
        raise FormatError(path, f"{wrong[:40].decode('latin-1')!r} is not a face") from None
    more = widths - sizes - 1
    if (more > 4).any() or (more == 2).any():
        wrong = lines[int(((more > 4) | (more == 2)).argmax())]
        raise FormatError(path, f"{wrong[:40].decode('latin-1')!r} is not a face: {int(more.max())} numbers too many")
    return corners, sizes, bool(more.any())


def _is_face(words: list[bytes]) -> bool:
    if not re.fullmatch(rb"\d{1,18}", words[0]):
        return False
    size = int(words[0])
    return 3 <= size < len(words) and all(re.fullmatch(rb"-?\d{1,18}", word) for word in words[1 : size + 1])
