"""STL, binary and text: triangles with corners of their own."""

import struct
from pathlib import Path

import numpy as np

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.geometry import PADDING, Geometry, check_vertices, numbers

HEADER, RECORD = 84, 50  # bytes before the triangles, and of each
FACET = b"facet normal 0 0 0 outer loop vertex 0 0 0 vertex 0 0 0 vertex 0 0 0 endloop endfacet".split()
WORDS = [i for i, word in enumerate(FACET) if word != b"0"]
CORNERS = [i + j for i, word in enumerate(FACET) if word == b"vertex" for j in (1, 2, 3)]


def read_stl(data: bytes, path: Path) -> Geometry:
    """Read the content of an STL file; FormatError if its length does not fit the number of triangles."""
    if len(data) >= HEADER:
        (count,) = struct.unpack_from("<I", data, 80)
        behind = len(data) - HEADER - RECORD * count
        # a tail shorter than a record, or of zeros, holds no triangle
        if 0 <= behind < RECORD or (behind > 0 and count > 0 and not data[-behind:].strip(b"\0")):
            return _binary(data, count, behind, path)
    text = data.removeprefix(b"\xef\xbb\xbf")
    if text.lstrip()[:5].lower() == b"solid":
        text = text.rstrip(PADDING)
    if text.lstrip()[:5].lower() != b"solid" or b"\0" in text:
        if len(data) < HEADER:
            raise FormatError(path, "too short for an STL file", len(data))
        raise FormatError(path, f"the header claims {count} triangles, {len(data) - HEADER} bytes follow", 80)
    return _text(text, path)


def _binary(data: bytes, count: int, behind: int, path: Path) -> Geometry:
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    corners = np.frombuffer(data, record, count, HEADER)["corners"].astype(np.float64)
    remarks = [f"bytes left out after the triangles: {behind}"] if behind else []
    return _soup(corners.reshape(-1, 3), remarks, path)


def _text(data: bytes, path: Path) -> Geometry:
    text = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text, starts, ends = _without_names(text.lower())
    if starts != ends:
        raise FormatError(path, f"the text ends before endsolid ({starts} solids, {ends} ends)", len(data))
    words = text.split()
    size = len(FACET)
    whole = len(words) - len(words) % size
    wrong = []
    for i in WORDS:
        named = words[i:whole:size]
        if named.count(FACET[i]) != len(named):
            wrong.append(next(j for j, word in enumerate(named) if word != FACET[i]))
    if wrong:
        raise _not_a_facet(words, min(wrong), path)
    if whole != len(words):
        raise _not_a_facet(words, whole // size, path)
    try:
        corners = numbers([word for i in CORNERS for word in words[i::size]]) if words else np.empty(0)
    except ValueError:
        raise FormatError(path, "a corner of a facet is not a number") from None
    return _soup(corners.reshape(9, -1).T.reshape(-1, 3), [], path)


def _without_names(text: bytes) -> tuple[bytes, int, int]:
    """Remove the lines that begin and end solids, whose names may be any words, and count both."""
    pieces, counts = [], {b"solid": 0, b"endsolid": 0}
    done = at = 0
    while (found := text.find(b"solid", at)) >= 0:
        start, end = text.rfind(b"\n", 0, found) + 1, text.find(b"\n", found)
        at = end if end >= 0 else len(text)
        word = text[start:at].split(None, 1)[0]
        if word in counts:
            counts[word] += 1
            pieces.append(text[done:start])
            done = at
    return b"".join([*pieces, text[done:]]), counts[b"solid"], counts[b"endsolid"]


def _not_a_facet(words: list[bytes], place: int, path: Path) -> FormatError:
    start = b" ".join(words[place * len(FACET) :][:6])[:40].decode("latin-1")
    return FormatError(path, f"facet {place + 1} ({start!r} ...) is not a triangle")


def _soup(vertices: np.ndarray, remarks: list[str], path: Path) -> Geometry:
    vertices = np.ascontiguousarray(vertices, np.float64)
    check_vertices(vertices, path)
    return Geometry(vertices, np.arange(len(vertices)).reshape(-1, 3), polygons=len(vertices) // 3, remarks=remarks)
