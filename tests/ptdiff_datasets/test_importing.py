"""`ptdiff_datasets.clouds.importing` and `checking`: what is imported is there whole and as it was; what is bad is
named."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.clouds import store
from ptdiff_datasets.clouds.checking import check
from ptdiff_datasets.clouds.duplicates import fingerprint, twins
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.clouds.importing import import_data
from ptdiff_datasets.errors import DataError
from ptdiff_datasets.formats.catalog import WRITERS, read_cloud

Box = Callable[..., bytes]
RANDOM = np.random.default_rng(11)


def ball(count: int, squeeze: float = 1.0, seed: int = 0) -> np.ndarray:
    """Points on an ellipsoid."""
    points = np.random.default_rng(seed).standard_normal((count, 3))
    return (points / np.linalg.norm(points, axis=1, keepdims=True) * [1, squeeze, 1]).astype(np.float32)


@pytest.fixture
def source(tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Meshes and clouds in two classes, with normals and colors for all, and a broken file."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "mine"
    for name in ("box", "scan"):
        (root / name).mkdir(parents=True)
    for i in range(4):
        (root / f"box/{i}.stl").write_bytes(box("stl", (1, 1, 1 + i)))
    for i, suffix in enumerate((".ply", ".pcd", ".xyz", ".npz")):
        points = ball(60 + i, 0.3 + i) * 10
        WRITERS[suffix](
            root / f"scan/s{i}{suffix}", points, points / np.linalg.norm(points), np.zeros((60 + i, 3), "u1")
        )
    (root / "scan/broken.ply").write_text("this is no cloud")
    (root / "readme.md").write_text("mine")
    return root


def test_a_store_holds_what_the_files_hold(source: Path, tmp_path: Path) -> None:
    imported = import_data(source, tmp_path / "store", points=100)
    clouds = load_folder(tmp_path / "store", normalize="none")
    assert imported.ids == clouds.ids
    assert clouds.classes == ("box", "scan")
    for i, id in enumerate(clouds.ids):
        if id.startswith("scan"):
            np.testing.assert_array_equal(clouds.cloud(i), read_cloud(source / id).points.astype(np.float32))
        else:
            assert clouds.counts[i] == 100
    assert clouds.channels == ("xyz", "normals")
    assert clouds.summary.lacking == {"colors": 4}
    assert [path for path, _ in clouds.summary.skipped] == ["scan/broken.ply"]
    assert clouds.summary.other == 1
    assert isinstance(clouds.store.shards[0]["points"].base, np.memmap)
    assert "from the store" in clouds.summary.text()


def test_a_store_and_its_folder_give_the_same_batches(source: Path, tmp_path: Path) -> None:
    import_data(source, tmp_path / "store", points=100)
    for normalize in ("box", "per-shape", "none"):
        direct, stored = (load_folder(root, points=100, normalize=normalize) for root in (source, tmp_path / "store"))
        ids = np.arange(len(direct))
        for channels in (("xyz",), ("xyz", "normals")):
            np.testing.assert_array_equal(direct.draw(ids, 32, 3, channels), stored.draw(ids, 32, 3, channels))
        assert direct.splits == stored.splits


@pytest.mark.parametrize("normalize", ["box", "per-shape", "global", "none"])
def test_every_normalization_is_undone_by_its_center_and_scale(source: Path, normalize: str) -> None:
    clouds, plain = (load_folder(source, points=100, normalize=n) for n in (normalize, "none"))
    for i in range(len(clouds)):
        cloud = clouds.cloud(i)
        np.testing.assert_allclose(cloud * clouds.scales[i] + clouds.centers[i], plain.cloud(i), atol=1e-5)
        if normalize == "per-shape":
            np.testing.assert_allclose(cloud.mean(axis=0), 0, atol=1e-5)
            assert np.square(cloud).mean() == pytest.approx(1, rel=1e-5)


def test_shapes_far_from_zero_keep_their_detail(tmp_path: Path) -> None:
    far = ball(500) + np.array([500_000.0, 5_400_000.0, 120.0])
    (tmp_path / "scan").mkdir()
    np.save(tmp_path / "scan" / "a.npy", far)
    clouds = import_data(tmp_path / "scan", tmp_path / "store")
    cloud = clouds.cloud(0).astype(np.float64) * clouds.scales[0] + clouds.centers[0]
    np.testing.assert_allclose(cloud, far, rtol=0, atol=1e-6)


def test_large_clouds_are_mapped_and_thinned_to_what_is_asked(tmp_path: Path) -> None:
    (tmp_path / "scan").mkdir()
    many = RANDOM.random((300_000, 3), np.float32)
    np.save(tmp_path / "scan" / "a.npy", many)
    whole = import_data(tmp_path / "scan", tmp_path / "whole", points=10**6)
    np.testing.assert_array_equal(whole.stored(0), many)
    part = import_data(tmp_path / "scan", tmp_path / "part", points=1000)
    assert {tuple(p) for p in part.stored(0).tolist()} <= {tuple(p) for p in many.tolist()}
    assert whole.draw(np.array([0]), 512, 0).shape == (1, 512, 3)


def test_checksums_are_those_of_sha256sum(source: Path, tmp_path: Path) -> None:
    import_data(source, tmp_path / "store", points=50)
    if shutil.which("sha256sum"):
        subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=tmp_path / "store", check=True)
    assert store.verified(tmp_path / "store") == []


@pytest.mark.parametrize(
    "name", ["points-00000.npy", "normals-00000.npy", "shapes.npy", "names.npy", "splits.npy", "index.json"]
)
def test_a_flipped_bit_is_found(source: Path, tmp_path: Path, name: str) -> None:
    import_data(source, tmp_path / "store", points=50)
    data = bytearray((tmp_path / "store" / name).read_bytes())
    data[len(data) - 3] ^= 1 if name != "index.json" else 0
    if name == "index.json":
        data[-3:-3] = b" "
    (tmp_path / "store" / name).write_bytes(data)
    found = check(tmp_path / "store")
    assert found.damaged == (name,)
    assert not found.ok
    assert "checksums do not match" in found.text()


def test_a_cut_store_is_refused_when_it_is_opened(source: Path, tmp_path: Path) -> None:
    import_data(source, tmp_path / "store", points=50)
    os.truncate(tmp_path / "store" / "points-00000.npy", 1000)
    for read in (load_folder, check):
        with pytest.raises(DataError, match=r"damaged store: points-00000\.npy has 1,000 bytes"):
            read(tmp_path / "store")


def test_an_import_replaces_a_store_when_told_to_and_nothing_else_ever(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "store"
    import_data(source, target, points=50)
    with pytest.raises(DataError, match="--force replaces it"):
        import_data(source, target, points=60)
    assert import_data(source, target, points=60, replace=True).summary.points > 60
    with pytest.raises(DataError, match="choose another place"):
        import_data(target.parent / "mine" / "box", source, replace=True)
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="choose another place"):
        import_data(source, tmp_path / "file", replace=True)
    with pytest.raises(DataError, match="lies inside"):
        import_data(source, source / "store")
    with pytest.raises(DataError, match="is already a store"):
        import_data(target, tmp_path / "again")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "mine", "store"]


def test_an_interrupted_import_leaves_nothing(source: Path, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_data(source, tmp_path / "store", progress=interrupt)
    assert [p.name for p in tmp_path.iterdir()] == ["mine"]


def test_classes_of_a_store_can_be_chosen(source: Path, tmp_path: Path) -> None:
    import_data(source, tmp_path / "store", points=50)
    clouds = load_folder(tmp_path / "store", classes=["scan"])
    assert clouds.classes == ("scan",)
    assert clouds.labels.tolist() == [0] * 4
    assert clouds.summary.total() == 4
    with pytest.raises(DataError, match="did you mean scan"):
        load_folder(tmp_path / "store", classes=["scam"])


def test_a_check_counts_what_is_good_and_names_what_is_bad(source: Path) -> None:
    points = ball(200, 0.5, 1)
    np.save(source / "scan/first.npy", points)
    np.save(source / "scan/reordered.npy", points[::-1])
    (source / "scan/copied.npy").write_bytes((source / "scan/first.npy").read_bytes())
    np.save(source / "scan/line.npy", np.linspace(0, 1, 90)[:, None] * [1, 2, 3])
    np.save(source / "scan/few.npy", ball(5))
    np.save(source / "scan/repeated.npy", np.repeat(ball(40), 3, axis=0))
    np.save(source / "scan/nan.npy", np.full((50, 3), np.nan))
    np.save(source / "scan/point.npy", np.ones((50, 3)))
    found = check(source)
    assert dict(found.unreadable).keys() == {"scan/broken.ply", "scan/nan.npy", "scan/point.npy"}
    assert dict(found.degenerate) == {
        "scan/line.npy": "all points on one line",
        "scan/few.npy": "only 5 points",
        "scan/repeated.npy": "only 40 of 120 points are distinct",
    }
    assert {frozenset(group) for group in found.equal} == {
        frozenset({"scan/copied.npy", "scan/reordered.npy"}),
        frozenset({"scan/copied.npy", "scan/first.npy"}),
    }
    assert not found.ok
    assert found.summary.root == str(source)
    assert json.loads(json.dumps(found.as_dict()))["ok"] is False
    for words in ("unreadable 3", "degenerate 3", "copy 2", "something is broken"):
        assert words in found.text()


def test_a_sound_folder_is_sound(tmp_path: Path, box: Box) -> None:
    for i in range(3):
        (tmp_path / f"{i}.obj").write_bytes(box("obj", (1, 1, 1 + i)))
    found = check(tmp_path)
    assert found.ok
    assert (found.kind, found.equal, found.near, found.points) == ("folder", (), (), (2048, 2048, 2048))
    assert found.text().endswith("nothing is broken")


def test_other_samples_of_one_surface_are_twins_and_other_shapes_are_not() -> None:
    shapes = [ball(2000, squeeze, seed) for seed, squeeze in enumerate((1.0, 0.5, 0.25, 0.75))]
    moved = ball(2000, 0.5, 99) * 7 + np.float32(3)
    clouds = [*shapes, moved, shapes[2][::-1]]
    same, near = twins(len(clouds), lambda i: clouds[i])
    assert same == [[2, 5]]
    assert near == [[1, 4]]


def test_a_shape_in_two_splits_is_a_leak(tmp_path: Path) -> None:
    for split, seed in (("train", 0), ("val", 1)):
        (tmp_path / split).mkdir()
        np.save(tmp_path / split / "a.npy", ball(2000, 0.5, seed))
        np.save(tmp_path / split / "b.npy", ball(2000, 0.3 + seed, seed + 5))
    found = check(tmp_path)
    assert found.leaks == (("train/a.npy", "val/a.npy"),)
    assert found.ok


def test_twins_are_imported_into_one_split(tmp_path: Path) -> None:
    (tmp_path / "scans").mkdir()
    for i in range(40):
        # other points of one surface, four times each, not neighbors by name
        np.save(tmp_path / "scans" / f"{i:02d}.npy", ball(1500, 0.05 + 0.1 * (i % 10), i))
    clouds = import_data(tmp_path / "scans", tmp_path / "store")
    assert {"train", "val"} == set(clouds.splits)
    for i in range(10):
        assert len({clouds.splits[clouds.ids.index(f"{j:02d}.npy")] for j in range(i, 40, 10)}) == 1
    found = check(tmp_path / "store")
    assert len(found.near) == 10 and found.leaks == ()


def test_twins_in_splits_of_the_folders_are_moved_where_that_is_asked_for(tmp_path: Path) -> None:
    for split, seed in (("train", 0), ("val", 1)):
        (tmp_path / "scans" / split).mkdir(parents=True)
        np.save(tmp_path / "scans" / split / "a.npy", ball(2000, 0.5, seed))
        np.save(tmp_path / "scans" / split / "b.npy", ball(2000, 0.3 + seed, seed + 5))
    assert import_data(tmp_path / "scans", tmp_path / "kept").splits == ("train", "train", "val", "val")
    assert "--together" in check(tmp_path / "kept").text()
    moved = import_data(tmp_path / "scans", tmp_path / "moved", together=True)
    assert dict(zip(moved.ids, moved.splits, strict=True))["val/a.npy"] == "train"
    assert moved.splits.count("val") == 1
    assert check(tmp_path / "moved").leaks == ()


def test_a_fingerprint_does_not_see_the_order() -> None:
    points = ball(100)
    assert fingerprint(points) == fingerprint(points[RANDOM.permutation(100)])
    assert fingerprint(points) != fingerprint(points * np.float32(1.001))


def test_the_kaykit_colors_of_one_shape_are_told(real_data: Callable[[str], Path]) -> None:
    found = check(real_data("kaykit") / "banner")
    assert found.ok
    assert any({"banner_blue.obj", "banner_green.obj"} <= set(group) for group in found.near)
