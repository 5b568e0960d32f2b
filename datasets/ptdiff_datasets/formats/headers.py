"""Header checks of mesh files: claims are compared with the length of the file before a parser trusts them.

Each check takes the whole content and the path (for the message). It raises FormatError, or returns the least number
of faces that the file must yield.
"""

import json
import re
import struct
from pathlib import Path
from typing import Any

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.ply_header import read_header


def check_obj(data: bytes, path: Path) -> int:
    """Check an OBJ file: every ``f`` line must name three or more vertices (a truncated line does not); no header."""
    lines = data.replace(b"\\\r\n", b" ").replace(b"\\\n", b" ")  # a backslash continues the line
    if short := re.search(rb"^f(?:[ \t]+\S+){0,2}[ \t]*\r?$", lines, re.MULTILINE):
        raise FormatError(path, f"{short[0][:40].decode('latin-1')!r} is not a face")
    return len(re.findall(rb"^f[ \t]", lines, re.MULTILINE))


def check_ply(data: bytes, path: Path) -> int:
    """Check a PLY file: the smallest possible record of each declared element must fit into the file."""
    return read_header(data, path).count("face")


def check_off(data: bytes, path: Path) -> int:
    """Check an OFF file: ``OFF``, then vertex, face and edge counts, on its line (``OFF123 456 0``) or the next."""
    lines = [line for raw in data.splitlines() if (line := raw.split(b"#")[0].strip())]
    if not lines or not (found := re.match(rb"C?OFF\s*", lines[0])):
        raise FormatError(path, "not an OFF file", 0)
    lines[0] = lines[0][found.end() :]
    if not lines[0]:
        lines = lines[1:]
    counts = lines[0].split() if lines else []
    if not 2 <= len(counts) <= 3 or not all(c.isdigit() and len(c) < 19 for c in counts):
        raise FormatError(path, "no counts of vertices and faces after OFF", 0)
    vertices, faces = int(counts[0]), int(counts[1])
    if len(lines) - 1 < vertices + faces:
        claim = f"the header claims {vertices} vertices and {faces} faces"
        raise FormatError(path, f"{claim}, {len(lines) - 1} lines follow")
    for line in lines[1 + vertices : 1 + vertices + faces]:
        words = line.split()
        if not words[0].isdigit() or len(words) <= int(words[0]):
            raise FormatError(path, f"{line[:40].decode('latin-1')!r} is not a face")
    return faces


def check_stl(data: bytes, path: Path) -> int:
    """Check an STL file. Binary: 84 bytes plus 50 per triangle. Text: facets between ``solid`` and ``endsolid``."""
    if len(data) >= 84:
        (faces,) = struct.unpack_from("<I", data, 80)
        if len(data) == 84 + 50 * faces:
            return int(faces)
    if data.lstrip()[:5].lower() != b"solid" or b"\0" in data:
        if len(data) < 84:
            raise FormatError(path, "too short for an STL file", len(data))
        raise FormatError(path, f"the header claims {faces} triangles, {len(data) - 84} bytes follow", 80)
    words = data.lower().split()
    if b"endsolid" not in words:
        raise FormatError(path, "the text ends before endsolid", len(data))
    return words.count(b"endfacet")


def check_glb(data: bytes, path: Path) -> int:
    """Check a GLB file: version 2, chunks within the file, and no accessor with more elements than bytes."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise FormatError(path, "not a GLB file", 0)
    version, length, chunk, kind = struct.unpack_from("<4I", data, 4)
    if version != 2 or kind != 0x4E4F534A:
        raise FormatError(path, f"not glTF 2 with JSON first: version {version}", 4)
    if length > len(data) or 20 + chunk > length:
        claim = max(length, 20 + chunk)
        raise FormatError(path, f"the header claims {claim} bytes, but the file has {len(data)}", 8)
    try:
        tree: Any = json.loads(data[20 : 20 + chunk])
        views = tree.get("bufferViews", [])
        for accessor in tree.get("accessors", []):
            view = accessor.get("bufferView")
            room = len(data) if view is None else min(int(views[view]["byteLength"]), len(data))
            if not 0 <= int(accessor["count"]) <= room:
                claim = f"an accessor claims {accessor['count']} elements"
                raise FormatError(path, f"{claim} in {room} bytes", 20)
        instances = sum("mesh" in node for node in tree.get("nodes", []))
        if instances > 100_000:
            raise FormatError(path, f"{instances} mesh instances, more than 100,000", 20)
    except FormatError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, f"broken JSON: {error}", 20) from None
    return 0


CHECKS = {".obj": check_obj, ".ply": check_ply, ".off": check_off, ".stl": check_stl, ".glb": check_glb}
