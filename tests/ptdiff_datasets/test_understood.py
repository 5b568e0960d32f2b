"""What files mean: colors, normals, axes, labels, lost points, twins of a broken file. Never a silent guess."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptdiff_datasets.clouds.checking import check
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.clouds.splits import assign_splits
from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.formats.arrays import read_points
from ptdiff_datasets.formats.catalog import WRITERS, read_cloud
from ptdiff_datasets.formats.cloud import byte_colors, known_name
from ptdiff_datasets.formats.ply import write_ply

RANDOM = np.random.default_rng(3)
N = 40
POINTS = RANDOM.standard_normal((N, 3)).astype(np.float32)


def pcd(fields: list[tuple[str, str, int, Any]], encoding: str = "binary", height: int = 1) -> bytes:
    """Write a PCD file of fields (name, NumPy type, count, values)."""
    count = len(fields[0][3])
    kinds = {"f": "F", "i": "I", "u": "U"}
    lines = [
        "VERSION 0.7",
        "FIELDS " + " ".join(name for name, *_ in fields),
        "SIZE " + " ".join(kind[1] for _, kind, *_ in fields),
        "TYPE " + " ".join(kinds[kind[0]] for _, kind, *_ in fields),
        "COUNT " + " ".join(str(c) for _, _, c, _ in fields),
        f"WIDTH {count // height}\nHEIGHT {height}\nPOINTS {count}\nDATA {encoding}\n",
    ]
    head = "\n".join(lines).encode()
    if encoding == "ascii":
        rows = zip(*(np.reshape(values, (count, -1)).tolist() for *_, values in fields), strict=True)
        return head + "".join(" ".join(repr(v) for part in row for v in part) + "\n" for row in rows).encode()
    dtype = np.dtype([(str(i), "<" + kind, (c,)) for i, (_, kind, c, _) in enumerate(fields)])
    table = np.zeros(count, dtype)
    for i, (_, _, c, values) in enumerate(fields):
        table[str(i)] = np.reshape(values, (count, c))
    return head + table.tobytes()


XYZ = [(name, "f4", 1, POINTS[:, i]) for i, name in enumerate("xyz")]
COLORS = RANDOM.integers(0, 256, (N, 3)).astype(np.uint8)
PACKED = COLORS.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
@pytest.mark.parametrize(
    "color",
    [
        [(name, "u1", 1, COLORS[:, i]) for i, name in enumerate("rgb")],
        [(name, "u1", 1, COLORS[:, i]) for i, name in enumerate(("Red", "Green", "Blue"))],
        [(name, "f4", 1, COLORS[:, i]) for i, name in enumerate(("diffuse_red", "diffuse_green", "diffuse_blue"))],
        [(name, "f4", 1, COLORS[:, i] / np.float32(255)) for i, name in enumerate(("Rf", "Gf", "Bf"))],
        [("rgb", "u4", 1, PACKED)],
        [("rgba", "u4", 1, PACKED | 0xFF000000)],
        [("rgb", "u1", 3, COLORS)],
    ],
    ids=["r g b", "Red", "0 to 255 in floats", "fractions", "packed", "packed with alpha", "three in one"],
)
def test_colors_of_pcd_files_are_kept_in_every_spelling(tmp_path: Path, color: list[Any], encoding: str) -> None:
    (tmp_path / "a.pcd").write_bytes(pcd(XYZ + color, encoding))
    found = read_cloud(tmp_path / "a.pcd")
    np.testing.assert_array_equal(found.colors, COLORS)
    np.testing.assert_allclose(found.points, POINTS, rtol=1e-6)


def test_a_packed_color_in_the_bits_of_a_float_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.pcd").write_bytes(pcd([*XYZ, ("rgb", "f4", 1, PACKED.view(np.float32))]))
    np.testing.assert_array_equal(read_cloud(tmp_path / "a.pcd").colors, COLORS)


@pytest.mark.parametrize("names", ["red green blue", "r g b", "diffuse_red diffuse_green diffuse_blue", "R G B"])
@pytest.mark.parametrize("kind", ["uchar", "float", "ushort"])
def test_colors_of_ply_and_text_files_are_kept_in_every_spelling(tmp_path: Path, names: str, kind: str) -> None:
    scale = 257 if kind == "ushort" else 1
    rows = "".join(
        " ".join(map(repr, [*p, *(int(v) * scale for v in c)])) + "\n"
        for p, c in zip(POINTS.tolist(), COLORS.tolist(), strict=True)
    )
    properties = "".join(f"property float {axis}\n" for axis in "xyz")
    properties += "".join(f"property {kind} {name}\n" for name in names.split())
    (tmp_path / "a.ply").write_text(f"ply\nformat ascii 1.0\nelement vertex {N}\n{properties}end_header\n{rows}")
    (tmp_path / "a.txt").write_text(f"x y z {names}\n{rows}")
    for name in ("a.ply", "a.txt"):
        np.testing.assert_array_equal(read_cloud(tmp_path / name).colors, COLORS)


@pytest.mark.parametrize(
    ("values", "bytes_"),
    [
        (np.array([[255.0, 128, 7]]), [255, 128, 7]),
        (np.array([[1.0, 0.5, 0]]), [255, 128, 0]),
        (np.array([[1.0005, 0.5, 0]]), [255, 128, 0]),
        (np.array([[200.4, 0.3, 7]]), [200, 0, 7]),
        (np.array([[65535, 257, 0]], np.uint16), [255, 1, 0]),
        (np.array([[65535.0, 257, 0]]), [255, 1, 0]),
        (np.array([[255, 1, 0]], np.int32), [255, 1, 0]),
        (np.array([[1, 1, 0]], np.int32), [1, 1, 0]),
    ],
)
def test_the_range_of_colors_says_what_white_is(values: np.ndarray, bytes_: list[int]) -> None:
    assert byte_colors("a", values).tolist() == [bytes_]


@pytest.mark.parametrize("values", [[-1.0, 0, 1], [0.5, 1.5, 0], [300.5, 0, 1], [7e4, 0, 0], [np.nan, 0, 0]])
def test_colors_of_an_unknown_range_are_refused(values: list[float]) -> None:
    with pytest.raises(FormatError, match="colors"):
        byte_colors("a", np.array([values]))


def test_names_of_columns_are_known_with_units_and_prefixes() -> None:
    spelled = ["X [m]", '"Y"', "Z (m)", "Normal_X", "NormalY", "scalar_R", "vertex_green", "B"]
    assert [known_name(name) for name in spelled] == ["x", "y", "z", "nx", "ny", "red", "green", "blue"]


@pytest.mark.parametrize("encoding", ["binary", "ascii"])
def test_points_without_a_return_are_left_out_and_counted(tmp_path: Path, encoding: str) -> None:
    lost = np.arange(N) % 4 == 1
    fields = [(name, "f4", 1, np.where(lost, np.nan, column)) for name, _, _, column in XYZ]
    fields += [(name, "u1", 1, COLORS[:, i]) for i, name in enumerate("rgb")]
    (tmp_path / "a.pcd").write_bytes(pcd(fields, encoding, height=4))
    found = read_cloud(tmp_path / "a.pcd")
    np.testing.assert_allclose(found.points, POINTS[~lost], rtol=1e-6)
    np.testing.assert_array_equal(found.colors, COLORS[~lost])
    assert found.remarks == ("10 of 40 points have no coordinates (NaN) and are left out",)
    summary = load_folder(tmp_path / "a.pcd", cache=tmp_path / "cache").summary
    assert "a.pcd: 10 of 40 points have no coordinates" in summary.text()
    # hardly any left, or a part of a point lost, is damage
    fields = [(name, "f4", 1, np.where(np.arange(N) > 2, np.nan, column)) for name, _, _, column in XYZ]
    (tmp_path / "b.pcd").write_bytes(pcd(fields))
    with pytest.raises(FormatError, match="37 of 40 points are NaN, more than 90%"):
        read_cloud(tmp_path / "b.pcd")
    (tmp_path / "c.pcd").write_bytes(pcd([*XYZ[:2], ("z", "f4", 1, np.where(lost, np.nan, POINTS[:, 2]))]))
    with pytest.raises(FormatError, match="10 of 40 points are NaN or infinite"):
        read_cloud(tmp_path / "c.pcd")


@pytest.mark.parametrize("shape", [(3, 50), (2, 3, 50), (3, 3), (1, 3), (6, 50), (5, 3, 1), (5, 1, 3), (2, 2, 50, 3)])
@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
def test_arrays_of_unclear_axes_are_refused_with_their_shape(tmp_path: Path, shape: tuple[int, ...], name: str) -> None:
    if name == "a.h5" and (len(shape) != 3 or shape[-1] < 3):
        pytest.skip("HDF5 files hold many clouds")
    save(tmp_path / name, data=RANDOM.random(shape).astype(np.float32))
    with pytest.raises(DataError, match="an array of shape " + str(shape).replace("(", r"\(").replace(")", r"\)")):
        load_folder(tmp_path / name, cache=tmp_path / "cache")


def save(path: Path, data: np.ndarray, **others: Any) -> None:
    if path.suffix == ".npy":
        np.save(path, data)
    elif path.suffix == ".npz":
        np.savez(path, points=data, **others)
    else:
        h5py = pytest.importorskip("h5py")
        with h5py.File(path, "w") as file:
            file["data"] = data
            for key, value in others.items():
                file[key] = value.tolist() if isinstance(value, np.ndarray) and value.dtype.kind == "U" else value


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.h5"])
def test_the_option_settles_the_axes(tmp_path: Path, name: str) -> None:
    clouds = RANDOM.standard_normal((4, 50, 3)).astype(np.float32)
    save(tmp_path / name, np.swapaxes(clouds, 1, 2))
    found = load_folder(tmp_path / name, cache=tmp_path / "cache", normalize="none", order="channels-first")
    assert len(found) == 4
    np.testing.assert_array_equal(found.stored(2), clouds[2])
    np.save(tmp_path / "one.npy", clouds[0].T)
    np.testing.assert_array_equal(read_points(tmp_path / "one.npy", "channels-first").points, clouds[0])
    np.save(tmp_path / "three.npy", clouds[0, :3])
    np.testing.assert_array_equal(read_points(tmp_path / "three.npy", "channels-last").points, clouds[0, :3])


def test_a_structured_array_is_read_by_its_fields(tmp_path: Path) -> None:
    table = np.zeros(N, [("y", "f4"), ("x", "f4"), ("z", "f4"), ("r", "u1"), ("g", "u1"), ("b", "u1"), ("t", "f8")])
    for i, (axis, color) in enumerate(zip("xyz", "rgb", strict=True)):
        table[axis], table[color] = POINTS[:, i], COLORS[:, i]
    np.save(tmp_path / "a.npy", table)
    np.savez(tmp_path / "a.npz", points=table)
    for name in ("a.npy", "a.npz"):
        np.testing.assert_array_equal(read_points(tmp_path / name).points, POINTS)
        np.testing.assert_array_equal(read_points(tmp_path / name).colors, COLORS)
    np.save(tmp_path / "b.npy", table[["r", "g", "b"]])
    with pytest.raises(FormatError, match="no x, y and z"):
        read_points(tmp_path / "b.npy")


LABELS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "integers": (np.array([0, 1, 1, 0]), ("000", "001")),
    "floats": (np.array([0.0, 1, 1, 0]), ("000", "001")),
    "a column": (np.array([[0.0], [1], [1], [0]]), ("000", "001")),
    "bool": (np.array([False, True, True, False]), ("000", "001")),
    "one-hot": (np.array([[1, 0], [0, 1], [0, 1], [1, 0]]), ("000", "001")),
    "text": (np.array(["cup", "mug", "mug", "cup"]), ("cup", "mug")),
    "bytes": (np.array([b"cup", b"mug", b"mug", b"cup"]), ("cup", "mug")),
}


@pytest.mark.parametrize("kind", LABELS)
@pytest.mark.parametrize("key", ["label", "y", "Class", "targets"])
@pytest.mark.parametrize("name", ["a.npz", "a.h5"])
def test_labels_of_every_type_are_kept(tmp_path: Path, kind: str, key: str, name: str) -> None:
    values, classes = LABELS[kind]
    save(tmp_path / name, RANDOM.random((4, N, 3)).astype(np.float32), **{key: values})
    found = load_folder(tmp_path / name, cache=tmp_path / "cache")
    assert found.classes == classes
    assert found.labels.tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (np.array([0, 1, 1]), r"label of shape \(3,\) for 4 clouds"),
        (np.array([0, 0.5, 1, 1]), "label 1 is 0.5: classes are whole numbers"),
        (np.array([0, np.nan, 1, 1]), "label 1 is nan"),
        (np.array([0, -7, 1, 1]), "label 1 is -7"),
        (np.array([[1, 1], [0, 1], [0, 1], [1, 0]]), "neither one class for each cloud nor one-hot"),
        (np.array(["a", "b", "c"]), r"label of shape \(3,\) for 4 clouds"),
        (np.array(["a", None, 1, 2], object), "label: an array of object"),
        (np.array([1j, 0, 0, 0]), "label: an array of complex"),
    ],
)
def test_labels_that_are_none_are_refused_by_name(tmp_path: Path, values: np.ndarray, reason: str) -> None:
    np.savez(tmp_path / "a.npz", points=RANDOM.random((4, N, 3)), label=values)
    with pytest.raises(DataError, match=reason):
        load_folder(tmp_path / "a.npz", cache=tmp_path / "cache")


def test_labels_are_named_by_the_classes_beside_them_and_two_must_agree(tmp_path: Path) -> None:
    clouds = RANDOM.random((4, N, 3))
    np.savez(tmp_path / "a.npz", points=clouds, label=[1, 0, 1, 1], classes=np.array(["cup", "mug"]))
    assert load_folder(tmp_path / "a.npz", cache=tmp_path / "cache").classes == ("cup", "mug")
    np.savez(tmp_path / "b.npz", points=clouds, label=[1, 0, 1, 1], y=[0, 0, 1, 1])
    with pytest.raises(DataError, match="label and y name different classes: keep one of them"):
        load_folder(tmp_path / "b.npz", cache=tmp_path / "cache")


def test_parts_are_no_classes_and_single_clouds_have_their_own(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", points=RANDOM.random((2, N, 3)), label=np.zeros((2, N), int))
    summary = load_folder(tmp_path / "a.npz", cache=tmp_path / "cache").summary
    assert "label has a value for every point" in summary.text()
    (tmp_path / "f").mkdir()
    for i in range(3):
        np.savez(tmp_path / "f" / f"{i}.npz", points=RANDOM.random((N, 3)), label=float(i % 2))
    assert load_folder(tmp_path / "f", cache=tmp_path / "cache").labels.tolist() == [0, 1, 0]


def test_the_format_that_can_be_read_is_taken(tmp_path: Path) -> None:
    for i in range(3):
        np.savetxt(tmp_path / f"m{i}.xyz", RANDOM.random((N, 3)))
        (tmp_path / f"m{i}.pcd").write_bytes(b"not this one")
    np.savetxt(tmp_path / "m3.xyz", RANDOM.random((N, 3)))
    (tmp_path / "m3.pcd").write_bytes(pcd(XYZ))
    found = load_folder(tmp_path, cache=tmp_path.parent / "cache-of-twins")
    assert found.ids == ("m0.xyz", "m1.xyz", "m2.xyz", "m3.pcd")
    reasons = dict(found.summary.skipped)
    assert reasons["m3.xyz"] == "the same shape as m3.pcd"
    assert "the header never ends" in reasons["m0.pcd"] or "not a PCD" in reasons["m0.pcd"]
    assert "m0.xyz" not in reasons


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", b"a,b\n1,2\n", "'a,b' is not a point"),
        ("a.csv", b"east,north,up\n1,2,3\n", "no columns x, y and z among east, north, up"),
        ("train.txt", b"chair_1\n", "is not a point"),
        ("a.txt", b"", "no points"),
        ("a.foo", b"1 2 3\n", "does not have the suffix of a mesh or point cloud"),
    ],
)
def test_a_file_that_the_user_named_gets_its_own_reason(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=reason):
        load_folder(tmp_path / name, cache=tmp_path / "cache")


def test_zero_normals_are_none_and_are_named(tmp_path: Path) -> None:
    from ptdiff_pointcloud import PointCloud

    for i in range(3):
        write_ply(tmp_path / f"{i}.ply", RANDOM.random((N, 3)), np.zeros((N, 3)))
    assert load_folder(tmp_path, cache=tmp_path.parent / "c").channels == ("xyz",)
    with pytest.raises(DataError, match=r"no normals for 3 of 3 shapes \(in 3 they are all zero, in 0\.ply first"):
        PointCloud(data=str(tmp_path), channels=("xyz", "normals")).dataset()


def test_every_class_of_four_has_a_held_out_shape_and_earlier_runs_keep_their_split() -> None:
    labels = ["chair"] * 60 + ["table"] * 4 + ["lamp"] * 3 + ["car"] * 5
    ids = [f"{label}/{i}.obj" for i, label in enumerate(labels)]
    for start in range(20):
        names = [f"{start}{id}" for id in ids]
        hashed = assign_splits(names, labels, [None] * len(ids))
        better = assign_splits(names, labels, [None] * len(ids), rule="stratified")
        held = {label for label, split in zip(labels, better, strict=True) if split == "val"}
        assert {"chair", "table", "car"} <= held
        # what was held out stays so: only training shapes of classes without one move
        assert all(new == "val" for old, new in zip(hashed, better, strict=True) if old == "val")
        moved = [label for label, old, new in zip(labels, hashed, better, strict=True) if old != new]
        assert len(moved) == len(set(moved)) and not set(moved) - {"table", "car", "chair"}
        twin = assign_splits(names, labels, [None] * len(ids), [[60, 61, 62]], "stratified")
        assert [twin[60], twin[61], twin[62]] == ["train"] * 3 and twin[63] == "val"


def test_the_check_names_every_fault_on_one_screen(tmp_path: Path, box: Callable[..., bytes]) -> None:
    def cloud(scale: float = 1.0) -> np.ndarray:
        return RANDOM.random((200, 3)) * scale

    for label, count in (("chair", 40), ("table", 40), ("bowl", 2)):
        (tmp_path / label).mkdir()
        for i in range(count):
            np.savetxt(tmp_path / label / f"{i:02d}.xyz", cloud())
    chairs = tmp_path / "chair"
    np.savetxt(chairs / "huge.xyz", cloud(1e5))
    np.savetxt(chairs / "far.xyz", np.concatenate([cloud(), [[90, 90, 90]]]))
    (chairs / "twin.xyz").write_bytes((chairs / "00.xyz").read_bytes())
    np.savetxt(chairs / "line.xyz", np.outer(np.arange(200), [1, 2, 3]))
    (chairs / "names.csv").write_text("x,y,z\n" + "1,2,3,4,5\n" * 40)
    np.save(chairs / "axes.npy", cloud().T)
    np.savez(chairs / "labels.npz", points=RANDOM.random((4, N, 3)), label=[0, 1])
    (chairs / "mesh.stl").write_bytes(box("stl")[:100])
    (chairs / "nan.pcd").write_bytes(pcd([(n, "f4", 1, np.where(np.arange(N) < 4, np.nan, c)) for n, _, _, c in XYZ]))
    write_ply(chairs / "zero.ply", cloud(), np.zeros((200, 3)))
    found = check(tmp_path)
    text = found.text()
    for words in (
        "huge.xyz and 1 more: diagonal",
        "far.xyz: 1 of 201 points make the box",
        "chair/00.xyz: the same as chair/twin.xyz",
        "line.xyz: all points on one line",
        "3 names, but line 2 has 5 cells",
        "axes.npy: an array of shape (3, 200)",
        "for 4 clouds",
        "mesh.stl",
        "nan.pcd: 4 of 40 points",
        "zero.ply: the normals are all zero",
        "bowl (2): very few shapes, none held out",
        "00.xyz: x y z",
        "something is broken",
    ):
        assert words in text, words
    assert len(text.splitlines()) <= 24
    assert max(map(len, text.splitlines())) <= 80
    assert not found.ok


def test_zeros_behind_the_points_of_a_pcd_are_left_out_with_a_remark_and_numbers_refused(tmp_path: Path) -> None:
    path, points = tmp_path / "a.pcd", np.random.default_rng(0).random((20, 3)).astype("f4")
    WRITERS[".pcd"](path, points, None, None)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(16))
    cloud = read_cloud(path)
    assert np.array_equal(cloud.points, points)
    assert cloud.remarks == ("bytes left out after the points: 16",)
    # those might be points that the header does not count
    path.write_bytes(whole + points[:2].tobytes())
    with pytest.raises(FormatError, match="the header claims 240 bytes of points, but 264 follow"):
        read_cloud(path)
