"""`ptdiff_datasets.clouds.folder`: folders of a user, whole and spoiled; real ones where they are at hand."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.errors import DataError
from ptdiff_datasets.formats.ply import write_ply

Box = Callable[..., bytes]


@pytest.fixture
def load(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., CloudSet]:
    cache = tmp_path_factory.mktemp("cache")

    def loaded(root: Path, **options: object) -> CloudSet:
        return load_folder(root, **{"points": 256, "cache": cache, **options})  # type: ignore[arg-type]

    return loaded


Load = Callable[..., CloudSet]


def fill(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def test_meshes_and_clouds_of_a_class_folder_become_one_set(tmp_path: Path, box: Box, load: Load) -> None:
    fill(tmp_path, {f"box/{kind}.{kind}": box(kind, (1, 2, 3)) for kind in ("obj", "ply", "stl", "off", "glb")})
    (tmp_path / "scan").mkdir()
    np.save(tmp_path / "scan/few.npy", np.random.default_rng(0).random((100, 3)))
    write_ply(tmp_path / "scan/many.ply", np.random.default_rng(1).random((5000, 3)))
    clouds = load(tmp_path)
    assert clouds.classes == ("box", "scan")
    sizes = {id: len(clouds.cloud(i)) for i, id in enumerate(clouds.ids)}
    assert sizes == {f"box/{k}.{k}": 256 for k in ("obj", "ply", "stl", "off", "glb")} | {
        "scan/few.npy": 100,
        "scan/many.ply": 256,
    }
    assert sum(sizes.values()) == clouds.summary.points == sum(clouds.store.index.shards)
    for i, id in enumerate(clouds.ids):
        assert clouds.classes[clouds.labels[i]] == id.split("/")[0]
    assert set(clouds.splits) == {"train", "val"}
    assert clouds.stored(0).dtype == np.float32


def test_box_normalization_can_be_undone(tmp_path: Path, box: Box, load: Load) -> None:
    import trimesh

    moved = trimesh.creation.box(extents=(10, 20, 20))  # diagonal 30
    moved.apply_translation([1e6, -5, 7])
    fill(tmp_path, {"a.stl": moved.export(file_type="stl"), "b.obj": moved.export(file_type="obj").encode()})
    points = np.random.default_rng(0).random((50, 3)) * 4 + 1000
    np.save(tmp_path / "c.npy", points)
    clouds = load(tmp_path)
    assert clouds.summary.normalize == "box"
    i = clouds.ids.index("b.obj")
    np.testing.assert_allclose(clouds.centers[i], [1e6, -5, 7])
    assert clouds.scales[i] == pytest.approx(30)
    np.testing.assert_allclose(np.abs(clouds.cloud(i)).max(axis=0), [10 / 60, 20 / 60, 20 / 60], atol=1e-6)
    i = clouds.ids.index("c.npy")
    np.testing.assert_allclose(clouds.cloud(i) * clouds.scales[i] + clouds.centers[i], points, atol=1e-5)
    np.testing.assert_allclose(clouds.cloud(i).max(axis=0) + clouds.cloud(i).min(axis=0), 0, atol=1e-6)
    assert np.linalg.norm(np.ptp(clouds.cloud(i), axis=0)) == pytest.approx(1)


def test_global_and_none_keep_the_coordinates_of_the_files(tmp_path: Path, load: Load) -> None:
    points = np.random.default_rng(0).random((50, 3), np.float32) * 4 + 10
    (tmp_path / "a").mkdir()
    np.save(tmp_path / "a" / "a.npy", points)
    for normalize in ("global", "none"):
        clouds = load(tmp_path, normalize=normalize)
        np.testing.assert_array_equal(clouds.cloud(0), points)
        assert (clouds.scales == 1).all()
        assert (clouds.centers == 0).all()
    with pytest.raises(ValueError, match="normalize='unit'"):
        load(tmp_path, normalize="unit")


def test_auto_is_global_for_shapenet_arrays_and_box_for_the_rest(tmp_path: Path, box: Box, load: Load) -> None:
    for i, split in enumerate(("train", "val")):
        (tmp_path / "pc/04379243" / split).mkdir(parents=True)
        np.save(tmp_path / "pc/04379243" / split / "x.npy", np.random.default_rng(i).random((20, 3)))
        fill(tmp_path / "modelnet", {f"chair/{split}/chair_1.off": box("off", (1, 1, 1 + i))})
    pc = load(tmp_path / "pc")
    assert (pc.summary.normalize, pc.classes, pc.splits) == ("global", ("table",), ("train", "val"))
    assert load(tmp_path / "modelnet").summary.normalize == "box"


def test_a_large_cloud_is_thinned_to_a_subset_of_its_points(tmp_path: Path, load: Load) -> None:
    points = np.random.default_rng(0).random((3000, 3), np.float32)
    np.save(tmp_path / "a.npy", points)
    cloud = load(tmp_path, normalize="none").cloud(0)
    kept = {tuple(p) for p in cloud.tolist()}
    assert len(kept) == 256
    assert kept <= {tuple(p) for p in points.tolist()}


def test_a_flat_folder_has_no_classes(tmp_path: Path, box: Box, load: Load) -> None:
    fill(tmp_path, {f"{i}.stl": box("stl", (1, 1, 1 + i)) for i in range(5)})
    clouds = load(tmp_path)
    assert clouds.classes == ()
    assert clouds.labels.tolist() == [-1] * 5
    assert len(clouds.split("val")) >= 1


def test_every_split_holds_its_own_shapes(tmp_path: Path, box: Box, load: Load) -> None:
    fill(tmp_path, {f"{c}/{i}.stl": box("stl", (1, 1, 1 + i)) for c in "ab" for i in range(15)})
    clouds = load(tmp_path)
    parts = [clouds.split(name) for name in ("train", "val", "test")]
    assert sorted([id for part in parts for id in part.ids]) == sorted(clouds.ids)
    assert [set(part.splits) for part in parts] == [{"train"}, {"val"}, set()]
    for part in parts:
        for i, id in enumerate(part.ids):
            height = 1 + int(id[2:-4])
            assert part.scales[i] == pytest.approx((2 + height**2) ** 0.5)
            assert np.ptp(part.cloud(i)[:, 2]) * part.scales[i] == pytest.approx(height, rel=0.1)
            assert part.classes[part.labels[i]] == id[0]


def test_a_copy_of_a_file_is_left_out_so_that_no_copy_is_held_out(tmp_path: Path, box: Box, load: Load) -> None:
    fill(
        tmp_path,
        {"a/0.stl": box("stl"), "a/1.stl": box("stl"), "b/2.stl": box("stl"), "b/3.stl": box("stl", (1, 2, 3))},
    )
    fill(tmp_path, {"a/bad.stl": b"x" * 100, "b/bad.stl": b"x" * 100})
    for _ in range(2):  # from the files, then from the cache
        clouds = load(tmp_path)
        assert sorted(clouds.ids) == ["a/0.stl", "b/3.stl"]
        reasons = dict(clouds.summary.skipped)
        assert (reasons["a/1.stl"], reasons["b/2.stl"]) == ("a copy of a/0.stl",) * 2
        assert reasons["a/bad.stl"] == reasons["b/bad.stl"]


def test_only_the_chosen_classes_are_read(tmp_path: Path, box: Box, load: Load) -> None:
    sizes = {"a": 1, "b": 2, "c": 3}
    fill(tmp_path, {f"{c}/{i}.stl": box("stl", (1, 1 + i, size)) for c, size in sizes.items() for i in range(2)})
    seen: list[tuple[int, int]] = []
    clouds = load(tmp_path, classes=["c", "a"], progress=lambda done, total: seen.append((done, total)))
    assert clouds.classes == ("a", "c")
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    with pytest.raises(DataError, match="no class 'd'"):
        load(tmp_path, classes=["d"])


def test_a_shape_does_not_depend_on_its_neighbors(tmp_path: Path, box: Box, load: Load) -> None:
    header = [str(i).encode().ljust(80) for i in range(3)]
    fill(tmp_path, {f"a/{i}.stl": header[i] + box("stl")[80:] for i in range(3)})
    few = load(tmp_path)
    fill(tmp_path, {f"a/{i}.stl": box("stl", (1, 2, i)) for i in range(3, 9)} | {"b/x.obj": box("obj")})
    many = load(tmp_path)
    for i, id in enumerate(few.ids):
        j = many.ids.index(id)
        np.testing.assert_array_equal(few.cloud(i), many.cloud(j))
        np.testing.assert_array_equal(few.draw(np.array([i]), 32, 1), many.draw(np.array([j]), 32, 1))
    one, other = (many.cloud(many.ids.index(f"a/{i}.stl")) for i in (0, 1))
    assert not np.array_equal(one, other)  # equal boxes, yet points of their own


def test_a_spoiled_folder_gives_what_is_whole_and_a_reason_for_each_of_the_rest(
    tmp_path: Path, box: Box, load: Load
) -> None:
    whole = {f"good/{i}.obj": box("obj", (1, 1, 1 + i)) for i in range(4)}
    header = b"ply\nformat binary_little_endian 1.0\nelement vertex 4000000000\n"
    spoiled = {
        "bad/cut-stl.stl": box("stl")[:300],
        "bad/cut-glb.glb": box("glb")[:400],
        "bad/cut-ply.ply": box("ply")[:-30],
        "bad/empty.obj": b"",
        "bad/nan.obj": b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n",
        "bad/flat.obj": b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n",
        "bad/text.obj": b"for you this is no mesh\n",
        "bad/huge-ply.ply": header + b"property float x\nend_header\n" + bytes(99),
        "bad/huge-off.off": b"OFF\n9999999999 9999999999 0\n0 0 0\n",
        "bad/huge-npy.npy": b"\x93NUMPY\x01\x00" + b"\x76\x00" + b"{'descr': '<f4', 'fortran_order': False, "
        b"'shape': (99999999999, 3)}".ljust(117) + b"\n",
        "bad/one.npz": b"PK\x05\x06",
    }  # fmt: skip
    fill(tmp_path, whole | spoiled | {"good/readme.txt": b"hello", "good/0.mtl": b"newmtl x"})
    np.save(tmp_path / "bad/point.npy", np.ones((10, 3)))
    np.save(tmp_path / "bad/far.npy", np.array([[0, 0, 0], [1e300, 0, 0], [0, 1e308, 0]]))
    for _ in range(2):  # from the files, then from the cache
        clouds = load(tmp_path)
        assert sorted(clouds.ids) == sorted(whole)
        assert clouds.classes == ("good",)
        assert {path for path, _ in clouds.summary.skipped} == {*spoiled, "bad/point.npy", "bad/far.npy"}
        assert clouds.summary.other == 2
        assert all(reason and reason.isprintable() for _, reason in clouds.summary.skipped)
    assert clouds.summary.cached


@pytest.mark.parametrize("normalize", ["box", "none"])
def test_coordinates_beyond_float32_are_refused(tmp_path: Path, load: Load, normalize: str) -> None:
    np.save(tmp_path / "a.npy", np.random.default_rng(0).random((9, 3)))
    np.save(tmp_path / "b.npy", np.random.default_rng(0).random((9, 3)) * (1e39 if normalize == "none" else 1e308))
    clouds = load(tmp_path, normalize=normalize)
    assert clouds.ids == ("a.npy",)


def test_nothing_readable_is_a_data_error_with_the_first_reasons(tmp_path: Path, load: Load) -> None:
    fill(tmp_path / "a", {f"x/{i}.obj": b"" for i in range(5)})
    with pytest.raises(DataError, match=r"can be read: x/0.obj: the file is empty .*; and 2 more"):
        load(tmp_path / "a")
    fill(tmp_path / "b", {"notes.md": b""})
    with pytest.raises(DataError, match=r"\(1 files of other types\)"):
        load(tmp_path / "b")
    with pytest.raises(DataError, match="does not exist"):
        load(tmp_path / "c")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_is_skipped_until_it_may(tmp_path: Path, box: Box, load: Load) -> None:
    fill(tmp_path, {"a.stl": box("stl"), "b.stl": box("stl")})
    (tmp_path / "b.stl").chmod(0)
    assert load(tmp_path).summary.skipped == (("b.stl", "Permission denied"),)
    (tmp_path / "b.stl").chmod(0o600)
    assert load(tmp_path).summary.skipped == ()


def test_the_kaykit_folder_is_read_whole(real_data: Callable[[str], Path], load: Load) -> None:
    clouds = load(real_data("kaykit"), points=128)
    assert (len(clouds), len(clouds.classes), clouds.summary.skipped) == (269, 41, ())
    assert set(clouds.labels[np.array(clouds.splits) == "train"]) == set(range(41))
    assert max(np.abs(clouds.cloud(i)).max() for i in range(269)) <= 0.5 + 1e-6
    assert max(map(len, clouds.summary.text().splitlines())) <= 80


def test_the_tables_are_read_with_their_splits(real_data: Callable[[str], Path], load: Load) -> None:
    clouds = load(real_data("tables"), points=2048)
    assert [len(clouds.split(s)) for s in ("train", "val", "test")] == [1500, 300, 300]
    assert (clouds.classes, clouds.summary.normalize) == (("table",), "global")
    source = real_data("tables") / clouds.split("val").ids[7]
    np.testing.assert_array_equal(clouds.split("val").cloud(7), np.load(source))
