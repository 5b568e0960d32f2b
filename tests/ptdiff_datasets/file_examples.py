"""Small valid files of every format, for tests that damage them."""

import io
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from mesh_writers import WRITERS as WRITTEN

from ptdiff_datasets.formats.catalog import WRITERS

N = 24
RANDOM = np.random.default_rng(7)
POINTS = RANDOM.standard_normal((N, 3)).astype(np.float32)
NORMALS = (POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)).astype(np.float32)
COLORS = RANDOM.integers(0, 256, (N, 3)).astype(np.uint8)


def lzf(data: bytes) -> bytes:
    """Compress greedily, for the tests of the decompressor."""
    out, literal, at = bytearray(), bytearray(), 0

    def flush() -> None:
        for start in range(0, len(literal), 32):
            run = literal[start : start + 32]
            out.append(len(run) - 1)
            out.extend(run)
        literal.clear()

    while at < len(data):
        best, back = 0, 0
        for start in range(max(0, at - 8192), at):
            size = 0
            while size < 264 and at + size < len(data) and data[start + size] == data[at + size]:
                size += 1
            if size > best:
                best, back = size, at - start - 1
        if best < 3:
            literal.append(data[at])
            at += 1
            continue
        flush()
        at += best
        size = best - 2
        out.extend([size << 5 | back >> 8] if size < 7 else [7 << 5 | back >> 8, size - 7])
        out.append(back & 255)
    flush()
    return bytes(out)


def pcd(encoding: str) -> bytes:
    """Write the example as a PCD file with normals and a packed color."""
    head = (
        "# .PCD v0.7\nVERSION 0.7\nFIELDS x y z normal_x normal_y normal_z rgb\nSIZE 4 4 4 4 4 4 4\n"
        f"TYPE F F F F F F U\nCOUNT 1 1 1 1 1 1 1\nWIDTH {N}\nHEIGHT 1\nVIEWPOINT 0 0 0 1 0 0 0\nPOINTS {N}\n"
        f"DATA {encoding}\n"
    ).encode()
    packed = COLORS.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    columns = [*POINTS.T, *NORMALS.T]
    if encoding == "ascii":
        rows = zip(*(c.tolist() for c in columns), packed.tolist(), strict=True)
        return head + "".join(" ".join(map(repr, row)) + "\n" for row in rows).encode()
    if encoding == "binary":
        return head + b"".join(struct.pack("<6fI", *row) for row in zip(*columns, packed.tolist(), strict=True))
    whole = b"".join(c.astype("<f4").tobytes() for c in columns) + packed.astype("<u4").tobytes()
    small = lzf(whole)
    return head + struct.pack("<2I", len(small), len(whole)) + small


def ply(encoding: str) -> bytes:
    """Write the example as a PLY file with normals and colors."""
    names = "".join(f"property float {n}\n" for n in ("x", "y", "z", "nx", "ny", "nz"))
    names += "".join(f"property uchar {n}\n" for n in ("red", "green", "blue"))
    head = f"ply\nformat {encoding} 1.0\nelement vertex {N}\n{names}end_header\n".encode()
    rows = [(*p, *n, *c) for p, n, c in zip(POINTS.tolist(), NORMALS.tolist(), COLORS.tolist(), strict=True)]
    if encoding == "ascii":
        return head + "".join(" ".join(map(repr, row)) + "\n" for row in rows).encode()
    order = "<" if "little" in encoding else ">"
    return head + b"".join(struct.pack(f"{order}6f3B", *row) for row in rows)


def hdf5(**options: object) -> bytes:
    """Write three clouds with labels and normals, as in ModelNet40's files."""
    import h5py

    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("data", data=np.stack([POINTS, POINTS * 2, -POINTS]), **options)
        file.create_dataset("normal", data=np.stack([NORMALS, NORMALS, -NORMALS]), **options)
        file.create_dataset("label", data=np.array([[2], [0], [1]], np.uint8))
    return stream.getvalue()


def written(suffix: str, folder: Path) -> bytes:
    """Write the example with our own writer for a suffix."""
    path = folder / f"written{suffix}"
    normals = None if suffix in (".npy", ".las", ".laz") else NORMALS
    WRITERS[suffix](path, POINTS, normals, None if suffix == ".npy" else COLORS)
    return path.read_bytes()


def layered() -> bytes:
    """Write the example as LAZ of LAS 1.4, point format 7, whose streams lie in layers."""
    import laspy

    header = laspy.LasHeader(point_format=7, version="1.4")
    header.scales = np.full(3, 1e-8)
    file = laspy.LasData(header)
    file.x, file.y, file.z = POINTS.astype(np.float64).T
    file.red, file.green, file.blue = COLORS.astype(np.uint16).T * np.uint16(257)
    stream = io.BytesIO()
    file.write(stream, do_compress=True)
    return stream.getvalue()


