"""Clouds and pictures as other programs write them: read right, or refused or left out by name."""

import base64
import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ptdiff_datasets.clouds.checking import check
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.clouds.reading import read_one
from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.formats.cloud import Cloud
from ptdiff_datasets.images.file import read_gray

N = 40
RANDOM = np.random.default_rng(5)
POINTS = RANDOM.random((N, 3)).astype(np.float32)
CLOUDS = RANDOM.random((6, N, 3)).astype(np.float32)


def read(path: Path, data: bytes | str) -> Cloud:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_one(path, 100)


def refused(path: Path, data: bytes | str) -> str:
    with pytest.raises(FormatError) as caught:
        read(path, data)
    assert "\n" not in str(caught.value)
    return caught.value.reason


def rows(text: str) -> str:
    """Write a text of N rows, in which N stands for the number of the row."""
    return "".join(text.replace("N", str(i)) + "\n" for i in range(1, N + 1))


def npz(**named: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **named)
    return stream.getvalue()


def ply(properties: str, record: str, row: tuple[object, ...], more: str = "", tail: bytes = b"") -> bytes:
    """Write a binary PLY of N points, the position first."""
    names = "".join(f"property {each}\n" for each in ("float x", "float y", "float z", *properties.split(", ")))
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {N}\n{names}{more}end_header\n".encode()
    return head + b"".join(struct.pack("<3f" + record, *point, *row) for point in POINTS.tolist()) + tail


XYZ = "x,y,z\n" + rows("N,1,2")
BITS = struct.unpack("<f", struct.pack("<I", 0xFF8007))[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.txt", rows("N 1 2 0 0 1 255 128 7")),  # normals, of which 0 1 255 is not a color
        ("a.txt", rows("N 1 2 255 128 7 0 0 1")),
        ("a.pts", rows("N 1 2 N 255 128 7")),  # an intensity first
        ("a.csv", "x,y,z,rgb\n" + rows(f"N,1,2,{0xFF8007}")),
        ("a.csv", "x;y;z;rgba;name\n" + rows(f"N;1;2;{0xFF8007};p")),
    ],
)
def test_colors_of_a_text_are_found(tmp_path: Path, name: str, text: str) -> None:
    cloud = read(tmp_path / name, text)
    assert cloud.colors is not None
    assert cloud.colors[0].tolist() == [255, 128, 7]
    if " 0 0 1" in text:
        assert cloud.normals is not None
        assert cloud.normals[0].tolist() == [0, 0, 1]


@pytest.mark.parametrize("kind", ["uint rgba", "float rgb", "double rgb"])
def test_packed_colors_may_be_whole_numbers_of_any_type(tmp_path: Path, kind: str) -> None:
    record = {"uint": "I", "float": "f", "double": "d"}[kind.split()[0]]
    for value in (0xFF8007, *([BITS] if record == "f" else [])):
        cloud = read(tmp_path / "a.ply", ply(kind, record, (value,)))
        assert cloud.colors is not None
        assert cloud.colors[0].tolist() == [255, 128, 7]


def test_the_colors_of_a_surface_may_be_packed(tmp_path: Path) -> None:
    face = "element face 1\nproperty list uchar int vertex_indices\n"
    path = tmp_path / "a.ply"
    path.write_bytes(ply("uint rgba", "I", (0xFF0000FF,), face, struct.pack("<B3i", 3, 0, 1, 2)))
    cloud = read_one(path, 50)
    assert cloud.colors is not None
    assert cloud.colors[0].tolist() == [0, 0, 255]


