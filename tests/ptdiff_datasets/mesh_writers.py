"""Random valid mesh files whose area, box, vertices and colors are known by construction.

Nothing here knows the readers. Shapes are flat polygons, concave ones too, placed anywhere in space; the area of each
is that of the shoelace formula before it was placed.
"""

import base64
import json
import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Written:
    """A file and what it holds: vertices (v, 3) in order, their colors (v, 3) from 0 to 255 or None, and the area."""

    data: bytes
    vertices: np.ndarray
    area: float
    colors: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Shape:
    """Polygons, as lists of indices into vertices (v, 3), with their area."""

    vertices: np.ndarray
    polygons: list[list[int]]
    area: float


def turn(r: random.Random) -> np.ndarray:
    """A random rotation (3, 3)."""
    q, upper = np.linalg.qr(np.array([[r.gauss(0, 1) for _ in range(3)] for _ in range(3)]))
    q = q * np.sign(np.diag(upper))
    return q if np.linalg.det(q) > 0 else -q


def outline(r: random.Random) -> tuple[np.ndarray, float]:
    """A simple polygon (n, 2) and its area: a star around the origin, concave as a rule, or a frame with a hole."""
    if r.random() < 0.1:
        w = r.uniform(0.2, 0.8)
        outer, inner = [(1, 1), (-1, 1), (-1, -1), (1, -1)], [(w, w), (w, -w), (-w, -w), (-w, w)]
        return np.array([*outer, outer[0], *inner, inner[0]]), 4 - 4 * w * w
    n = r.choice((3, 3, 3, 4, 4, 5, 6, 9, 17))
    # no gap of half a turn, so that the origin lies inside
    angles = np.sort([(i + r.uniform(0, 0.8)) * 2 * math.pi / n for i in range(n)])
    flat = np.stack([np.cos(angles), np.sin(angles)], axis=1) * [[r.uniform(0.3, 1)] for _ in range(n)]
    x, y = flat.T
    area = abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    return (flat if r.random() < 0.5 else flat[::-1]), area


def shape(r: random.Random, triangles: bool = False) -> Shape:
    """One to six polygons in random planes, with float32 coordinates, and their vertices in random order."""
    vertices, polygons, area = [], [], 0.0
    for _ in range(r.randint(1, 6)):
        flat, size = outline(r)
        while triangles and len(flat) != 3:
            flat, size = outline(r)
        scale = r.uniform(0.5, 3)
        area += size * scale**2
        place = np.array([r.uniform(-5, 5) for _ in range(3)])
        start = len(vertices)
        polygons.append([start + i for i in range(len(flat))])
        vertices += list(np.pad(flat * scale, ((0, 0), (0, 1))) @ turn(r).T + place)
    order = list(range(len(vertices)))
    r.shuffle(order)
    table = np.empty((len(vertices), 3))
    table[order] = np.array(vertices)
    return Shape(table.astype(np.float32).astype(np.float64), [[order[i] for i in p] for p in polygons], area)


def tints(r: random.Random, count: int) -> np.ndarray:
    """Colors (count, 3) from 0 to 255, not all dark."""
    table = np.array([[r.randrange(256) for _ in range(3)] for _ in range(count)])
    table[0, 0] = r.randint(200, 255)
    return table