def mesh(kind: str) -> bytes:
    """Write a box-shaped mesh."""
    import trimesh

    box = trimesh.creation.box(extents=(1, 2, 3))
    suffix, _, encoding = kind.partition(" ")
    data = box.export(file_type=suffix, **({"encoding": encoding} if encoding else {}))
    return data if isinstance(data, bytes) else data.encode()


def quoted(_: Path) -> bytes:
    """Write the example as R and Excel do: quotes, row names, decimal commas, semicolons."""
    lines = [";".join((f'"{i + 1}"', *(str(v).replace(".", ",") for v in row))) for i, row in enumerate(_rows())]
    head = ";".join(f'"{name}"' for name in ("X [m]", "y", "z", "nx", "ny", "nz", "Red", "g", "diffuse_blue"))
    return "\r\n".join([head, *lines]).encode("utf-8-sig")


def wide(_: Path) -> bytes:
    """Write the example as UTF-16 with tabs, a column of words, one of thousands and one of per cent."""
    rows = ["\t".join((*map(repr, row), f"point {i}", f"{1e6 * row[0]:,.2f}", "12 %")) for i, row in enumerate(_rows())]
    head = "x\ty\tz\tnx\tny\tnz\tR\tG\tB\tname\tthousands\tshare"
    return "\n".join([head, *rows]).encode("utf-16")


def _rows() -> list[tuple[float, ...]]:
    return [(*p, *n, *c) for p, n, c in zip(POINTS.tolist(), NORMALS.tolist(), COLORS.tolist(), strict=True)]


def gltf(folder: Path) -> bytes:
    """Write the example as points in a .gltf file with its buffer beside it."""
    (folder / "points.bin").write_bytes(POINTS.tobytes() + NORMALS.tobytes())
    accessor = {"componentType": 5126, "count": N, "type": "VEC3"}
    tree = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": 24 * N, "uri": "points.bin"}],
        "bufferViews": [{"buffer": 0, "byteOffset": at, "byteLength": 12 * N} for at in (0, 12 * N)],
        "accessors": [accessor | {"bufferView": 0}, accessor | {"bufferView": 1}],
        "meshes": [{"primitives": [{"mode": 6, "attributes": {"POSITION": 0, "NORMAL": 1}}]}],
        "nodes": [{"mesh": 0, "scale": [2, 3, -4]}],
    }
    return json.dumps(tree).encode()


CLOUDS: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "ply ascii": (".ply", lambda _: ply("ascii")),
    "ply little": (".ply", lambda _: ply("binary_little_endian")),
    "ply big": (".ply", lambda _: ply("binary_big_endian")),
    "pcd ascii": (".pcd", lambda _: pcd("ascii")),
    "pcd binary": (".pcd", lambda _: pcd("binary")),
    "pcd compressed": (".pcd", lambda _: pcd("binary_compressed")),
    "xyz": (".xyz", lambda folder: written(".xyz", folder)),
    "pts": (".pts", lambda folder: b"%d\n" % N + written(".xyz", folder).partition(b"\n")[2]),
    "csv": (".csv", lambda folder: written(".xyz", folder).replace(b"# ", b"").replace(b" ", b",")),
    "csv quoted": (".csv", quoted),
    "txt wide": (".txt", wide),
    "npy": (".npy", lambda folder: written(".npy", folder)),
    "npz": (".npz", lambda folder: written(".npz", folder)),
    "las": (".las", lambda folder: written(".las", folder)),
    "laz": (".laz", lambda folder: written(".laz", folder)),
    "laz layered": (".laz", lambda _: layered()),
    "hdf5": (".h5", lambda _: hdf5()),
    "hdf5 packed": (".h5", lambda _: hdf5(compression="gzip", chunks=(1, N, 3))),
}
"""Examples by name: suffix, and a function that returns the bytes, given a scratch folder."""


def varied(kind: str, seed: int) -> bytes:
    """Write a mesh with the rarer parts of a format."""
    return WRITTEN[kind](random.Random(f"{kind} {seed}")).data


MESHES: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "obj": (".obj", lambda _: mesh("obj")),
    "mesh ply": (".ply", lambda _: mesh("ply")),
    "mesh ply ascii": (".ply", lambda _: mesh("ply ascii")),
    "stl": (".stl", lambda _: mesh("stl")),
    "stl ascii": (".stl", lambda _: mesh("stl_ascii")),
    "off": (".off", lambda _: mesh("off")),
    "glb": (".glb", lambda _: mesh("glb")),
    "gltf": (".gltf", gltf),
    "obj varied": (".obj", lambda _: varied("obj", 2)),
    "off varied": (".off", lambda _: varied("off", 12)),
    "mesh ply varied": (".ply", lambda _: varied("ply", 18)),
    "mesh ply strips": (".ply", lambda _: varied("ply", 25)),
    "glb varied": (".glb", lambda _: varied("glb", 55)),
}

TABLES: dict[str, tuple[str, Callable[[Path], bytes]]] = {
    "table quoted": (".csv", quoted),
    "table wide": (".tsv", wide),
}
"""Tables of numbers, read without knowing that they are points."""
