"""Meshes as other programs write them: each is read with the right area and box, or refused by name in one line."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.clouds.checking import check
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.clouds.reading import read_one
from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.meshes import read_mesh
from ptdiff_datasets.formats.ply import read_ply

CORNERS = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
QUADS = [(0, 1, 3, 2), (5, 4, 6, 7), (1, 0, 4, 5), (2, 3, 7, 6), (0, 2, 6, 4), (3, 1, 5, 7)]
TRIANGLES = [t for a, b, c, d in QUADS for t in ((a, b, c), (a, c, d))]
L_SHAPE = [(2, 0, 0), (2, 1, 0), (1, 1, 0), (1, 2, 0), (0, 2, 0), (0, 0, 0)]
STRIP = [3, 7, 1, 5, 4, 7, 6, 3, 2, 1, 0, 4, 2, 6]


def read(path: Path, data: bytes | str) -> tuple[float, list[list[float]], tuple[str, ...]]:
    """Write a file and return area, box and remarks of its mesh."""
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    mesh = read_mesh(path)
    return mesh.area, np.asarray(mesh.bounds).tolist(), mesh.metadata["remarks"]


def refused(path: Path, data: bytes | str) -> str:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(FormatError) as caught:
        read_mesh(path)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def rows(table: object, before: str = "", between: str = " ") -> str:
    return "".join(before + between.join(map(str, row)) + "\n" for row in table)  # type: ignore[attr-defined]


UNIT = [[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]
CUBE = rows(CORNERS, "v ")
FACES = rows([[i + 1 for i in t] for t in TRIANGLES], "f ")


# OBJ


def test_negative_indices_count_back_from_their_face_over_objects_and_groups(tmp_path: Path) -> None:
    text = ""
    for name, shift in (("o a", 0), ("g b", 3)):
        text += (
            f"{name}\n" + rows(np.array(CORNERS) + shift, "v ") + rows([[i - 8 for i in t] for t in TRIANGLES], "f ")
        )
    path = tmp_path / "a.obj"
    assert read(path, text)[:2] == (pytest.approx(12), [[0.0] * 3, [4.0] * 3])
    assert len(read_mesh(path).vertices) == 16


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(" ", "\t"),
        lambda text: "".join(f"{line} # f 1 2 3\n" for line in text.splitlines()),
        lambda text: text.replace("\n", "\r"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.replace("f 1 ", "f 1 \\\n"),
        lambda text: "\ufeff" + text.replace("\n", "  \n"),
        lambda text: text.replace("\n", "\n  "),
        lambda text: text.rstrip("\n"),
        lambda text: rows([(0, 1)], "vt ") + "vn 0 0 1\ns off\nusemtl #1\n" + text.replace("f 1 ", "f 1/-1/1 "),
        lambda text: "vn 0 0 1\n" + text.replace("f 1 2", "f 1//1 2//-1"),
    ],
)
def test_obj_dialects_hold_the_same_cube(tmp_path: Path, change: Callable[[str], str]) -> None:
    assert read(tmp_path / "a.obj", change(CUBE + FACES)) == (pytest.approx(6), UNIT, ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (CUBE.replace("v 0 0 1", "v 0,0 0,0 1,0") + FACES, "line 2: '0,0' is not a number; write decimal points"),
        (CUBE.replace("v 0 0 1", "v 0,0,1") + FACES, "line 2: a vertex of 1 numbers"),
        (CUBE + "f 1,2,3\n", "line 9: 'f 1,2,3' is not a face"),
        (CUBE + "\n\nf 1 2 \\\n 9\n", "line 11: no vertex has the index 9 (there are 8)"),
        (CUBE + "f 1 2 -9\n", "line 9: no vertex has the index -9"),
        (CUBE + "f 1 2 0\n", "line 9: no vertex has the index 0"),
        (CUBE + "f 1 2 x\n", "line 9: 'f 1 2 x' is not a face"),
        (CUBE + "f 1/a 2 3\n", "line 9: 'f 1/a 2 3' is not a face"),
        (CUBE + "f 1 2 3.5\n", "line 9: 'f 1 2 3.5' is not a face"),
        (CUBE + FACES + "curv 0 1 2 3\n", "line 21: 'curv' is a free-form curve or surface, not read"),
        (CUBE + FACES + "call other.obj\n", "line 21: 'call' is not a statement that is read"),
        (CUBE + "l 1 2 3\n", "no faces, but 1 lines"),
        ("v 0 0 0 2\n" + CUBE.replace("\n", " 1\n") + FACES, "line 1: a vertex with a weight other than 1"),
        (CUBE.replace("\n", " 1.7 0.5 0\n") + FACES, "colors from 0 to 1.7"),
        (CUBE.replace("\n", " 0 -1 0\n") + FACES, "colors from -1 to 0"),
        (CUBE.replace("v 0 0 1", "v 0 0 1_0") + FACES, "'1_0'"),
    ],
)
def test_obj_lines_that_cannot_be_read_are_named(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refused(tmp_path / "a.obj", text)


@pytest.mark.parametrize("color", ["255 128 0", "255.0 127.6 0", "1.0 0.5 0.0"])
def test_obj_colors_of_both_scales_are_bytes(tmp_path: Path, color: str) -> None:
    (tmp_path / "a.obj").write_text(CUBE.replace("\n", f" {color}\n") + FACES)
    assert np.asarray(read_mesh(tmp_path / "a.obj").visual.vertex_colors)[0, :3].tolist() == [255, 128, 0]


def test_obj_lines_and_half_colored_vertices_are_remarked(tmp_path: Path) -> None:
    _, _, remarks = read(tmp_path / "a.obj", "v 5 5 5 1 0 0\n" + CUBE + FACES + "l 1 2\n")
    assert remarks == (
        "colors left out: vertex lines of 3 and of 6 numbers",
        "lines ('l') left out: 1",
    )


# polygons


def l_shapes() -> dict[str, bytes]:
    """An L of one hexagon, in every format of polygons."""
    face = [6, *range(6)]
    points = struct.pack(">18d", *np.ravel(L_SHAPE))
    head = "ply\nformat {} 1.0\nelement vertex 6\n" + rows("xyz", "property double ")
    head += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    return {
        "a.obj": (rows(L_SHAPE, "v ") + "f 1 2 3 4 5 6\n").encode(),
        "b.obj": (rows(L_SHAPE, "v ") + "f -1 -2 -3 -4 -5 -6\n").encode(),
        "a.off": ("OFF\n6 1 0\n" + rows(L_SHAPE) + rows([face])).encode(),
        "a.ply": (head.format("ascii") + rows(L_SHAPE) + rows([face])).encode(),
        "b.ply": head.format("binary_big_endian").encode() + points + struct.pack(">B6i", *face),
    }


@pytest.mark.parametrize("name", l_shapes())
@pytest.mark.parametrize("start", range(6))
def test_a_concave_polygon_keeps_its_notch_wherever_it_begins(tmp_path: Path, name: str, start: int) -> None:
    data = l_shapes()[name].replace(
        b"f 1 2 3 4 5 6", f"f {' '.join(str((i + start) % 6 + 1) for i in range(6))}".encode()
    )
    assert read(tmp_path / name, data)[:2] == (pytest.approx(3), [[0.0, 0.0, 0.0], [2.0, 2.0, 0.0]])


@pytest.mark.parametrize("start", range(4))
def test_a_concave_quad_is_cut_along_the_other_diagonal(tmp_path: Path, start: int) -> None:
    dart = [(0, 0, 0), (2, 1, 0), (4, 0, 0), (2, 3, 0)]
    corners = " ".join(str((i + start) % 4 + 1) for i in range(4))
    assert read(tmp_path / "a.obj", rows(dart, "v ") + f"f {corners}\n")[0] == pytest.approx(4)


def test_a_crossing_polygon_is_remarked(tmp_path: Path) -> None:
    bow = [(0, 0, 0), (1, 1, 0), (1, 0, 0), (0, 1, 0)]
    assert read(tmp_path / "a.obj", rows(bow, "v ") + "f 1 2 3 4\n")[2] == (
        "polygons that cross themselves, cut as fans: 1",
    )


# OFF


OFF_FACES = rows([[3, *t] for t in TRIANGLES])


@pytest.mark.parametrize(
    "data",
    [
        "off\n8 12 18\n" + rows(CORNERS) + OFF_FACES,
        "\ufeffOFF\n8 12 18\n" + rows(CORNERS) + OFF_FACES,
        "# a comment\n\nOFF 8 12 18 # counts\n" + rows(CORNERS) + OFF_FACES.replace("\n", " # face\n"),
        "NOFF\n8 12 18\n" + rows(CORNERS).replace("\n", " 0 0 1\n") + OFF_FACES,
        "COFF 8 12\n" + rows(CORNERS).replace("\n", " 0.5 0.5 0.5 1\n") + OFF_FACES,
        "stcnoff\n8 12\n" + rows(CORNERS).replace("\n", " 0 0 1 9 9 200 0 0\n") + OFF_FACES,
        "OFF\n8 6 0\n" + rows(CORNERS) + rows([[4, *q] for q in QUADS]),
        ("OFF\n8 12 18\n" + rows(CORNERS, "\t") + OFF_FACES).replace("\n", "\r"),
    ],
)
def test_off_dialects_hold_the_same_cube(tmp_path: Path, data: str) -> None:
    assert read(tmp_path / "a.off", data) == (pytest.approx(6), UNIT, ())


def test_off_numbers_that_no_prefix_names_are_remarked(tmp_path: Path) -> None:
    more = rows(CORNERS).replace("\n", " 255 0 0\n")
    faces = OFF_FACES.replace("\n", " 255 0 0\n")
    _, _, remarks = read(tmp_path / "a.off", "OFF\n8 12 0\n" + more + faces)
    assert remarks == (
        "3 more numbers on each vertex line left out; COFF or NOFF would name them",
        "colors of faces left out",
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("4OFF\n8 12 0\n", "four or n coordinates"),
        ("OFF\n8 12 0\n" + rows(CORNERS) + OFF_FACES + "0 0 0\n", "claims 8 vertices and 12 faces, 21 lines follow"),
        ("OFF\n8 12 0\n" + rows(CORNERS).replace("1 1 1", "1 1") + OFF_FACES, "vertex lines of 2 and of 3 numbers"),
        ("OFF\n8 12 0\n" + rows(CORNERS).replace("1 1 1", "1 1 a") + OFF_FACES, "'1 1 a' is not a vertex"),
        ("OFF\n8 12 0\n" + rows(CORNERS) + OFF_FACES.replace("3 0 1 3", "3 0 1 8", 1), "the index 8"),
        ("OFF\n8 12 0\n" + rows(CORNERS) + OFF_FACES.replace("3 0 1 3", "3 0 1 -1", 1), "the index -1"),
        ("OFF\n8 12 0\n" + rows(CORNERS) + OFF_FACES.replace("3 0 1 3", "3 0 1 1.5", 1), "is not a face"),
        ("COFF\n8 12 0\n" + rows(CORNERS) + OFF_FACES, "vertex lines of 3 numbers do not fit COFF"),
    ],
)
def test_off_lines_that_cannot_be_read_are_named(tmp_path: Path, data: str, reason: str) -> None:
    assert reason in refused(tmp_path / "a.off", data)


# PLY


def ply(encoding: str, elements: str, body: bytes, vertices: int = 8) -> bytes:
    head = f"ply\nformat {encoding} 1.0\nelement vertex {vertices}\n" + rows("xyz", "property float ")
    return (head + elements + "end_header\n").encode() + body


MIXED: list[tuple[int, ...]] = [*QUADS[:3], *TRIANGLES[6:]]
FACE_LIST = "element face {}\nproperty list {} {} vertex_indices\n"


@pytest.mark.parametrize(("encoding", "order"), [("binary_little_endian", "<"), ("binary_big_endian", ">")])
@pytest.mark.parametrize(("length", "index"), [("uchar B", "int i"), ("int i", "uchar B"), ("ushort H", "uint I")])
def test_triangles_and_quads_lie_in_one_binary_ply(
    tmp_path: Path, encoding: str, order: str, length: str, index: str
) -> None:
    (long, a), (short, b) = length.split(), index.split()
    body = struct.pack(f"{order}24f", *np.ravel(CORNERS))
    body += b"".join(struct.pack(f"{order}{a}{len(f)}{b}", len(f), *f) for f in MIXED)
    data = ply(encoding, FACE_LIST.format(len(MIXED), long, short), body)
    assert read(tmp_path / "a.ply", data) == (pytest.approx(6), UNIT, ())
    assert read(tmp_path / "a.ply", data + b"\n\n")[2] == ("bytes left out after the records: 2",)
    assert "follow that the header does not declare" in refused(tmp_path / "a.ply", data + bytes(40))
    assert "do not end within the file" in refused(tmp_path / "a.ply", data[:-1])


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian"])
@pytest.mark.parametrize("strips", [[STRIP], [[*STRIP, -1, 0, 0, 1], [0, 0, 1]]])
def test_triangle_strips_are_surfaces(tmp_path: Path, encoding: str, strips: list[list[int]]) -> None:
    elements = f"element tristrips {len(strips)}\nproperty list int int vertex_indices\n"
    text = rows(CORNERS) + rows([[len(s), *s] for s in strips])
    binary = struct.pack("<24f", *np.ravel(CORNERS)) + b"".join(
        struct.pack(f"<{len(s) + 1}i", len(s), *s) for s in strips
    )
    data = ply(encoding, elements, text.encode() if encoding == "ascii" else binary)
    assert read(tmp_path / "a.ply", data)[:2] == (pytest.approx(6), UNIT)
    mesh = read_mesh(tmp_path / "a.ply")
    assert abs(mesh.volume) == pytest.approx(1)  # every second triangle of a strip is turned
    assert len(read_one(tmp_path / "a.ply", 50)) == 50


@pytest.mark.parametrize(
    ("elements", "body", "reason"),
    [
        ("element trifans 1\nproperty list int int vertex_indices\n", "3 0 1 2\n", "surfaces made of 'trifans'"),
        ("element face 1\nproperty int x\n", "3\n", "face has no list vertex_indices, only x"),
        (FACE_LIST.format(1, "uchar", "int"), "3 0 1 8\n", "face has the index 8"),
        (FACE_LIST.format(1, "uchar", "int"), "2 0 1\n", "a face of 2 corners"),
        (FACE_LIST.format(1, "uchar", "int"), "3 0 1\n", "'3 0 1' is not a record of face"),
        (FACE_LIST.format(1, "uchar", "int"), "3 0 1 2\n3 0 1 2\n", "1 lines follow that the header does not declare"),
        (FACE_LIST.format(1, "uchar", "int"), "3 0 1 1.5\n", "1.5 does not fit"),
        (FACE_LIST.format(1, "uchar", "float"), "3 0 1 1.5\n", "indices that are not whole numbers"),
        (FACE_LIST.format(1, "float", "int"), "3 0 1 2\n", "unknown line"),
        ("element vertex 1\nproperty int x\n", "3\n", "'vertex' is declared twice"),
    ],
)
def test_ply_parts_that_cannot_be_read_are_named(tmp_path: Path, elements: str, body: str, reason: str) -> None:
    assert reason in refused(tmp_path / "a.ply", ply("ascii", elements, (rows(CORNERS) + body).encode()))


def test_lists_of_vertices_are_passed_over_in_clouds(tmp_path: Path) -> None:
    head = "ply\nformat {} 1.0\nelement vertex 2\nproperty float x\nproperty list uchar short seen\n"
    head += "property float y\nproperty float z\nend_header\n"
    binary = struct.pack("<fBhff", 1, 1, 7, 2, 3) + struct.pack("<fB2hff", 4, 2, 7, 7, 5, 6)
    for encoding, body in (("ascii", b"1 1 7 2 3\n4 2 7 7 5 6\n"), ("binary_little_endian", binary)):
        (tmp_path / "a.ply").write_bytes(head.format(encoding).encode() + body)
        assert read_ply(tmp_path / "a.ply").points.tolist() == [[1, 2, 3], [4, 5, 6]]


# STL


def stl(count: int, head: bytes = b"") -> bytes:
    body = b"".join(struct.pack("<12fH", *[0] * 3, *np.ravel([CORNERS[i] for i in t]), 0) for t in TRIANGLES)
    return head.ljust(80, b"\0") + struct.pack("<I", count) + body


@pytest.mark.parametrize("tail", [b"", b"\n", b"\0\0", b"x" * 49, bytes(512)])
@pytest.mark.parametrize("head", [b"", b"solid not a text", b"facet"])
def test_bytes_behind_a_binary_stl_are_remarked(tmp_path: Path, tail: bytes, head: bytes) -> None:
    remarks = (f"bytes left out after the triangles: {len(tail)}",) if tail else ()
    assert read(tmp_path / "a.stl", stl(12, head) + tail) == (pytest.approx(6), UNIT, remarks)


@pytest.mark.parametrize("count", [0, 1, 11, 13, 2**32 - 1])
def test_a_wrong_count_of_triangles_is_refused(tmp_path: Path, count: int) -> None:
    assert f"claims {count} triangles" in refused(tmp_path / "a.stl", stl(count))


STL_FACETS = "".join(
    "facet normal 0 0 0\nouter loop\n" + rows([CORNERS[i] for i in t], "vertex ") + "endloop\nendfacet\n"
    for t in TRIANGLES
)


@pytest.mark.parametrize("name", ["", " facet normal 0 0 1", " endsolid", " endfacet endloop", " Größe"])
def test_names_of_solids_may_be_any_words(tmp_path: Path, name: str) -> None:
    text = f"solid{name}\n{STL_FACETS}endsolid{name}\n"
    assert read(tmp_path / "a.stl", text)[:2] == (pytest.approx(6), UNIT)
    assert read(tmp_path / "a.stl", text.replace("facet n", "  FACET n").replace("\n", "\r\n"))[0] == pytest.approx(6)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("endloop", "vertex 0 0 0\nendloop", "facet 1 ("),
        ("vertex 0 0 1", "vertex 0 1", "is not a triangle"),
        ("vertex 0 0 1", "vertex 0 0 z", "is not a number"),
        ("endsolid", "", "before endsolid"),
        ("endfacet", "", "is not a triangle"),
    ],
)
def test_facets_that_are_not_triangles_are_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert reason in refused(tmp_path / "a.stl", f"solid\n{STL_FACETS}endsolid\n".replace(old, new, 1))


# glTF


def glb(change: Callable[[dict[str, object]], object] = lambda tree: None, tail: bytes = b"") -> bytes:
    """A GLB of the unit cube with float positions and short indices, its JSON changed."""
    blob = np.array(CORNERS, "<f4").tobytes() + np.array(TRIANGLES, "<u2").tobytes()
    tree: dict[str, object] = {
        "asset": {"version": "2.0"},
        "buffers": [{"byteLength": len(blob)}],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 96},
            {"buffer": 0, "byteOffset": 96, "byteLength": 72},
        ],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3", "min": [0, 0, 0], "max": [1, 1, 1]},
            {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
        "scene": 0,
    }
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<2I", len(text), 0x4E4F534A) + text + struct.pack("<2I", len(blob), 0x004E4942) + blob
    return b"glTF" + struct.pack("<2I", 2, 12 + len(chunks)) + chunks + tail


def put(**items: object) -> Callable[[dict[str, object]], object]:
    """A change of one item: ``put(nodes__0__mesh=3)``; None removes it."""

    def change(tree: dict[str, object]) -> None:
        for name, value in items.items():
            *way, last = name.split("__")
            at: object = tree
            for step in way:
                at = at[int(step) if step.isdigit() else step]  # type: ignore[index]
            if value is None:
                del at[last]  # type: ignore[attr-defined]
            else:
                at[int(last) if last.isdigit() else last] = value  # type: ignore[index]

    return change


def test_a_plain_glb_is_the_unit_cube_and_a_tail_is_remarked(tmp_path: Path) -> None:
    assert read(tmp_path / "a.glb", glb()) == (pytest.approx(6), UNIT, ())
    assert read(tmp_path / "a.glb", glb(tail=b"\n"))[2] == ("bytes left out after the chunks: 1",)


def test_normalized_positions_are_scaled_by_their_node(tmp_path: Path) -> None:
    shorts = (np.array(CORNERS) * 65535).astype("<u2")
    blob = np.pad(shorts, ((0, 0), (0, 1))).tobytes() + bytes(32)
    data = glb(
        put(
            bufferViews__0={"buffer": 0, "byteLength": 64, "byteStride": 8},
            accessors__0={"bufferView": 0, "componentType": 5123, "normalized": True, "count": 8, "type": "VEC3"},
            nodes__0__scale=[4, 1, 1],
            extensionsRequired=["KHR_mesh_quantization"],
        )
    ).replace(np.array(CORNERS, "<f4").tobytes(), blob)
    assert read(tmp_path / "a.glb", data)[1] == [[0, 0, 0], [4, 1, 1]]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (put(extensionsRequired=["EXT_meshopt_compression"]), "requires EXT_meshopt_compression"),
        (
            put(extensionsRequired=["KHR_mesh_quantization", "EXT_meshopt_compression"]),
            "requires EXT_meshopt_compression",
        ),
        (put(extensionsRequired=["ACME_anything"]), "requires ACME_anything"),
        (
            put(
                accessors__0__bufferView=None,
                meshes__0__primitives__0__extensions={"EXT_meshopt_compression": {"bufferView": 0}},
            ),
            "packed with EXT_meshopt_compression",
        ),
        (
            put(
                bufferViews__0__buffer=1,
                buffers=[{"byteLength": 168}, {"byteLength": 96}],
                bufferViews__0__extensions={"EXT_meshopt_compression": {"buffer": 0}},
            ),
            "packed with EXT_meshopt_compression",
        ),
        (put(accessors__0__max=[1, 1, 2]), "declares the max [1.0, 1.0, 2.0], but its values have [1.0, 1.0, 1.0]"),
        (put(accessors__0__min=[-0.5, 0, 0]), "declares the min"),
        (put(accessors__0__max=[1, 1]), "a max of 2 numbers for 3"),
        (put(accessors__0__componentType=5130), "component type 5130"),
        (put(accessors__0__count=9), "an accessor claims 9 elements"),
        (put(accessors__0__byteOffset=-12), "does not lie within"),
        (put(accessors__0__byteOffset=4), "an accessor claims 8 elements"),
        (put(bufferViews__0__byteLength=400), "does not lie within its buffer"),
        (put(bufferViews__0__byteStride=4), "an accessor claims 8 elements"),
        (put(accessors__0__count=7, accessors__0__max=None), "a face has the index 7, but there are 7 vertices"),
        (put(accessors__1__count=35), "35 indices do not make triangles"),
        (put(meshes__0__primitives__0__mode=1), "no faces: 1 primitives of lines"),
        (put(meshes__0__primitives__0__mode=9), "mode 9"),
        (put(nodes__0__mesh=1), "there is no mesh 1"),
        (put(nodes=[{"mesh": 0, "children": [0]}]), "node 0 has two parents"),
        (put(nodes__0__matrix=[1] * 15), "broken JSON"),
        (put(nodes__0__matrix=[1, 0, 0, 1] * 4), "last row"),
        (put(nodes__0__rotation=[0, 0, 0, 0]), "length zero"),
        (put(scenes=[{"nodes": []}]), "no faces: 1 meshes, 0 placed"),
        (put(buffers__0__uri="other.bin"), "'other.bin' cannot be read: No such file"),
        (put(buffers__0__uri="../../etc/passwd"), "is not a file in its own folder"),
        (put(buffers__0__uri="https://example.org/a.bin"), "is not a file in its own folder"),
        (put(buffers__0__uri="data:;base64,AAAA"), "claims 168 bytes, but has 3"),
        (put(buffers__0__byteLength=-1), "claims -1 bytes"),
        (put(asset={"version": "1.0"}), "glTF 1.0"),
        (put(nodes__0__weights=[1.0]), "morph weights"),
        (put(nodes__0__extensions={"EXT_mesh_gpu_instancing": {"attributes": {}}}), "instances with []"),
    ],
)
def test_glb_parts_that_cannot_be_read_are_named(
    tmp_path: Path, change: Callable[[dict[str, object]], object], reason: str
) -> None:
    assert reason in refused(tmp_path / "a.glb", glb(change))


@pytest.mark.parametrize("name", ["KHR_materials_unlit", "KHR_texture_transform", "EXT_texture_webp"])
def test_required_extensions_of_materials_do_not_matter(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / "a.glb", glb(put(extensionsRequired=[name])))[0] == pytest.approx(6)


def test_what_a_glb_shows_in_part_is_remarked(tmp_path: Path) -> None:
    primitive = {"attributes": {"POSITION": 0}, "indices": 1}
    meshes = [
        {"primitives": [primitive, {**primitive, "mode": 0}, {**primitive, "mode": 3}]},
        {"primitives": [primitive]},
    ]
    area, box, remarks = read(tmp_path / "a.glb", glb(put(meshes=meshes, scenes=[{"nodes": [0]}, {"nodes": []}])))
    assert (area, box) == (pytest.approx(6), UNIT)
    assert remarks == (
        "scenes left out besides the shown one: 1",
        "primitives of line strips left out: 1",
        "meshes left out because no node of the scene shows them: 1",
        "primitives of points left out: 1",
    )


def test_strips_and_fans_turn_as_their_triangles_would(tmp_path: Path) -> None:
    strip = np.array([*STRIP, *[0] * 22], "<u2")
    data = glb(put(meshes__0__primitives__0__mode=5, accessors__1__count=len(STRIP)))
    (tmp_path / "a.glb").write_bytes(data.replace(np.array(TRIANGLES, "<u2").tobytes(), strip.tobytes()))
    mesh = read_mesh(tmp_path / "a.glb")
    assert (mesh.area, abs(mesh.volume)) == (pytest.approx(6), pytest.approx(1))
    a, b, c = np.asarray(mesh.vertices)[mesh.faces[0]]
    np.testing.assert_array_equal([a, b, c], np.array(CORNERS)[STRIP[:3]])
    fan = np.array([*QUADS[0], *[0] * 32], "<u2")
    data = glb(put(meshes__0__primitives__0__mode=6, accessors__1__count=4))
    (tmp_path / "a.glb").write_bytes(data.replace(np.array(TRIANGLES, "<u2").tobytes(), fan.tobytes()))
    mesh = read_mesh(tmp_path / "a.glb")
    assert mesh.area == pytest.approx(1)
    np.testing.assert_allclose(np.asarray(mesh.triangles_cross), [[-1, 0, 0]] * 2)


def test_a_mirrored_node_keeps_the_outside_outside(tmp_path: Path) -> None:
    (tmp_path / "a.glb").write_bytes(glb(put(nodes__0__scale=[-1, 1, 1])))
    assert read_mesh(tmp_path / "a.glb").volume == pytest.approx(1)


def test_a_morph_target_moves_the_mesh_by_its_default_weight(tmp_path: Path) -> None:
    change = put(
        meshes__0__weights=[0.5],
        meshes__0__primitives__0__targets=[{"POSITION": 0}],
    )
    assert read(tmp_path / "a.glb", glb(change))[1] == [[0, 0, 0], [1.5, 1.5, 1.5]]


# clouds, summaries


def test_mesh_files_without_faces_are_clouds(tmp_path: Path) -> None:
    files = {
        "a.obj": rows(CORNERS, "v ").replace("\n", " 1 0 0\n").encode(),
        "a.off": ("COFF\n8 0 0\n" + rows(CORNERS).replace("\n", " 255 0 0 255\n")).encode(),
        "a.glb": glb(put(meshes__0__primitives__0={"attributes": {"POSITION": 0}, "mode": 0})),
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        cloud = read_one(tmp_path / name, 100)
        np.testing.assert_array_equal(cloud.points, CORNERS)
        assert cloud.remarks == ("no faces, read as a cloud of 8 points",)
        if name != "a.glb":
            assert cloud.colors is not None
            assert cloud.colors.tolist() == [[255, 0, 0]] * 8


def test_remarks_and_refusals_reach_the_summary(tmp_path: Path) -> None:
    (tmp_path / "tail.stl").write_bytes(stl(12) + b"\n")
    (tmp_path / "draco.glb").write_bytes(glb(put(extensionsRequired=["EXT_meshopt_compression"])))
    (tmp_path / "cloud.obj").write_text(CUBE)
    summary = load_folder(tmp_path, points=64, cache=tmp_path / "cache").summary
    assert summary.remarks == (
        ("cloud.obj", "no faces, read as a cloud of 8 points"),
        ("tail.stl", "bytes left out after the triangles: 1"),
    )
    assert "tail.stl: bytes left out after the triangles: 1" in summary.text()
    again = load_folder(tmp_path, points=64, cache=tmp_path / "cache").summary
    assert again.cached and again.remarks == summary.remarks
    ((path, reason),) = check(tmp_path).unreadable
    assert (path, "EXT_meshopt_compression" in reason) == ("draco.glb", True)
