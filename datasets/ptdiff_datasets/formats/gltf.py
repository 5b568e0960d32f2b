"""glTF 2.0: ``.glb``, and ``.gltf`` whose buffers are data URIs or files in its own folder.

Nodes are placed and primitives made triangles. Read: all component types, normalized and sparse accessors,
KHR_mesh_quantization, EXT_mesh_gpu_instancing, KHR_draco_mesh_compression, strips, fans, vertex colors, and clouds of
points. Extensions that the file requires and that are not read here are refused by name.
Materials and textures are passed over; skins and animations leave the mesh as it was modeled.

Source: Khronos, glTF 2.0 specification, version 2.0.1 (2021).
"""

import base64
import binascii
import json
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.geometry import Geometry, check_vertices
from ptdiff_datasets.formats.gltf_accessors import Accessors
from ptdiff_datasets.formats.gltf_draco import DRACO, unpack
from ptdiff_datasets.formats.gltf_nodes import placed

JSON_CHUNK, BINARY_CHUNK = 0x4E4F534A, 0x004E4942
READ = {"KHR_mesh_quantization", "EXT_mesh_gpu_instancing", DRACO}
# extensions of materials, textures, lights and remarks, which do not move a vertex
HARMLESS = ("KHR_materials_", "KHR_texture_", "KHR_lights_", "KHR_xmp", "EXT_texture_", "MSFT_texture_", "EXT_lights_")
MODES = ("points", "lines", "line loops", "line strips", "triangles", "strips", "fans")
MOST = 20_000_000  # vertices of all instances together


def read_glb(data: bytes, path: Path) -> Geometry:
    """Read the content of a .glb or .gltf file; FormatError for what is not read, by name."""
    text, binary, remarks = _chunks(data, path)
    try:
        tree = json.loads(text)
        accessors = Accessors(tree, _buffers(tree, binary, path), path)
        return _read(accessors, remarks)
    except (FormatError, MemoryError):
        raise
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise FormatError(path, f"broken JSON: {type(error).__name__}: {str(error)[:80]}", 20) from None


def _chunks(data: bytes, path: Path) -> tuple[bytes, memoryview | None, list[str]]:
    """Return the JSON and the binary chunk of a GLB, with remarks; a file that begins with a brace is JSON alone."""
    if data.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return data.removeprefix(b"\xef\xbb\xbf"), None, []
    if len(data) < 20 or data[:4] != b"glTF":
        raise FormatError(path, "not a GLB file", 0)
    version, length, chunk, kind = struct.unpack_from("<4I", data, 4)
    if version != 2 or kind != JSON_CHUNK:
        raise FormatError(path, f"not glTF 2 with JSON first: version {version}", 4)
    if length > len(data) or 20 + chunk > length:
        claim = max(length, 20 + chunk)
        raise FormatError(path, f"the header claims {claim} bytes, but the file has {len(data)}", 8)
    at, binary = 20 + chunk, None
    if at + 8 <= length:
        size, kind = struct.unpack_from("<2I", data, at)
        if at + 8 + size > length:
            raise FormatError(path, f"a chunk claims {size} bytes, but {length - at - 8} follow", at)
        if kind == BINARY_CHUNK:
            binary = memoryview(data)[at + 8 : at + 8 + size]
    behind = len(data) - length
    return data[20 : 20 + chunk], binary, [f"bytes left out after the chunks: {behind}"] if behind else []


def _buffers(tree: dict[str, Any], binary: memoryview | None, path: Path) -> list[memoryview | None]:
    """Return the buffers in the file. One in another file, or of a fallback, is None: refused when it is read."""
    out: list[memoryview | None] = []
    for i, buffer in enumerate(tree.get("buffers", [])):
        uri = buffer.get("uri")
        data = binary if uri is None and i == 0 else None
        if uri is not None:
            if not isinstance(uri, str) or not uri.startswith("data:"):
                data = _read_beside(path, uri, buffer["byteLength"])
            else:
                data = _inline(uri)
                if data is None:
                    raise FormatError(path, f"buffer {i} is not base64")
        if data is not None and not 0 <= buffer["byteLength"] <= len(data):
            raise FormatError(path, f"buffer {i} claims {buffer['byteLength']} bytes, but has {len(data)}")
        out.append(None if data is None else data[: buffer["byteLength"]])
    return out


def _inline(uri: str) -> memoryview | None:
    head, _, body = uri.partition(",")
    try:
        return memoryview(base64.b64decode(body, validate=True)) if head.endswith(";base64") else None
    except binascii.Error:
        return None