def obj(r: random.Random) -> Written:
    """OBJ: objects, indices of both signs, all kinds of corners, tabs, comments, continued lines, line ends, colors."""
    found = shape(r)
    gap = lambda: r.choice((" ", " ", " ", "\t", "  "))  # noqa: E731
    colors = tints(r, len(found.vertices)) if r.random() < 0.5 else None
    bytes_like = r.random() < 0.5
    lines = ["# a comment, f 1 2 3"] if r.random() < 0.5 else []
    kinds = r.choice(("v", "v/t", "v//n", "v/t/n", "v/", "mixed"))
    seen = 0
    waiting = list(found.polygons)
    if kinds != "v":
        lines += ["vt 0 0", "vn 0 0 1"]
    while seen < len(found.vertices) or waiting:
        ready = [p for p in waiting if max(p) < seen]
        if ready and (r.random() < 0.5 or seen == len(found.vertices)):
            polygon = ready[0]
            waiting.remove(polygon)
            words = []
            for i in polygon:
                index = str(i + 1) if r.random() < 0.5 else str(i - seen)
                kind = r.choice(("v", "v/t", "v//n", "v/t/n")) if kinds == "mixed" else kinds
                words.append(
                    kind.replace("v", index).replace("t", r.choice(("1", "-1"))).replace("n", r.choice(("1", "-1")))
                )
            line = "f" + gap() + gap().join(words)
            if r.random() < 0.1:
                line = line.replace(" ", " \\\n", 1)
            lines.append(line + r.choice(("", "", " # f 1 2 3", " ", "#")))
            if r.random() < 0.2:
                lines.append(
                    r.choice(("o part", "g a b", "g", "s off", "s 1", "usemtl paint", "", "mtllib a.mtl", "#"))
                )
        else:
            words = ["v", *(repr(float(x)) for x in found.vertices[seen])]
            if colors is not None:
                words += [str(c) if bytes_like else repr(c / 255) for c in colors[seen].tolist()]
            lines.append(("  " if r.random() < 0.1 else "") + gap().join(words))
            seen += 1
    end = r.choice(("\n", "\r\n", "\r"))
    text = (end.join(lines) + r.choice(("", end))).replace("\\\n", "\\" + end)
    data = (b"\xef\xbb\xbf" if r.random() < 0.2 else b"") + text.encode()
    return Written(data, found.vertices, found.area, colors)


def off(r: random.Random) -> Written:
    """OFF: all prefixes, in either case, comments, counts on any line, colors of vertices and faces, a BOM."""
    found = shape(r)
    n, c, s = (r.random() < 0.4 for _ in range(3))
    colors = tints(r, len(found.vertices)) if c else None
    alpha, whole = r.random() < 0.5, r.random() < 0.5
    head = ("ST" if s else "") + ("C" if c else "") + ("N" if n else "") + "OFF"
    head = head if r.random() < 0.6 else head.lower() if r.random() < 0.5 else head.title()
    counts = f"{len(found.vertices)} {len(found.polygons)}" + r.choice((" 0", "", " 12"))
    lines = [head + r.choice(("\n", " ", "")) + counts] if r.random() < 0.7 else [head, "# counts", "", counts]
    for i, place in enumerate(found.vertices.tolist()):
        words = list(map(repr, place))
        words += ["0.0", "0.6", "-0.8"] if n else []
        if colors is not None:
            tint = [*colors[i].tolist(), 255][: 4 if alpha else 3]
            words += [str(x) if whole else repr(x / 255) for x in tint]
        words += ["0.25", "0.5"] if s else []
        lines.append(r.choice((" ", "  ", "\t")).join(words) + r.choice(("", "", " ", " # point")))
    for polygon in found.polygons:
        tail = r.choice(([], [], [1], [0.1, 0.2, 0.3], [255, 0, 0, 255]))
        lines.append(" ".join(map(str, [len(polygon), *polygon, *tail])))
        if r.random() < 0.1:
            lines.append(r.choice(("", "# comment", "   ")))
    end = r.choice(("\n", "\r\n", "\r"))
    text = ("\n".join(lines) + "\n").replace("\n", end)
    return Written((b"\xef\xbb\xbf" if r.random() < 0.2 else b"") + text.encode(), found.vertices, found.area, colors)


CODES = {
    "char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "float": "f", "double": "d",
    "int8": "b", "uint8": "B", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "float32": "f", "float64": "d",
}  # fmt: skip
WHOLE = [name for name, code in CODES.items() if code not in "fd"]


