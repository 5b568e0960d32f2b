"""More files of kinds that go wrong: other names of arrays and columns, tables on their side, tails, far shapes."""

import io
import re
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from ptdiff_datasets.clouds.checking import check
from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.clouds.reading import read_one
from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.images.file import look
from ptdiff_datasets.points.image_density import darkness

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.random((12, 40, 3)).round(3)
NORMALS = POINTS / np.linalg.norm(POINTS, axis=2, keepdims=True)
COLORS = np.broadcast_to(np.array([255, 128, 7], np.uint8), POINTS.shape)
LABELS = np.arange(12) % 3
UTM = np.array([500_123.25, 4_650_321.5, -87.125])


@pytest.fixture
def load(tmp_path: Path) -> "Load":
    return Load(tmp_path)


class Load:
    """Loads one file of a folder, without normalization."""

    def __init__(self, root: Path) -> None:
        self.root = root / "data"
        self.root.mkdir()
        self.cache = root / "cache"

    def __call__(self, normalize: str = "box") -> CloudSet:
        return load_folder(self.root, points=40, cache=self.cache, normalize=normalize)


@pytest.mark.parametrize("normals", ["Normals", "normal", "vertex_normals", "NORMALS"])
@pytest.mark.parametrize("colors", ["Colors", "RGB", "vertex_colors"])
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_normals_and_colors_are_found_in_upper_and_lower_case(
    load: Load, normals: str, colors: str, suffix: str
) -> None:
    arrays = {"Points": POINTS, normals: NORMALS, colors: COLORS / 255, "category_id": LABELS}
    write(load.root / f"a{suffix}", arrays)
    clouds = load()
    assert len(clouds) == 12 and clouds.classes == ("000", "001", "002")
    assert np.bincount(clouds.labels).tolist() == [4, 4, 4]
    assert clouds.channels == ("xyz", "normals", "colors")
    arrays = clouds.store.shards[0]
    np.testing.assert_allclose(arrays["normals"].reshape(NORMALS.shape), NORMALS, atol=1e-6)
    assert (arrays["colors"] == [255, 128, 7]).all()


def test_what_lies_beside_the_clouds_of_an_hdf5_file_is_left_out_by_name(load: Load) -> None:
    write(load.root / "a.h5", {"data": POINTS, "label": LABELS, "pid": np.zeros((12, 40), "i4"), "synset": [b"a"] * 12})
    assert {text for _, text in load().summary.remarks} == {"arrays left out: pid, synset"}


def test_labels_of_every_point_in_an_hdf5_file_are_left_out_by_name(load: Load) -> None:
    write(load.root / "a.h5", {"data": POINTS, "label": np.zeros((12, 40), "i4")})
    assert {text.partition(",")[0] for _, text in load().summary.remarks} == {"label has a value for every point"}


def test_two_arrays_of_clouds_in_one_group_are_named(load: Load) -> None:
    write(load.root / "a.h5", {"clean": POINTS, "noisy": POINTS + 0.1})
    clouds = load()
    assert len(clouds) == 24
    assert {text for _, text in clouds.summary.remarks} == {"each array is read as clouds of its own: clean, noisy"}


def test_clouds_of_whole_numbers_in_an_hdf5_file_are_read_by_name(load: Load) -> None:
    write(load.root / "a.h5", {"data": (POINTS * 1000).astype("i4"), "parts": np.zeros((12, 40, 5), "i4")})
    clouds = load("none")
    assert len(clouds) == 12
    assert clouds.summary.high == tuple((POINTS * 1000).astype("i4").max(axis=(0, 1)).tolist())


def test_an_hdf5_file_without_clouds_says_what_it_holds(load: Load) -> None:
    write(load.root / "a.h5", {"scan": POINTS[0], "name": [b"a"]})
    with pytest.raises(DataError, match=re.escape("no array of clouds (m, n, 3), only scan (40, 3) float64, name")):
        load()