def _read_beside(path: Path, uri: Any, length: int) -> memoryview:
    """Read the first ``length`` bytes of a buffer in a file beside ``path``; FormatError if it lies elsewhere."""
    place = _beside(path, uri)
    if place is None:
        raise FormatError(
            path, f"its buffer {str(uri)[:60]!r} is not a file in its own folder; export as one .glb file"
        )
    try:
        with place.open("rb") as file:
            return memoryview(file.read(max(0, min(length, place.stat().st_size))))
    except OSError as error:
        raise FormatError(path, f"its buffer {str(uri)[:60]!r} cannot be read: {error.strerror}") from None


def _beside(path: Path, uri: Any) -> Path | None:
    """Return the file of a relative URI below the folder of ``path``, links followed; None for any other URI."""
    name = unquote(uri) if isinstance(uri, str) else ""
    if not name or "\0" in name or "\\" in name or ":" in name or ".." in name.split("/") or name.startswith("/"):
        return None
    folder = path.parent.resolve()
    place = (folder / name).resolve()
    return place if place.is_relative_to(folder) and not place.is_dir() else None


def files_beside(path: Path) -> list[Path]:
    """List the files beside a ``.gltf`` file that hold its buffers; none if it cannot be parsed."""
    try:
        buffers = json.loads(_chunks(path.read_bytes(), path)[0])["buffers"]
        found = [_beside(path, buffer.get("uri")) for buffer in buffers]
    except (FormatError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return []
    return [place for place in found if place is not None]


def _read(accessors: Accessors, remarks: list[str]) -> Geometry:
    tree = accessors.tree
    if not str(tree["asset"]["version"]).startswith("2."):
        raise accessors.refused(f"glTF {tree['asset']['version']}, not 2.0")
    unknown = [n for n in tree.get("extensionsRequired", []) if n not in READ and not str(n).startswith(HARMLESS)]
    if unknown:
        names = ", ".join(map(str, unknown))
        raise accessors.refused(f"it requires {names}, which is not read; export without this extension")
    nodes, unseen = placed(accessors)
    remarks += unseen
    parts: list[Part] = []
    left, made, total = Counter[str](), 0, 0
    meshes: dict[int, list[Part]] = {}
    for node in nodes:
        if node.mesh not in meshes:
            meshes[node.mesh], lines = _mesh(accessors, node.mesh)
            left.update(lines)
        for part in meshes[node.mesh]:
            total += len(part.vertices) * len(node.matrices)
            made += len(part.faces) * len(node.matrices)
            if max(total, made) > MOST:
                raise accessors.refused(f"its instances have more than {MOST:,} vertices or triangles")
            parts += [part.moved(matrix) for matrix in node.matrices]
    remarks += [f"primitives of {name} left out: {count}" for name, count in left.items()]
    hidden = len(tree.get("meshes", [])) - len(meshes)
    if hidden and meshes:
        remarks.append(f"meshes left out because no node of the scene shows them: {hidden}")
    if not parts:
        shown = f"{sum(left.values())} primitives of {', '.join(left)}, " if left else ""
        raise accessors.refused(
            f"no faces: {shown}{len(tree.get('meshes', []))} meshes, {len(nodes)} placed by a scene"
        )
    return _joined(parts, remarks, accessors.path)


@dataclass(frozen=True, eq=False)
class Part:
    """A primitive: vertices (v, 3), triangles (f, 3) and colors (v, 3) uint8 or None.

    Points have no triangles, but may have normals (v, 3).
    """

    vertices: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int64]
    colors: npt.NDArray[np.uint8] | None
    normals: npt.NDArray[np.float64] | None = None

    def moved(self, matrix: npt.NDArray[np.float64]) -> "Part":
        """Return the primitive with its vertices transformed by ``matrix`` (4, 4)."""
        vertices = self.vertices @ matrix[:3, :3].T + matrix[:3, 3]
        turned = np.linalg.det(matrix[:3, :3]) < 0  # a mirrored triangle is turned back
        normals = None
        if self.normals is not None:
            a, b, c = matrix[:3, :3]
            normals = self.normals @ np.stack([np.cross(b, c), np.cross(c, a), np.cross(a, b)]).T
            lengths = np.linalg.norm(normals, axis=1, keepdims=True)
            normals = (-1 if turned else 1) * normals / np.where(lengths > 0, lengths, 1)
        return Part(vertices, self.faces[:, ::-1] if turned else self.faces, self.colors, normals)


def _joined(parts: list[Part], remarks: list[str], path: Path) -> Geometry:
    surfaces = [part for part in parts if len(part.faces)]
    if surfaces and len(surfaces) < len(parts):
        remarks.append(f"primitives of points left out: {len(parts) - len(surfaces)}")
    parts = surfaces or parts
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    vertices = np.concatenate([part.vertices for part in parts])
    check_vertices(vertices, path)
    faces = np.concatenate([part.faces + start for part, start in zip(parts, starts[:-1].tolist(), strict=True)])
    colors = [part.colors for part in parts if part.colors is not None]
    if colors and len(colors) < len(parts):
        remarks.append(f"colors left out: {len(parts) - len(colors)} of {len(parts)} parts have none")
    tints = np.concatenate(colors) if colors and len(colors) == len(parts) else None
    normals = [part.normals for part in parts if part.normals is not None]
    directions = np.concatenate(normals) if len(normals) == len(parts) and not surfaces else None
    return Geometry(vertices, faces, tints, directions, len(faces), remarks)


