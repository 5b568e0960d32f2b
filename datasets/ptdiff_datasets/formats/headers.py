"""Claims of mesh files, counted without the readers: what arrives must be what the file declares."""

import json
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.geometry import Geometry
from ptdiff_datasets.formats.ply import SURFACES
from ptdiff_datasets.formats.ply_header import read_header


@dataclass(frozen=True)
class Claim:
    """Number of vertices (None if not declared) and of polygons; ``exact`` if there cannot be more polygons."""

    vertices: int | None
    polygons: int
    exact: bool = True


def check_claims(data: bytes, geometry: Geometry, path: Path) -> None:
    """Raise FormatError unless the vertices and polygons that were read are those that the file declares."""
    try:
        claim = CLAIMS[path.suffix.lower()](data, path)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, FormatError):
            raise
        reason = f"its parts cannot be counted: {type(error).__name__}: {str(error)[:60]}"
        raise FormatError(path, reason) from None
    arrived = geometry.polygons
    if arrived < claim.polygons or (claim.exact and arrived > claim.polygons):
        raise FormatError(path, f"the file declares {claim.polygons} faces, but {arrived} could be read")
    if claim.vertices is not None and len(geometry.vertices) != claim.vertices:
        there = len(geometry.vertices)
        raise FormatError(path, f"the file declares {claim.vertices} vertices, but {there} could be read")


def _obj(data: bytes, path: Path) -> Claim:
    # a comment, an indent or a continued line may hide more
    lines = sum(data.count(b"\nf" + space) for space in (b" ", b"\t"))
    hidden = b"\\" in data  # a continued line may begin with f
    return Claim(None, 0 if hidden else lines + data.startswith((b"f ", b"f\t")), exact=False)


def _ply(data: bytes, path: Path) -> Claim:
    header = read_header(data, path)
    return Claim(header.count("vertex"), sum(map(header.count, SURFACES)))


def _off(data: bytes, path: Path) -> Claim:
    counts = re.search(rb"OFF\s*(\d+)\s+(\d+)", re.sub(rb"#[^\r\n]*", b"", data), re.IGNORECASE)
    if counts is None:
        raise FormatError(path, "no counts of vertices and faces")
    return Claim(int(counts[1]), int(counts[2]))


def _stl(data: bytes, path: Path) -> Claim:
    if b"\0" in data.rstrip(b"\0\x1a"):
        (faces,) = struct.unpack_from("<I", data, 80)
        return Claim(3 * faces, int(faces))
    # a name of a solid may be any word, but it does not begin a line
    loops = re.findall(rb"\n[ \t]*endloop\b", data.replace(b"\r", b"\n").lower())
    return Claim(None, len(loops), exact=False)


def _glb(data: bytes, path: Path) -> Claim:
    """Count triangles by the counts of the accessors, and instances by the nodes."""
    start = 20 if data[:4] == b"glTF" else 0
    text = data[20 : 20 + struct.unpack_from("<I", data, 12)[0]] if start else data.removeprefix(b"\xef\xbb\xbf")
    tree: dict[str, Any] = json.loads(text)
    counts = [accessor["count"] for accessor in tree.get("accessors", [])]
    triangles = [0] * len(tree.get("meshes", []))
    for i, mesh in enumerate(tree.get("meshes", [])):
        for primitive in mesh["primitives"]:
            n, mode = counts[primitive.get("indices", primitive["attributes"]["POSITION"])], primitive.get("mode", 4)
            triangles[i] += n // 3 if mode == 4 else n - 2 if mode in (5, 6) else 0
    nodes = tree.get("nodes", [])
    below = {child for node in nodes for child in node.get("children", [])}
    scenes = tree.get("scenes", [])
    level = (
        scenes[tree.get("scene", 0)].get("nodes", []) if scenes else [i for i in range(len(nodes)) if i not in below]
    )
    total = 0
    while level:
        for node in (nodes[i] for i in level if "mesh" in nodes[i]):
            made = node.get("extensions", {}).get("EXT_mesh_gpu_instancing", {}).get("attributes", {})
            total += triangles[node["mesh"]] * min((counts[place] for place in made.values()), default=1)
        level = [child for i in level for child in nodes[i].get("children", [])]
    return Claim(None, total)


CLAIMS = {".obj": _obj, ".ply": _ply, ".off": _off, ".stl": _stl, ".glb": _glb, ".gltf": _glb}