@pytest.mark.parametrize(
    ("name", "text", "remark"),
    [
        ("a.csv", "x,y,z,label,intensity\n" + rows("N,1,2,3,4"), "columns left out: label, intensity"),
        ("a.csv", "x,y,z,red,green\n" + rows("N,1,2,3,4"), "columns left out: red, green"),
        ("a.csv", "x,y,z,color\n" + rows("N,1,2,#ff8007"), "columns left out: color"),
        ("a.csv", "x,y,z,h,s,v\n" + rows("N,1,2,0.1,1,1"), "colors given as h, s, v are left out: only RGB is read"),
        ("a.txt", rows("N 1 2 0.5 0.25 0.5"), "columns left out, because their meaning is unknown: 4, 5, 6"),
        ("a.txt", rows("N 1 2 9 100 50 25"), "colors left out: they may begin in column 4 or 5; name the columns"),
        ("a.csv", "x,y,z,red,green,blue\n" + rows("N,1,2,,,"), "the colors are all NaN and are left out"),
        ("a.csv", XYZ + "NA,NA,NA\n", "1 of 41 points have no coordinates (NaN) and are left out"),
        ("a.csv", XYZ + "0,0,0\n0,0,0\n", "2 of 42 points are exactly 0, 0, 0: padding, or rays without a return?"),
    ],
)  # fmt: skip
def test_what_a_text_holds_besides_is_left_out_by_name(tmp_path: Path, name: str, text: str, remark: str) -> None:
    cloud = read(tmp_path / name, text)
    assert cloud.remarks == (remark,)
    assert cloud.colors is None
    assert remark.split(":")[0] in check(tmp_path / name).text()


def test_fields_of_a_ply_that_are_not_read_are_named(tmp_path: Path) -> None:
    cloud = read(tmp_path / "a.ply", ply("float intensity, uchar alpha, int label", "fBi", (1.0, 9, 2)))
    assert cloud.remarks == ("columns left out: intensity, label",)


def test_two_columns_of_one_meaning_are_refused(tmp_path: Path) -> None:
    twice = "uchar red, uchar green, uchar blue, uchar diffuse_red"
    assert "several columns are called red" in refused(tmp_path / "a.ply", ply(twice, "4B", (1, 2, 3, 4)))
    face = "element face 1\nproperty list uchar int vertex_indices\n"
    data = ply(twice, "4B", (1, 2, 3, 4), face, struct.pack("<B3i", 3, 0, 1, 2))
    assert "several columns are called red" in refused(tmp_path / "a.ply", data)


def test_a_color_that_text_made_nan_is_refused(tmp_path: Path) -> None:
    head = f"FIELDS x y z rgb\nSIZE 4 4 4 4\nTYPE F F F F\nCOUNT 1 1 1 1\nWIDTH {N}\nHEIGHT 1\nDATA ascii\n"
    assert "colors are NaN; write them as integers" in refused(tmp_path / "a.pcd", head + rows("N 1 2 nan"))
    cloud = read(tmp_path / "a.pcd", head + rows(f"N 1 2 {0xFF8007}"))
    assert cloud.colors is not None
    assert cloud.colors[0].tolist() == [255, 128, 7]