def ply(r: random.Random) -> Written:
    """PLY: three encodings, all types, faces or strips, other elements and lists around what counts."""
    strips = r.random() < 0.25
    found = shape(r, triangles=strips)
    colors = tints(r, len(found.vertices)) if r.random() < 0.5 else None
    encoding = r.choice(("ascii", "binary_little_endian", "binary_big_endian"))
    real, tint = (
        r.choice(("float", "double", "float32", "float64")),
        r.choice(("uchar", "uint8", "float", "double", "int")),
    )
    length, index = r.choice(WHOLE), r.choice(WHOLE if not strips else ["int", "short", "int32", "char"])
    rows: list[tuple[str, list[tuple[str, ...]], list[list[object]]]] = []
    other = ("camera", [("float", "focus"), ("list", "uchar", "double", "poses")], [[0.5, [1.0, 2.0]], [2.0, []]])
    names = [(real, "x"), (real, "y"), (real, "z")]
    columns = [found.vertices[:, k].tolist() for k in range(3)]
    if colors is not None:
        names += [(tint, "red"), (tint, "green"), (tint, "blue")]
        fraction = CODES[tint] in "fd"
        columns += [(colors[:, k] / 255 if fraction else colors[:, k]).tolist() for k in range(3)]
    for kind in r.sample([*WHOLE, "float", "double"], r.randint(0, 2)):
        at = r.randint(0, len(names))
        names.insert(at, (kind, f"extra_{kind}"))
        columns.insert(at, [r.randint(0, 100) for _ in found.vertices])
    table: list[list[object]] = [list(row) for row in zip(*columns, strict=True)]
    if r.random() < 0.3:
        at = r.randint(0, len(names))
        names.insert(at, ("list", r.choice(WHOLE), r.choice(WHOLE), "weights"))
        for row in table:
            row.insert(at, [r.randint(0, 9) for _ in range(r.randint(0, 3))])
    rows.append(("vertex", names, table))
    key = r.choice(("vertex_indices", "vertex_index"))
    if strips:
        rows.append(("tristrips", [("list", "int", index, key)], [[[i for p in found.polygons for i in (*p, -1)]]]))
    else:
        face = [("list", length, index, key)]
        faces: list[list[object]] = [[p] for p in found.polygons]
        if r.random() < 0.3:
            face.append(("uchar", "flags"))
            faces = [[*row, 7] for row in faces]
        if r.random() < 0.3:
            face.insert(0, ("list", "uchar", "float", "texcoord"))
            faces = [[[0.5] * r.randint(0, 4), *row] for row in faces]
        rows.append(("face", face, faces))
    if r.random() < 0.3:
        rows.insert(0, other)
    if r.random() < 0.3:
        rows.append(("edge", [("int", "vertex1"), ("int", "vertex2")], [[0, 1], [1, 0]]))
    lines = ["ply", f"format {encoding} 1.0", "comment made by a test"]
    for name, properties, records in rows:
        lines += [f"element {name} {len(records)}", *(f"property {' '.join(p)}" for p in properties), "obj_info none"]
    end = r.choice(("\n", "\r\n"))
    body = [_ply_record(encoding, properties, row) for _, properties, records in rows for row in records]
    data = (end.join([*lines, "end_header"]) + end).encode() + b"".join(body)
    return Written(data, found.vertices, found.area, colors)


def _ply_record(encoding: str, properties: list[tuple[str, ...]], row: list[object]) -> bytes:
    flat: list[tuple[str, object]] = []
    for (*types, _), value in zip(properties, row, strict=True):
        if types[0] == "list":
            assert isinstance(value, list)
            flat += [(types[1], len(value)), *((types[2], x) for x in value)]
        else:
            flat.append((types[0], value))
    if encoding == "ascii":
        return (" ".join(repr(float(x)) if CODES[t] in "fd" else str(int(x)) for t, x in flat) + "\n").encode()  # type: ignore[arg-type]
    order = "<" if "little" in encoding else ">"
    return b"".join(struct.pack(order + CODES[t], float(x) if CODES[t] in "fd" else int(x)) for t, x in flat)  # type: ignore[arg-type]


