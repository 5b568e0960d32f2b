"""`ptdiff_datasets.formats.catalog`: one cloud through every format and back, other people's files, and what is
refused."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_examples import CLOUDS, COLORS, NORMALS, POINTS, lzf

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.catalog import WRITERS, read_cloud
from ptdiff_datasets.formats.cloud import Cloud, from_table
from ptdiff_datasets.formats.lzf import decompress

SINGLE = [kind for kind, (suffix, _) in CLOUDS.items() if suffix != ".h5"]


def written(kind: str, folder: Path) -> Path:
    suffix, make = CLOUDS[kind]
    path = folder / f"cloud{suffix}"
    path.write_bytes(make(folder))
    return path


def refused(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_cloud(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return caught.value.reason


@pytest.mark.parametrize("kind", SINGLE)
def test_every_format_holds_the_same_cloud(tmp_path: Path, kind: str) -> None:
    cloud = read_cloud(written(kind, tmp_path))
    near = 1e-6 if kind in ("las", "laz", "laz layered") else 0
    np.testing.assert_allclose(cloud.points, POINTS, atol=near)
    if kind in ("npy",):
        return
    assert cloud.colors is not None
    np.testing.assert_array_equal(cloud.colors, COLORS)
    if kind not in ("las", "laz", "laz layered"):
        assert cloud.normals is not None
        np.testing.assert_array_equal(cloud.normals, NORMALS)


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_is_read_back(tmp_path: Path, suffix: str, dtype: type) -> None:
    points = (np.random.default_rng(0).standard_normal((50, 3)) * [1, 1e-3, 1e3]).astype(dtype)
    normals = None if suffix in (".las", ".laz", ".npy") else np.eye(3, dtype=np.float32)[np.arange(50) % 3]
    colors = None if suffix == ".npy" else np.random.default_rng(1).integers(0, 256, (50, 3)).astype(np.uint8)
    path = tmp_path / f"a{suffix}"
    WRITERS[suffix](path, points, normals, colors)
    cloud = read_cloud(path)
    exact = points.astype(np.float32) if suffix == ".ply" else points
    read_points = cloud.points.astype(exact.dtype)  # text has no single precision
    np.testing.assert_allclose(read_points, exact, rtol=0, atol=1e-5 if suffix in (".las", ".laz") else 0)
    for read, wrote in ((cloud.normals, normals), (cloud.colors, colors)):
        assert (read is None) == (wrote is None)
        if read is not None and wrote is not None:
            np.testing.assert_array_equal(read, wrote)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_large_coordinates_of_scans_keep_their_millimeters(tmp_path: Path) -> None:
    points = np.random.default_rng(0).random((40, 3)) * 100 + [651_000, 5_402_000, 300]
    for suffix in (".las", ".laz", ".xyz", ".npz", ".pcd"):
        WRITERS[suffix](tmp_path / f"a{suffix}", points, None, None)
        np.testing.assert_allclose(read_cloud(tmp_path / f"a{suffix}").points, points, rtol=0, atol=1e-5)


@pytest.mark.parametrize("options", [{"write_ascii": True}, {}, {"compressed": True}])
def test_what_open3d_writes_as_pcd_is_read(open3d: Any, tmp_path: Path, options: dict[str, bool]) -> None:
    cloud = open3d.geometry.PointCloud()
    points = np.round(np.random.default_rng(3).standard_normal((5000, 3)), 2)  # repeats, so that it compresses
    cloud.points = open3d.utility.Vector3dVector(points)
    cloud.normals = open3d.utility.Vector3dVector(np.tile([[0.0, 0.6, 0.8]], (5000, 1)))
    cloud.colors = open3d.utility.Vector3dVector(np.arange(15000).reshape(-1, 3) % 256 / 255)
    path = tmp_path / "a.pcd"
    assert open3d.io.write_point_cloud(str(path), cloud, **options)
    read = read_cloud(path)
    np.testing.assert_allclose(read.points, points, atol=1e-6)
    assert read.normals is not None and read.colors is not None
    np.testing.assert_allclose(read.normals, np.tile([[0.0, 0.6, 0.8]], (5000, 1)), atol=1e-6)
    np.testing.assert_array_equal(read.colors, (np.arange(15000).reshape(-1, 3) % 256).astype(np.uint8))


def test_open3d_reads_our_pcd(open3d: Any, tmp_path: Path) -> None:
    WRITERS[".pcd"](tmp_path / "a.pcd", POINTS, NORMALS, COLORS)
    read = open3d.io.read_point_cloud(str(tmp_path / "a.pcd"))
    np.testing.assert_array_equal(np.asarray(read.points, np.float32), POINTS)
    np.testing.assert_array_equal(np.rint(np.asarray(read.colors) * 255).astype(np.uint8), COLORS)


@pytest.mark.parametrize("data", [b"", b"a", b"ab" * 300, bytes(5000), bytes(range(256)) * 3, b"abcabcabcabd" * 99])
def test_lzf_gives_back_what_was_packed(data: bytes) -> None:
    packed = lzf(data)
    assert decompress(packed, len(data)) == data
    for wrong in (len(data) + 1, max(0, len(data) - 1)):
        if wrong != len(data):
            with pytest.raises(ValueError, match="decompressed to"):
                decompress(packed, wrong)


@pytest.mark.parametrize(
    ("columns", "normals", "colors"),
    [
        ((POINTS,), False, False),
        ((POINTS, POINTS), False, False),
        ((POINTS, NORMALS), True, False),
        ((POINTS, COLORS), False, True),
        ((POINTS, POINTS[:, :1], COLORS), False, True),
        ((POINTS, NORMALS, COLORS), True, True),
        ((POINTS, COLORS, NORMALS), True, True),
        ((POINTS, NORMALS, np.arange(len(POINTS))[:, None]), True, False),
    ],
)
def test_columns_tell_what_they_are(columns: tuple[np.ndarray, ...], normals: bool, colors: bool) -> None:
    cloud = from_table("a.txt", np.concatenate(columns, axis=1).astype(np.float64))
    assert (cloud.normals is not None, cloud.colors is not None) == (normals, colors)
    if cloud.normals is not None:
        np.testing.assert_array_equal(cloud.normals, NORMALS)
    if cloud.colors is not None:
        np.testing.assert_array_equal(cloud.colors, COLORS)


@pytest.mark.parametrize(
    "text",
    [
        "0.5 1 2\n3 4 5\n",
        "0.5 1 2\n3 4 5",
        "0.5, 1, 2\n3, 4, 5\n",
        "0.5;1;2\n3;4;5\n",
        "0.5\t1\t2\r\n3\t4\t5\r\n",
        "2\n0.5 1 2\n3 4 5\n",
        "# a scan\n\nx y z\n0.5 1 2\n3 4 5\n",
        "//X Y Z\n0.5 1 2\n3 4 5\n",
        "z,x,y,label\n2,0.5,1,7\n5,3,4,7\n",
        "5e-1 1 2 # the first\n3 4 5\n",
    ],
)
def test_text_in_its_dialects(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_bytes(text.encode())
    assert read_cloud(tmp_path / "a.txt").points.tolist() == [[0.5, 1, 2], [3, 4, 5]]


def test_named_columns_are_taken_at_their_word(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,z,R,G,B,Nx,Ny,Nz\n0,0,0,1,0,1,0,0,9\n1,1,1,0,1,0,0,0,9\n")
    cloud = read_cloud(tmp_path / "a.csv")
    assert cloud.normals is not None and cloud.normals.tolist() == [[0, 0, 9]] * 2
    assert cloud.colors is not None and cloud.colors.max() == 255  # fractions


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.xyz", b"", "no points"),
        ("a.xyz", b"1 2 3\n4 5\n", "line 2 has 2 cells, not 3"),
        ("a.xyz", b"1 2 3\n4 5 six\n", "line 2, column 'c3': 'six' is not a number"),
        ("a.xyz", b"1 2 3\n4 nan 6\n", "1 of 2 points are NaN"),
        ("a.xyz", b"1 2\n3 4\n", "is not a point"),
        ("a.xyz", b"hello world\n", "is not a point"),
        ("a.xyz", b"\0" * 100_000, "is not a point"),
        ("a.pts", b"3\n1 2 3\n4 5 6\n", "claims 3 points, but 2 follow"),
        ("a.pts", b"1\n1 2 3\n4 5 6\n", "claims 1 points, but 2 follow"),
        ("a.pcd", b"", "not a PCD"),
        ("a.pcd", b"ply\n", "in the header"),
        ("a.pcd", b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 9999999\nHEIGHT 1\nDATA ascii\n", "claims 9999999"),
        ("a.pcd", b"FIELDS x y z\nSIZE 4 4 3\nTYPE F F F\nWIDTH 1\nHEIGHT 1\nDATA ascii\n0 0 0\n", "unsupported size"),
        ("a.pcd", b"FIELDS x y\nSIZE 4 4\nTYPE F F\nWIDTH 1\nHEIGHT 1\nDATA ascii\n0 0\n", "no x, y and z"),
        ("a.pcd", b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 2\nHEIGHT 1\nPOINTS 1\nDATA ascii\n0 0 0\n", "2 times"),
        ("a.las", b"LASF" + bytes(300), "version 0.0"),
        ("a.laz", b"x" * 300, "not a LAS"),
        ("a.bin", b"", "no point cloud format"),
    ],
)  # fmt: skip
def test_spoiled_files_name_their_fault(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    assert reason in refused(tmp_path / name, data)


def test_a_las_header_cannot_ask_for_memory(tmp_path: Path) -> None:
    for kind in ("las", "laz"):
        data = bytearray(written(kind, tmp_path).read_bytes())
        data[107:111] = (4_000_000_000).to_bytes(4, "little")
        assert "claims 4000000000 points" in refused(tmp_path / f"b.{kind}", bytes(data))
        data = bytearray(written(kind, tmp_path).read_bytes())
        data[100:104] = (4_000_000_000).to_bytes(4, "little")
        assert "4000000000 records" in refused(tmp_path / f"b.{kind}", bytes(data))


def test_layers_of_a_laz_file_cannot_ask_for_memory(tmp_path: Path) -> None:
    data = bytearray(written("laz layered", tmp_path).read_bytes())
    start, record = int.from_bytes(data[96:100], "little"), int.from_bytes(data[105:107], "little")
    sizes = start + 8 + record + 4
    data[sizes + 8 : sizes + 12] = (3_000_000_000).to_bytes(4, "little")
    assert "a chunk claims 3000" in refused(tmp_path / "b.laz", bytes(data))


def test_compressed_points_that_swell_are_refused(tmp_path: Path) -> None:
    data = written("pcd compressed", tmp_path).read_bytes().replace(b"POINTS 24", b"POINTS 2400000000")
    data = data.replace(b"WIDTH 24", b"WIDTH 2400000000")
    assert "bytes are claimed for" in refused(tmp_path / "b.pcd", data)


def test_writers_refuse_what_their_format_cannot_hold(tmp_path: Path) -> None:
    for suffix, normals, colors in ((".npy", NORMALS, None), (".npy", None, COLORS), (".las", NORMALS, None)):
        with pytest.raises(ValueError, match="write"):
            WRITERS[suffix](tmp_path / f"a{suffix}", POINTS, normals, colors)
    for suffix, write in WRITERS.items():
        with pytest.raises(ValueError, match="must have shape"):
            write(tmp_path / f"a{suffix}", POINTS[:, :2], None, None)
    assert not list(tmp_path.iterdir())


def test_points_are_taken_with_what_belongs_to_them() -> None:
    part = Cloud(POINTS, NORMALS, COLORS).take(np.array([3, 1]))
    assert part.normals is not None and part.colors is not None
    np.testing.assert_array_equal(part.points, POINTS[[3, 1]])
    np.testing.assert_array_equal(part.normals, NORMALS[[3, 1]])
    np.testing.assert_array_equal(part.colors, COLORS[[3, 1]])


@pytest.mark.parametrize(("kind", "package"), [("las", "laspy"), ("laz", "laspy"), ("hdf5", "h5py")])
def test_a_missing_package_is_named(tmp_path: Path, kind: str, package: str) -> None:
    path = written(kind, tmp_path)
    code = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from pathlib import Path\nfrom ptdiff_datasets.formats.catalog import read_cloud\n"
        "from ptdiff_datasets.formats.hdf5 import open_hdf5\n"
        f"path = Path({str(path)!r})\n"
        "try:\n    open_hdf5(path).__enter__() if path.suffix == '.h5' else read_cloud(path)\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    extra = "hdf5" if package == "h5py" else "las"
    assert done.stdout == f"{path} needs the package {package}: pip install 'ptdiff[{extra}]'\n"