def test_per_cent_are_hundredths_also_where_they_could_begin_a_comment(tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", rows("N% 50% 25%")).points[0].tolist() == [0.01, 0.5, 0.25]


@pytest.mark.parametrize("separator", [";", ",", "\t"])
def test_rows_may_end_with_a_separator(tmp_path: Path, separator: str) -> None:
    cloud = read(tmp_path / "a.txt", rows("N 1 2 ").replace(" ", separator))
    assert cloud.points[-1].tolist() == [N, 1, 2]
    assert not cloud.remarks


@pytest.mark.parametrize("name", ["point N", "1 2 N 4 5", "a, b; N"])
def test_words_with_spaces_do_not_cut_the_columns_of_a_table(tmp_path: Path, name: str) -> None:
    cloud = read(tmp_path / "a.txt", "x\ty\tz\tname\n" + rows(f"N.5\t1\t2\t{name}"))
    assert cloud.points[0].tolist() == [1.5, 1, 2]


def test_a_row_name_in_front_or_a_separator_behind_is_asked(tmp_path: Path) -> None:
    text = "x;y;z;what\n" + rows("N;9;8;7;")
    assert "a row name at the start, or a separator at the end?" in refused(tmp_path / "a.csv", text)
    assert read(tmp_path / "a.csv", text + "3;4;5;6;\n").points[0].tolist() == [1, 9, 8]
    text = "x;y;z;what\n" + rows("N;9;8;7;a")
    assert read(tmp_path / "a.csv", text).points[0].tolist() == [9, 8, 7]


@pytest.mark.parametrize("row", ["0;1;N;2;0;0", "0,1,N,2,0,0", "0\t1\tN\t2\t0\t0", "0 1 N 2 0 0"])
@pytest.mark.parametrize("names", ["nz z x y nx ny", "nz;z;x;y;nx;ny", "nz, z, x, y, nx, ny"])
def test_names_in_a_comment_may_be_separated_in_another_way(tmp_path: Path, names: str, row: str) -> None:
    cloud = read(tmp_path / "a.txt", f"# {names}\n" + rows(row.replace("0", "1", 1)))
    assert cloud.points[1].tolist() == [2, 2, 1]
    assert cloud.normals is not None
    assert cloud.normals[1].tolist() == [0, 0, 1]


def test_the_decimal_mark_that_the_cells_do_not_tell_is_an_option(tmp_path: Path) -> None:
    text = "x;y;z\n" + rows("N,043;2,044;9")
    assert "-o decimal=" in refused(tmp_path / "a.csv", text)
    for decimal, first in ((",", 1.043), (".", 1043.0)):
        cloud = read_one(tmp_path / "a.csv", 100, decimal=decimal)
        assert cloud.points[0, 0] == first
        found = load_folder(tmp_path / "a.csv", decimal=decimal, cache=tmp_path / "cache")
        assert float(found.stored(0)[0, 0] + found.origins[0, 0]) == pytest.approx(first)
        assert found.summary.remarks == ()


def test_the_separator_that_a_first_line_names_may_be_a_tab(tmp_path: Path) -> None:
    assert read(tmp_path / "a.csv", "sep=\t\nx\ty\tz\n" + rows("N\t1\t2")).points[0].tolist() == [1, 1, 2]


def test_a_cell_without_a_value_is_not_unlike_the_per_cent_beside_it(tmp_path: Path) -> None:
    assert len(read(tmp_path / "a.csv", "x,y,z\n" + rows("N%,1%,2%") + "NA,NA,NA\n")) == N


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_large_class_numbers_stay_apart(tmp_path: Path, kind: type) -> None:
    labels = np.array([2**53 + 1, 2**53, 7] * 2, kind)
    (tmp_path / "a.npz").write_bytes(npz(points=CLOUDS, labels=labels))
    found = load_folder(tmp_path / "a.npz", cache=tmp_path)
    assert set(found.classes) == {"007", "9007199254740992", "9007199254740993"}


def test_a_class_without_a_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(
        npz(points=CLOUDS, label=np.array([0, 1, 2, 0, 1, 7]), classes=np.array(["a", "b", "c"]))
    )
    with pytest.raises(DataError, match="label has the class 7, but classes has only 3 names"):
        load_folder(tmp_path / "a.npz", cache=tmp_path)


@pytest.mark.parametrize(
    "named",
    [{"normals": POINTS}, {"colors": POINTS}, {"faces": np.zeros((N, 3), int)}, {"label": np.eye(4)}],
)
def test_an_archive_without_points_is_refused(tmp_path: Path, named: dict[str, Any]) -> None:
    assert "no array named points" in refused(tmp_path / "a.npz", npz(**named))


def test_arrays_besides_the_points_are_named_and_opacity_is_left_out(tmp_path: Path) -> None:
    colors = np.tile(np.array([255, 128, 7, 9], np.uint8), (N, 1))
    cloud = read(tmp_path / "a.npz", npz(points=POINTS, colors=colors, features=POINTS, rest=np.ones(N)))
    assert cloud.colors is not None
    assert cloud.colors[0].tolist() == [255, 128, 7]
    assert cloud.remarks == ("arrays left out: features, rest",)


def copc(points: np.ndarray) -> bytes:
    """Write a LAZ file as COPC does: chunks of variable size, an info record first, the hierarchy behind the points."""
    import laspy
    import lazrs

    header = laspy.LasHeader(point_format=7, version="1.4")
    header.scales = np.full(3, 1e-6)
    file = laspy.LasData(header)
    file.x, file.y, file.z = points.astype(np.float64).T
    file.red = np.full(len(points), 65535)
    file.classification = np.where(np.arange(len(points)) < 3, 6, 2)
    stream = io.BytesIO()
    file.write(stream)
    plain, size = stream.getvalue(), header.point_format.size
    start = struct.unpack_from("<I", plain, 96)[0]
    packing, out = lazrs.LazVlr.new_for_compression(7, 0, True), io.BytesIO()
    compressor = lazrs.LasZipCompressor(out, packing)
    compressor.reserve_offset_to_chunk_table()
    for first, last in ((0, 4), (4, 25), (25, len(points))):
        compressor.compress_many(np.frombuffer(plain[start + first * size : start + last * size], np.uint8))
        compressor.finish_current_chunk()
    compressor.done()
    records = [(b"copc", 1, bytes(160)), (b"laszip encoded", 22204, bytes(packing.record_data()))]
    more = b"".join(struct.pack("<H16sHH32s", 0, user, id, len(data), b"") + data for user, id, data in records)
    head, body = bytearray(plain[:375]), bytearray(out.getvalue())
    struct.pack_into("<q", body, 0, 375 + len(more) + struct.unpack_from("<q", body)[0])
    struct.pack_into("<II", head, 96, 375 + len(more), 2)
    head[104] |= 0x80
    struct.pack_into("<QI", head, 235, 375 + len(more) + len(body), 1)
    return bytes(head) + more + bytes(body) + struct.pack("<H16sHQ32s", 0, b"copc", 1000, 32, b"") + bytes(32)


def test_a_copc_file_is_read_and_the_classes_of_its_points_are_named(tmp_path: Path) -> None:
    cloud = read(tmp_path / "a.copc.laz", copc(POINTS))
    np.testing.assert_allclose(cloud.points, POINTS, atol=1e-6)
    assert cloud.colors is not None
    assert cloud.colors[0].tolist() == [255, 0, 0]
    assert cloud.remarks == ("points by class, which are read as one cloud: ground 37, building 3",)


def test_a_vertex_only_obj_keeps_its_normals(tmp_path: Path) -> None:
    text = rows("v N 0 1\nvn 0 0 1")
    cloud = read(tmp_path / "a.obj", text)
    assert cloud.normals is not None
    assert cloud.normals[0].tolist() == [0, 0, 1]
    less = read(tmp_path / "a.obj", text + "vn 0 0 1\n")
    assert less.normals is None
    assert "normals left out: 41 for 40 points" in less.remarks


def gltf(uri: str | None, blob: bytes = POINTS.tobytes() + np.tile([0, 0, 1], (N, 1)).astype("f4").tobytes()) -> str:
    """Write a glTF file of points with normals, turned and scaled by a node, with its buffer at ``uri``."""
    view = {"buffer": 0, "byteLength": 12 * N}
    accessor = {"componentType": 5126, "count": N, "type": "VEC3"}
    return json.dumps(
        {
            "asset": {"version": "2.0"},
            "buffers": [{"byteLength": len(blob)} | ({} if uri is None else {"uri": uri})],
            "bufferViews": [view, view | {"byteOffset": 12 * N}],
            "accessors": [accessor | {"bufferView": 0}, accessor | {"bufferView": 1}],
            "meshes": [{"primitives": [{"mode": 0, "attributes": {"POSITION": 0, "NORMAL": 1}}]}],
            "nodes": [{"mesh": 0, "scale": [2, 3, -4], "rotation": [2**-0.5, 0, 0, 2**-0.5]}],
        }
    )


BLOB = POINTS.tobytes() + np.tile([0, 0, 1], (N, 1)).astype("f4").tobytes()
TURNED = (POINTS * [2, 3, -4])[:, [0, 2, 1]] * [1, -1, 1]


@pytest.mark.parametrize("uri", ["points.bin", "./points.bin", "in/points%20of%20it.bin", "data:"])
def test_buffers_of_a_gltf_may_lie_in_its_folder(tmp_path: Path, uri: str) -> None:
    if uri == "data:":
        uri = "data:application/octet-stream;base64," + base64.b64encode(BLOB).decode()
    else:
        place = tmp_path / uri.replace("%20", " ")
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(BLOB + b"and more")
    cloud = read(tmp_path / "a.gltf", gltf(uri))
    np.testing.assert_allclose(cloud.points, TURNED, rtol=1e-6, atol=1e-6)
    assert cloud.normals is not None
    np.testing.assert_allclose(cloud.normals, np.tile([0, 1, 0], (N, 1)), atol=1e-6)


@pytest.mark.parametrize(
    "uri",
    [
        "../points.bin", "in/../../points.bin", "/etc/passwd", "file:///etc/passwd", "https://example.org/points.bin",
        "..%2Fpoints.bin", "in%5C..%5Cpoints.bin", "link.bin", "", "in", "C:points.bin",
    ],
)  # fmt: skip
def test_buffers_of_a_gltf_elsewhere_are_refused(tmp_path: Path, uri: str) -> None:
    (tmp_path / "points.bin").write_bytes(BLOB)
    (tmp_path / "a" / "in").mkdir(parents=True)
    (tmp_path / "a" / "link.bin").symlink_to(tmp_path / "points.bin")
    assert "is not a file in its own folder" in refused(tmp_path / "a" / "a.gltf", gltf(uri))


def test_equal_gltf_files_with_other_buffers_are_no_copies_and_changes_are_seen(tmp_path: Path) -> None:
    for i, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "shape.gltf").write_text(gltf("points.bin"))
        (tmp_path / name / "points.bin").write_bytes(CLOUDS[i].tobytes() + POINTS.tobytes())
    first = load_folder(tmp_path, cache=tmp_path / "cache")
    assert len(first.ids) == 2
    (tmp_path / "a" / "points.bin").write_bytes(CLOUDS[2].tobytes() + POINTS.tobytes())
    again = load_folder(tmp_path, cache=tmp_path / "cache")
    assert not np.array_equal(first.stored(0), again.stored(0))


