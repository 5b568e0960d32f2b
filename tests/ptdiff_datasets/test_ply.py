"""`ptdiff_datasets.formats.ply`: round trips, every encoding, and files that claim what they do not hold."""

import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.ply import read_ply, write_ply

XYZ = "property float x\nproperty float y\nproperty float z\n"


def header(encoding: str, count: int, properties: str = XYZ, more: str = "") -> bytes:
    top = f"ply\nformat {encoding} 1.0\ncomment made by a test\nelement vertex {count}\n"
    return f"{top}{properties}{more}end_header\n".encode()


def refused(path: Path, data: bytes) -> FormatError:
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_ply(path)
    assert "\n" not in str(caught.value)
    return caught.value


finite = st.floats(-(2.0**100), 2.0**100, width=32)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), count=st.integers(1, 30))
def test_what_is_written_is_read_back_bit_for_bit(tmp_path: Path, data: st.DataObject, count: int) -> None:
    points = data.draw(arrays(np.float32, (count, 3), elements=finite))
    normals = data.draw(st.none() | arrays(np.float32, (count, 3), elements=finite))
    colors = data.draw(st.none() | arrays(np.uint8, (count, 3)))
    write_ply(tmp_path / "a.ply", points, normals, colors)
    cloud = read_ply(tmp_path / "a.ply")
    for written, read in ((points, cloud.points), (normals, cloud.normals), (colors, cloud.colors)):
        assert (written is None) == (read is None)
        if written is not None and read is not None:
            assert read.dtype == written.dtype
            np.testing.assert_array_equal(read, written)


def test_trimesh_reads_what_is_written(tmp_path: Path) -> None:
    import trimesh

    points = np.random.default_rng(0).random((20, 3), np.float32)
    write_ply(tmp_path / "a.ply", points, colors=np.full((20, 3), 7, np.uint8))
    loaded = trimesh.load(tmp_path / "a.ply")
    np.testing.assert_array_equal(np.asarray(loaded.vertices, np.float32), points)
    assert (np.asarray(loaded.colors)[:, :3] == 7).all()


def test_the_three_encodings_hold_the_same_points(tmp_path: Path) -> None:
    values = [[0.5, -1.25, 3.0], [1e-3, 2.0, -4.5]]
    flat = [v for row in values for v in row]
    bodies = {
        "ascii": "".join(" ".join(map(str, row)) + "\n" for row in values).encode(),
        "binary_little_endian": struct.pack("<6f", *flat),
        "binary_big_endian": struct.pack(">6f", *flat),
    }
    for encoding, body in bodies.items():
        (tmp_path / "a.ply").write_bytes(header(encoding, 2) + body)
        np.testing.assert_array_equal(read_ply(tmp_path / "a.ply").points, np.array(values, np.float32))


def test_doubles_keep_their_precision_and_other_properties_are_passed_over(tmp_path: Path) -> None:
    properties = "property uchar red\nproperty double x\nproperty double y\nproperty short s\nproperty double z\n"
    body = struct.pack("<Bddhd", 9, 1e6 + 0.125, 2.0, -3, 4.0)
    (tmp_path / "a.ply").write_bytes(header("binary_little_endian", 1, properties) + body)
    cloud = read_ply(tmp_path / "a.ply")
    assert cloud.points.tolist() == [[1e6 + 0.125, 2.0, 4.0]]
    assert cloud.colors is None  # red alone is no color


def test_vertices_after_another_element_are_found(tmp_path: Path) -> None:
    camera = b"ply\nformat %s 1.0\nelement camera 2\nproperty int id\nelement vertex 1\n" + XYZ.encode()
    path = tmp_path / "a.ply"
    path.write_bytes(camera % b"ascii" + b"end_header\n5\n6\n1 2 3\n")
    assert read_ply(path).points.tolist() == [[1, 2, 3]]
    path.write_bytes(camera % b"binary_big_endian" + b"end_header\n" + struct.pack(">2i3f", 5, 6, 1, 2, 3))
    assert read_ply(path).points.tolist() == [[1, 2, 3]]