def _mesh(accessors: Accessors, place: int) -> tuple[list[Part], list[str]]:
    """Return the primitives of a mesh, and the names of those left out."""
    mesh = accessors.tree["meshes"][place]
    weights = mesh.get("weights", [])
    parts, lines = [], []
    for primitive in mesh["primitives"]:
        mode = primitive.get("mode", 4)
        if not isinstance(mode, int) or not 0 <= mode < len(MODES):
            raise accessors.refused(f"a primitive of mode {mode!r}")
        if mode in (1, 2, 3):
            lines.append(MODES[mode])
            continue
        parts.append(_primitive(accessors, primitive, mode, weights))
    return parts, lines


def _primitive(accessors: Accessors, primitive: dict[str, Any], mode: int, weights: list[float]) -> Part:
    attributes = primitive["attributes"]
    if "POSITION" not in attributes:
        raise accessors.refused("a primitive without POSITION")
    packed = ", ".join(n for n in primitive.get("extensions", {}) if not n.startswith(HARMLESS))
    given = [attributes["POSITION"], *([primitive["indices"]] if "indices" in primitive else [])]
    if DRACO in primitive.get("extensions", {}) and not all(map(accessors.has_data, given)):
        unpack(accessors, primitive)
    if packed and not all(map(accessors.has_data, given)):
        raise accessors.refused(f"meshes packed with {packed} are not read; export without compression")
    vertices = accessors.numbers(attributes["POSITION"])
    if vertices.shape[1] != 3:
        raise accessors.refused(f"positions of {vertices.shape[1]} numbers")
    for weight, target in zip(weights, primitive.get("targets", []), strict=False):
        if weight and "POSITION" in target:
            vertices = vertices + float(weight) * accessors.numbers(target["POSITION"])
    colors = _colors(accessors, attributes["COLOR_0"], len(vertices)) if "COLOR_0" in attributes else None
    if "indices" in primitive:
        table = accessors.read(primitive["indices"])
        if table.dtype.kind != "u" or table.shape[1] != 1:
            raise accessors.refused("indices that are not unsigned scalars")
        corners = table[:, 0].astype(np.int64)
        if corners.max() >= len(vertices):
            raise accessors.refused(f"a face has the index {corners.max()}, but there are {len(vertices)} vertices")
    else:
        corners = np.arange(len(vertices))
    if mode == 0:
        rows = corners if "indices" in primitive else slice(None)
        normals = accessors.numbers(attributes["NORMAL"]) if "NORMAL" in attributes else None
        if normals is not None and normals.shape != vertices.shape:
            raise accessors.refused(f"normals of shape {normals.shape} for points of shape {vertices.shape}")
        tints, directions = None if colors is None else colors[rows], None if normals is None else normals[rows]
        return Part(vertices[rows], np.empty((0, 3), np.int64), tints, directions)
    if len(corners) < 3 or (mode == 4 and len(corners) % 3):
        raise accessors.refused(f"{len(corners)} indices do not make {MODES[mode]}")
    if len(vertices) > 2 * len(corners):  # primitives may share one table of vertices
        used, corners = np.unique(corners, return_inverse=True)
        vertices, colors = vertices[used], None if colors is None else colors[used]
    return Part(vertices, _triangles(corners, mode), colors)


def _triangles(corners: npt.NDArray[np.int64], mode: int) -> npt.NDArray[np.int64]:
    """Triangles (f, 3) of a list (mode 4), a strip (5) or a fan (6)."""
    if mode == 4:
        return corners.reshape(-1, 3)
    if mode == 6:
        return np.stack([corners[1:-1], corners[2:], np.broadcast_to(corners[0], len(corners) - 2)], axis=1)
    cut = np.stack([corners[:-2], corners[1:-1], corners[2:]], axis=1)
    cut[1::2] = cut[1::2, [0, 2, 1]]
    return cut


def _colors(accessors: Accessors, place: int, vertices: int) -> npt.NDArray[np.uint8]:
    table = accessors.numbers(place)
    accessor = accessors.tree["accessors"][place]
    whole = accessor["componentType"] != 5126 and not accessor.get("normalized")
    if len(table) != vertices or table.shape[1] not in (3, 4) or whole or not np.isfinite(table).all():
        raise accessors.refused(f"{len(table)} colors that do not fit {vertices} vertices, or not normalized")
    return np.rint(np.clip(table[:, :3], 0, 1) * 255).astype(np.uint8)