@pytest.mark.parametrize("tail", [b"\0", b"\0\0\0\0", b"\x1a"])
def test_a_text_stl_may_be_padded(tmp_path: Path, tail: bytes) -> None:
    facet = b"facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 2 0 0\nvertex 0 2 0\nendloop\nendfacet\n"
    (tmp_path / "a.stl").write_bytes(b"solid binary\n" + facet + b"endsolid binary\n" + tail)
    assert len(read_one(tmp_path / "a.stl", 50)) == 50


def tiff(bits: int, data: bytes, signed: bool = False) -> bytes:
    """Write a gray TIFF of 60 x 40 without compression."""
    tags = [(256, 60), (257, 40), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1), (278, 40), (279, len(data))]
    tags += [(339, 2)] * signed
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(tags)) + entries + b"\0" * 4


RAMP = np.tile(np.linspace(0, 1, 60), (40, 1))


def test_a_ramp_of_twelve_bits_is_as_light_as_one_of_eight(tmp_path: Path) -> None:
    row = np.rint(RAMP[0] * 4095).astype(int).tolist()
    pairs = zip(row[::2], row[1::2], strict=True)
    (tmp_path / "a.tif").write_bytes(tiff(12, 40 * b"".join(((a << 12) + b).to_bytes(3, "big") for a, b in pairs)))
    np.testing.assert_allclose(read_gray(tmp_path / "a.tif"), RAMP, atol=1e-3)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff(32, np.rint(RAMP * 255).astype("<u4").tobytes()), "gray of whole numbers of 32 bits"),
        (tiff(16, np.rint(RAMP * 32767).astype("<i2").tobytes(), True), "gray of signed whole numbers of 16 bits"),
        (tiff(32, (RAMP * 4294967295).astype("<u4").tobytes()), "without a known white"),
    ],
)
def test_gray_without_a_known_white_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(FormatError, match=reason):
        read_gray(tmp_path / "a.tif")


def test_gray_of_all_widths_and_orientations_is_read(tmp_path: Path) -> None:
    plain = Image.fromarray(np.rint(RAMP * 255).astype(np.uint8))
    for mode in ("1", "P", "LA", "RGBA", "CMYK"):
        plain.convert(mode).save(tmp_path / "a.tif")
        assert read_gray(tmp_path / "a.tif").mean() == pytest.approx(0.5, abs=0.01)
    for turn, (first, last) in {2: (1, 0), 3: (1, 0), 4: (0, 1), 5: (0, 0), 6: (0, 0), 7: (1, 1), 8: (1, 1)}.items():
        exif = Image.Exif()
        exif[0x112] = turn
        plain.save(tmp_path / "a.png", exif=exif)
        gray = read_gray(tmp_path / "a.png")
        assert gray.shape == ((40, 60) if turn < 5 else (60, 40))
        assert (round(gray[0, 0]), round(gray[0, -1])) == (first, last)