def test_colors_as_text_and_as_fractions_are_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    rgb = "property {0} red\nproperty {0} green\nproperty {0} blue\n"
    path.write_bytes(header("ascii", 1, XYZ + rgb.format("uchar")) + b"0 0 0 255 128 1\n")
    assert read_ply(path).colors.tolist() == [[255, 128, 1]]  # type: ignore[union-attr]
    path.write_bytes(
        header("binary_little_endian", 1, XYZ + rgb.format("float")) + struct.pack("<6f", 0, 0, 0, 1, 0.5, 0)
    )
    assert read_ply(path).colors.tolist() == [[255, 128, 0]]  # type: ignore[union-attr]


@pytest.mark.parametrize("encoding", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("count", [10**6, 4 * 10**9, 10**17])
def test_a_count_larger_than_the_file_is_refused_before_allocating(tmp_path: Path, encoding: str, count: int) -> None:
    error = refused(tmp_path / "a.ply", header(encoding, count) + b"0 0 0\n" * 100)
    assert f"claims {count} vertex" in error.reason
    assert error.offset is not None


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", np.ones((3, 3)), colors=np.zeros((3, 3), np.uint8))
    data = (tmp_path / "a.ply").read_bytes()
    for length in range(len(data)):
        refused(tmp_path / "b.ply", data[:length])


def test_bytes_beyond_the_records_are_refused(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", np.ones((3, 3), np.float32))
    error = refused(tmp_path / "b.ply", (tmp_path / "a.ply").read_bytes() + bytes(12))
    assert "12 bytes follow" in error.reason


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_points_that_are_no_numbers_are_counted(tmp_path: Path, bad: float) -> None:
    points = np.zeros((5, 3))
    points[[1, 3], 2] = bad
    write_ply(tmp_path / "a.ply", points)
    with pytest.raises(FormatError, match=r"2 of 5 points are NaN or infinite"):
        read_ply(tmp_path / "a.ply")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not a PLY"),
        (b"solid x\n", "not a PLY"),
        (b"ply\nformat ascii 1.0\nelement vertex 1\n" + b"x" * 9000, "never ends"),
        (b"ply\nelement vertex 0\nend_header\n", "no known format"),
        (b"ply\nformat ascii 2.0\nend_header\n", "in the header"),
        (b"ply\nformat ascii 1.0\nproperty float x\nend_header\n", "in the header"),
        (b"ply\nformat ascii 1.0\nelement vertex -1\nend_header\n", "in the header"),
        (b"ply\nformat ascii 1.0\nend_header\n", "no vertex"),
        (header("ascii", 0), "no points"),
        (header("ascii", 1, "property float x\nproperty float y\n") + b"1 2\n", "no x, y and z"),
        (header("ascii", 1, "property list uchar float x\n") + b"1 2\n", "lists"),
        (header("ascii", 2) + b"1 2 3\n1 2\n3\n", "expected 2 more vertices"),
        (header("ascii", 2) + b"1 2 3\n1 2 z\n", "could not convert"),
    ],
)
def test_broken_headers_and_records_name_their_fault(tmp_path: Path, data: bytes, reason: str) -> None:
    assert reason in refused(tmp_path / "a.ply", data).reason


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ply"
    write_ply(path, np.ones((2, 3)))
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_ply(path, np.zeros((9, 3)))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_wrong_arrays_are_refused_by_the_writer(tmp_path: Path) -> None:
    for points, normals, colors in (
        (np.zeros((2, 2)), None, None),
        (np.zeros((2, 3)), np.zeros((3, 3)), None),
        (np.zeros((2, 3)), None, np.zeros((2, 3))),
    ):
        with pytest.raises(ValueError, match="must"):
            write_ply(tmp_path / "a.ply", points, normals, colors)
    assert not list(tmp_path.iterdir())