def test_the_only_cloud_of_an_hdf5_file_is_read_and_one_of_many_is_not_guessed(tmp_path: Path) -> None:
    write(tmp_path / "one.h5", {"data": POINTS[:1]})
    np.testing.assert_array_equal(read_one(tmp_path / "one.h5", 50).points, POINTS[0])
    write(tmp_path / "many.h5", {"data": POINTS})
    with pytest.raises(FormatError, match="12 clouds, not one: save one of them as"):
        read_one(tmp_path / "many.h5", 50)


@pytest.mark.parametrize("suffix", [".txt", ".csv", ".xyz"])
@pytest.mark.parametrize("rows", [3, 6])
def test_a_table_on_its_side_is_refused(tmp_path: Path, suffix: str, rows: int) -> None:
    table = np.concatenate([POINTS[0], NORMALS[0]], axis=1).T[:rows]
    np.savetxt(tmp_path / f"a{suffix}", table, delimiter="," if suffix == ".csv" else " ")
    with pytest.raises(FormatError, match=f"{rows} rows of 40 numbers: write each point in a row"):
        read_one(tmp_path / f"a{suffix}", 50)


@pytest.mark.parametrize("first", [0, 1, 1001])
@pytest.mark.parametrize("suffix", [".txt", ".csv", ".npy"])
def test_row_numbers_without_a_name_are_never_coordinates(tmp_path: Path, suffix: str, first: int) -> None:
    table = np.concatenate([first + np.arange(40.0)[:, None], POINTS[0]], axis=1)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, table)
    else:
        np.savetxt(path, table, "%.3f", delimiter="," if suffix == ".csv" else " ")
    with pytest.raises(FormatError, match="the first column counts the rows"):
        read_one(path, 50)
    if suffix != ".npy":
        comma = "," if suffix == ".csv" else " "
        path.write_text(comma.join(["id", "x", "y", "z"]) + "\n" + path.read_text())
        np.testing.assert_allclose(read_one(path, 50).points, POINTS[0], atol=1e-3)


def text_of(points: np.ndarray) -> str:
    return "".join(f"{x:.3f} {y:.3f} {z:.3f}\n" for x, y, z in points)


def ascii_ply(points: np.ndarray) -> str:
    names = "".join(f"property float {axis}\n" for axis in "xyz")
    return f"ply\nformat ascii 1.0\nelement vertex {len(points)}\n{names}end_header\n{text_of(points)}"


def ascii_pcd(points: np.ndarray) -> str:
    n = len(points)
    lines = ["VERSION 0.7", "FIELDS x y z", "SIZE 4 4 4", "TYPE F F F", "COUNT 1 1 1", f"WIDTH {n}", "HEIGHT 1"]
    return "\n".join([*lines, f"POINTS {n}", "DATA ascii", text_of(points)])


@pytest.mark.parametrize(("name", "written"), [("a.ply", ascii_ply), ("a.pcd", ascii_pcd)])
def test_a_text_keeps_the_digits_that_its_header_calls_float(tmp_path: Path, name: str, written: object) -> None:
    assert callable(written)
    points = POINTS[0] * 12 + UTM
    (tmp_path / name).write_text(written(points))
    np.testing.assert_allclose(read_one(tmp_path / name, 50).points, points, rtol=0, atol=6e-4)
    (tmp_path / name).write_text(written(POINTS[0]))
    assert read_one(tmp_path / name, 50).points.dtype == np.float32


def npy(points: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, points)
    return file.getvalue()


OBJ = "".join(f"v {line}\n" for line in text_of(POINTS[0]).splitlines()).encode()
OFF = b"OFF\n40 0 0\n" + text_of(POINTS[0]).encode()
BINARY_PCD = ascii_pcd(POINTS[0]).partition("ascii")[0].encode() + b"binary\n" + POINTS[0].astype("<f4").tobytes()