def stl(r: random.Random) -> Written:
    """STL: text with names that mislead, several solids and any case; binary with any header and a short tail."""
    found = shape(r, triangles=True)
    corners = found.vertices[[i for p in found.polygons for i in p]]
    if r.random() < 0.5:
        head = r.choice((b"solid of binary", b"made by a test", b"COLOR=\1\2\3\4", b"facet normal")).ljust(
            80, b" \0"[:1]
        )
        body = b"".join(struct.pack("<12fH", 0, 0, 0, *t.ravel(), 5) for t in corners.reshape(-1, 3, 3))
        tail = r.choice((b"", b"", b"\n", b"\0\0", b"end of file\r\n", bytes(300)))
        return Written(head + struct.pack("<I", len(corners) // 3) + body + tail, corners, found.area)
    name = r.choice(("", " facet normal 0 0 1", " endsolid", " vertex", " a b c", " solid"))
    lines, triangles = [f"solid{name}"], corners.reshape(-1, 3, 3).tolist()
    for i, triangle in enumerate(triangles):
        lines += ["  facet normal 0 0 1", "    outer loop"]
        lines += ["      vertex " + " ".join(map(repr, corner)) for corner in triangle]
        lines += ["    endloop", "  endfacet"]
        if i + 1 < len(triangles) and r.random() < 0.2:
            lines += [f"endsolid{name}", "solid"]
    text = "\n".join([*lines, f"endsolid{name}", ""])
    text = text.upper() if r.random() < 0.2 else text
    return Written(text.replace("\n", r.choice(("\n", "\r\n", "\r"))).encode(), corners, found.area)


class _Glb:
    """The JSON and the bytes of a GLB being written."""

    def __init__(self, r: random.Random) -> None:
        self.r, self.blob = r, b""
        self.tree: dict[str, list[object]] = {"bufferViews": [], "accessors": []}

    def view(self, data: bytes, stride: int | None = None) -> int:
        self.blob += bytes(-len(self.blob) % 4)
        view = {"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(data)}
        self.tree["bufferViews"].append(view if stride is None else {**view, "byteStride": stride})
        self.blob += data
        return len(self.tree["bufferViews"]) - 1

    def accessor(self, table: np.ndarray, kind: int, **more: object) -> int:
        """Store numbers (n, width) of one component type, packed, strided or sparse, with or without bounds."""
        r, codes = self.r, {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
        stored = table.astype(codes[kind])
        about: dict[str, object] = {"componentType": kind, "count": len(stored), **more}
        about["type"] = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[stored.shape[1]]
        how = r.choice(("packed", "strided", "sparse", "zeros"))
        if how == "packed":
            about["bufferView"] = self.view(stored.tobytes())
        elif how == "strided":
            size = stored.itemsize * stored.shape[1]
            stride = size + r.choice((4, 8)) + -size % 4
            rows = b"".join(b"\xee" * 4 + row.tobytes() + b"\xee" * (stride - size - 4) for row in stored)
            about |= {"bufferView": self.view(rows, stride), "byteOffset": 4}
        else:
            base = np.zeros_like(stored)
            if how == "sparse":
                base = stored.copy()
                base[:: r.randint(1, 3)] = 1
                about["bufferView"] = self.view(base.tobytes())
            rows_set = np.flatnonzero((base != stored).any(axis=1))
            if len(rows_set) == 0:
                rows_set = np.array([0])
            places, index = r.choice((("u1", 5121), ("<u2", 5123), ("<u4", 5125)))
            about["sparse"] = {
                "count": len(rows_set),
                "indices": {"bufferView": self.view(rows_set.astype(places).tobytes()), "componentType": index},
                "values": {"bufferView": self.view(stored[rows_set].tobytes())},
            }
        if r.random() < 0.5:
            about |= {"min": stored.min(axis=0).tolist(), "max": stored.max(axis=0).tolist()}
        self.tree["accessors"].append(about)
        return len(self.tree["accessors"]) - 1


def _placement(r: random.Random) -> tuple[dict[str, object], np.ndarray, float]:
    """A node's transform, the matrix that it stands for, and the factor by which it scales lengths."""
    rotation, scale, move = turn(r), r.uniform(0.5, 2), np.array([r.uniform(-3, 3) for _ in range(3)])
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation * scale, move
    if r.random() < 0.3:
        return {}, np.eye(4), 1.0
    if r.random() < 0.5:
        return {"matrix": matrix.T.ravel().tolist()}, matrix, scale
    return {"translation": move.tolist(), "rotation": quaternion(rotation), "scale": [scale] * 3}, matrix, scale


def quaternion(rotation: np.ndarray) -> list[float]:
    """The quaternion (x, y, z, w) of a rotation, as the eigenvector of the symmetric matrix of Bar-Itzhack (2000)."""
    m = rotation
    k = np.array([
        [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
        [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
        [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], 0],
        [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m.trace()],
    ])  # fmt: skip
    return [float(x) for x in np.linalg.eigh(k / 3)[1][:, -1]]


GRIDS = (
    (5120, 127, True), (5121, 255, True), (5122, 32767, True), (5123, 65535, True), (5122, 4000, False),
    (5123, 4000, False),
)  # fmt: skip
"""Component types of quantized positions, their largest number, and whether that number stands for 1."""


def glb(r: random.Random) -> Written:
    """GLB: nodes, instances, all component types, strips and fans, quantized and sparse accessors, colors."""
    out = _Glb(r)
    quantized = r.random() < 0.4
    primitives, meshes, painted = [], [], r.random() < 0.5
    local: list[tuple[np.ndarray, np.ndarray | None, float]] = []
    for _ in range(r.randint(1, 3)):
        vertices, corners, mode, area = _primitive(r)
        kind, more, grid = 5126, {}, vertices
        if quantized:
            kind, top, normalized = r.choice(GRIDS)
            # a plane z = 0, so that rounding to the grid leaves it flat
            corner, size = vertices.min(axis=0), float(np.ptp(vertices, axis=0).max())
            grid = np.rint((vertices - corner) / size * top)
            vertices = grid / top if normalized else grid
            more = {"normalized": normalized} if normalized else {}
            area = _strip_area(vertices, corners, mode)
        attributes: dict[str, int] = {"POSITION": out.accessor(grid, kind, **more)}
        colors = None
        if painted:
            colors = tints(r, len(vertices))
            values, tint, norm = r.choice(
                ((colors, 5121, True), (colors * 257, 5123, True), (colors / 255, 5126, False))
            )
            if r.random() < 0.5:
                values = np.pad(values, ((0, 0), (0, 1)), constant_values=1)
            attributes["COLOR_0"] = out.accessor(values, tint, **({"normalized": True} if norm else {}))
        primitive: dict[str, object] = {"attributes": attributes, "mode": mode}
        if not np.array_equal(corners, np.arange(len(vertices))) or r.random() < 0.5:
            primitive["indices"] = out.accessor(corners[:, None], r.choice((5121, 5123, 5125)))
        if mode == 4 and r.random() < 0.5:
            del primitive["mode"]
        primitives.append(primitive)
        local.append((vertices, colors, area))
    meshes.append({"primitives": primitives})
    nodes: list[dict[str, object]] = []
    vertices_of, area = [], 0.0
    above, factor, parent = np.eye(4), 1.0, None
    roots = []
    for _ in range(r.randint(1, 3)):
        about, matrix, scale = _placement(r)
        child = parent is not None and r.random() < 0.5
        if child:
            nodes[parent].setdefault("children", []).append(len(nodes))  # type: ignore[attr-defined, index]
            above, factor = above @ matrix, factor * scale
        else:
            roots.append(len(nodes))
            above, factor = matrix, scale
        parent = len(nodes)
        node = {**about, "mesh": 0}
        moves = np.zeros((1, 3))
        if r.random() < 0.3:
            moves = np.array([[r.randint(-4, 4) for _ in range(3)] for _ in range(r.randint(1, 4))])
            node["extensions"] = {"EXT_mesh_gpu_instancing": {"attributes": {"TRANSLATION": out.accessor(moves, 5126)}}}
        nodes.append(node)
        # depth first, with one chain of children, is the order of the nodes
        vertices_of.append([(v + move) @ above[:3, :3].T + above[:3, 3] for v, _, _ in local for move in moves])
        area += sum(a for _, _, a in local) * factor**2 * len(moves)
    placed = [np.concatenate(v) for v in vertices_of]
    counts = [len(n) // sum(len(v) for v, _, _ in local) for n in placed]
    tint = [np.repeat(c[None], n, axis=0).reshape(-1, 3) for n in counts for _, c, _ in local] if painted else None
    tree = {"asset": {"version": "2.0"}, "buffers": [{"byteLength": len(out.blob)}], **out.tree, "meshes": meshes}
    tree |= {"nodes": nodes, "scenes": [{"nodes": roots}], "scene": 0}
    used = (["KHR_mesh_quantization"] if quantized else []) + ["EXT_mesh_gpu_instancing"]
    tree |= {"extensionsUsed": used, "extensionsRequired": used}
    colors = None if tint is None else np.concatenate(tint)
    return Written(_container(r, tree, out.blob), np.concatenate(placed), area, colors)


def _container(r: random.Random, tree: dict[str, object], blob: bytes) -> bytes:
    if r.random() < 0.2:
        uri = "data:application/octet-stream;base64," + base64.b64encode(blob).decode()
        return json.dumps({**tree, "buffers": [{"byteLength": len(blob), "uri": uri}]}).encode()
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    blob += bytes(-len(blob) % 4)
    chunks = struct.pack("<2I", len(text), 0x4E4F534A) + text + struct.pack("<2I", len(blob), 0x004E4942) + blob
    return b"glTF" + struct.pack("<2I", 2, 12 + len(chunks)) + chunks


def _primitive(r: random.Random) -> tuple[np.ndarray, np.ndarray, int, float]:
    """Vertices in the plane z = 0, corners, a mode (4, 5 or 6) and the area that they cover."""
    mode = r.choice((4, 5, 6))
    n = 3 * r.randint(1, 4) if mode == 4 else r.randint(3, 9)
    if mode == 6:
        angles = np.linspace(0, 2 * math.pi, n, endpoint=False)
        flat = np.stack([np.cos(angles), np.sin(angles)], axis=1) * r.uniform(0.5, 2)
    elif mode == 5:
        flat = np.stack([np.arange(n) * r.uniform(0.3, 1), np.arange(n) % 2 * r.uniform(0.3, 1)], axis=1)
    else:
        flat = np.array([[r.uniform(-2, 2) for _ in range(2)] for _ in range(n)])
    order = list(range(n))
    r.shuffle(order)
    corners = np.array(order)
    vertices = np.zeros((n, 3))
    vertices[corners, :2] = flat.astype(np.float32)
    return vertices, corners, mode, _strip_area(vertices, corners, mode)


def _strip_area(vertices: np.ndarray, corners: np.ndarray, mode: int) -> float:
    x, y = vertices[corners, :2].T
    last = len(corners) - 2
    if mode == 6:
        return abs(float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())) / 2
    total = 0.0
    for i in range(0, len(corners) - 2, 3 if mode == 4 else 1):
        a, b, c = i, i + 1, i + 2
        total += abs((x[b] - x[a]) * (y[c] - y[a]) - (x[c] - x[a]) * (y[b] - y[a])) / 2
    assert last > 0
    return float(total)


WRITERS: dict[str, Callable[[random.Random], Written]] = {"obj": obj, "off": off, "ply": ply, "stl": stl, "glb": glb}
