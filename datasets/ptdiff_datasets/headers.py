"""What the header of a mesh file claims, compared with the length of the file before a parser believes it.

Each check takes the whole content and the path (for the message) and raises FormatError, or returns the number of
faces that the file must yield at least.
"""

import json
import re
import struct
from pathlib import Path
from typing import Any

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.ply import read_header


def check_ply(data: bytes, path: Path) -> int:
    """The smallest record that each declared element can have must fit into the file."""
    return read_header(data, path).count("face")


def check_off(data: bytes, path: Path) -> int:
    """`OFF`, then the counts of vertices, faces and edges, on the same line or the next (ModelNet: `OFF123 456 0`)."""
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
        there = len(lines) - 1
        raise FormatError(path, f"the header claims {vertices} vertices and {faces} faces, {there} lines follow")
    return faces


def check_stl(data: bytes, path: Path) -> int:
    """Binary: 84 bytes and 50 for each triangle. Text: whole facets between `solid` and `endsolid`."""
    if len(data) >= 84:
        (faces,) = struct.unpack_from("<I", data, 80)
        if len(data) == 84 + 50 * faces:
            return int(faces)
    if not data.lstrip()[:5].lower() == b"solid" or b"\0" in data:
        claim = f"the header claims {faces} triangles, {len(data) - 84} bytes follow" if len(data) >= 84 else ""
        raise FormatError(path, claim or "too short for an STL file", min(len(data), 80))
    words = data.lower().split()
    if b"endsolid" not in words:
        raise FormatError(path, "the text ends before endsolid", len(data))
    facets = words.count(b"endfacet")
    if words.count(b"vertex") != 3 * facets:
        raise FormatError(path, f"{words.count(b'vertex')} vertices in {facets} facets")
    return facets


def check_glb(data: bytes, path: Path) -> int:
    """Version 2, chunks that fill the file, and no accessor that claims more elements than the file has bytes."""
    if len(data) < 20 or data[:4] != b"glTF":
        raise FormatError(path, "not a GLB file", 0)
    version, length, chunk, kind = struct.unpack_from("<4I", data, 4)
    if version != 2 or kind != 0x4E4F534A:
        raise FormatError(path, f"glTF version {version} without JSON in front", 4)
    if length > len(data) or 20 + chunk > length:
        raise FormatError(path, f"the header claims {max(length, 20 + chunk)} bytes, the file has {len(data)}", 8)
    try:
        tree: Any = json.loads(data[20 : 20 + chunk])
        views = tree.get("bufferViews", [])
        for accessor in tree.get("accessors", []):
            view = accessor.get("bufferView")
            room = len(data) if view is None else min(int(views[view]["byteLength"]), len(data))
            if not 0 <= int(accessor["count"]) <= room:
                raise FormatError(path, f"an accessor claims {accessor['count']} elements in {room} bytes", 20)
        instances = sum("mesh" in node for node in tree.get("nodes", []))
        if instances > 100_000:
            raise FormatError(path, f"{instances} instances of meshes", 20)
    except FormatError:
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(path, f"broken JSON: {error}", 20) from None
    return 0


CHECKS = {".ply": check_ply, ".off": check_off, ".stl": check_stl, ".glb": check_glb}