@pytest.mark.parametrize(
    ("name", "content", "tail", "said"),
    [
        ("a.npy", npy(POINTS[0]), b"\n", "bytes left out after the array: 1"),
        ("a.npy", npy(POINTS[0]), b"x" * 23, "bytes left out after the array: 23"),
        ("a.pcd", BINARY_PCD, b"tail\r\n", "bytes left out after the points: 6"),
        ("a.ply", ascii_ply(POINTS[0]).encode(), b"\n\x1a", None),
        ("a.obj", OBJ, b"\n\0\0\0", None),
        ("a.obj", OBJ, b"\x0c\n# end\n\x1a", None),
        ("a.off", OFF, b"\0\0", None),
        ("a.xyz", text_of(POINTS[0]).encode(), b"\x1a", None),
        ("a.csv", text_of(POINTS[0]).replace(" ", ",").encode(), b"\0\0\0", None),
    ],
)  # fmt: skip
def test_a_few_bytes_behind_the_last_record_are_no_fault(
    tmp_path: Path, name: str, content: bytes, tail: bytes, said: str | None
) -> None:
    (tmp_path / name).write_bytes(content + tail)
    cloud = read_one(tmp_path / name, 50)
    np.testing.assert_allclose(cloud.points, POINTS[0], atol=1e-6)
    assert said is None or said in cloud.remarks


def test_a_second_array_behind_the_first_is_not_dropped(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_bytes(npy(POINTS[0]) * 2)
    with pytest.raises(FormatError, match="the header claims"):
        read_one(tmp_path / "a.npy", 50)


@pytest.mark.parametrize(
    ("factor", "said"),
    [(1e-30, "the normals are all zero and are left out"), (np.nan, "the normals are all NaN and are left out")],
)
def test_normals_that_say_nothing_are_left_out(load: Load, factor: float, said: str) -> None:
    write(load.root / "a.npz", {"points": POINTS, "normals": NORMALS * factor})
    clouds = load()
    assert clouds.channels == ("xyz",)
    assert {text for _, text in clouds.summary.remarks} == {said}


def test_normals_have_length_one_and_those_that_are_zero_are_counted(load: Load) -> None:
    given = NORMALS * 5
    given[:, :4] = 0
    write(load.root / "a.npz", {"points": POINTS, "normals": given})
    clouds = load()
    lengths = np.linalg.norm(clouds.store.shards[0]["normals"], axis=1).reshape(12, 40)
    np.testing.assert_allclose(lengths, np.where(np.arange(40) < 4, 0, 1) + 0 * lengths, atol=1e-6)
    assert {text for _, text in clouds.summary.remarks} == {"4 of 40 normals are zero"}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_pictures_are_turned_upright_once(tmp_path: Path, orientation: int) -> None:
    stored = RANDOM.integers(0, 256, (4, 6), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.tif", exif=exif)
    shown = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.T, 6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).T, 8: np.rot90(stored),
    }[orientation]  # fmt: skip
    np.testing.assert_allclose(1 - darkness(tmp_path / "a.tif"), shown / 255, atol=1e-6)
    facts = look(tmp_path / "a.tif")
    assert (facts.height, facts.width) == shown.shape


@pytest.mark.parametrize("normalize", ["none", "global"])
def test_a_shape_too_far_for_a_common_origin_is_refused_by_name(load: Load, normalize: str) -> None:
    for i in range(3):
        np.save(load.root / f"near{i}.npy", POINTS[i] + [2 * i, 0, 0])
    np.save(load.root / "far.npy", POINTS[3] + UTM)
    with pytest.raises(DataError, match=r"far\.npy lies 4\.68e\+06 from the other shapes.*use normalize=box"):
        load(normalize)
    clouds = load("box")
    assert len(clouds) == 4
    far = clouds.cloud(clouds.ids.index("far.npy"))
    assert len(np.unique(far[:, 1])) == len(np.unique(POINTS[3][:, 1]))


def test_the_box_of_shapes_far_from_zero_is_shown_with_all_digits(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTDIFF_CACHE", str(load.cache))
    np.save(load.root / "a.npy", POINTS[0] * 12 + UTM)
    assert re.search(r"y +46503\d\d\.\d+ to +46503\d\d\.\d+", check(load.root).text())


def write(path: Path, arrays: dict[str, object]) -> None:
    if path.suffix == ".npz":
        np.savez(path, allow_pickle=False, **{name: np.asarray(array) for name, array in arrays.items()})
        return
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
