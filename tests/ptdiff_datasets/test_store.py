"""`ptdiff_datasets.clouds.store`: many shards, packed names, damage by name, and stores of earlier versions."""

import hashlib
import json
import os
import shutil
import tracemalloc
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptdiff_datasets.clouds import store, store_writing
from ptdiff_datasets.clouds.files import in_order, one_format
from ptdiff_datasets.clouds.first_seen import FirstSeen
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.clouds.importing import import_data
from ptdiff_datasets.clouds.layout import Shape, Shapes
from ptdiff_datasets.clouds.names import Names
from ptdiff_datasets.errors import DataError
from ptdiff_datasets.formats.ply import write_ply

EARLIER = Path(__file__).parent / "earlier_store"
"""A store that ptdiff 0.2 wrote; the digests below are those of its clouds as 0.2 drew them."""

DRAWN = {
    "box": "1e17aa6a7fb3791ba82cfd1ef6931f917f0ebd192f3ba79dd4928b1de7b51822",
    "per-shape": "0143e868dee02202f6275350297cbad3018936d6d0896bbb45571a9d1e5fe80a",
}
FRAMES = {
    "box": "6978409388b5b8ee69a322ef8c82490d3b82cd707ae051fddcce7a153c991c8f",
    "per-shape": "bbac77b412da5e7049f3a0b124e7a968976a2b73c450998794c353077f917cda",
}
CONTENT = "9009b10a0866913d8192cafa7610b1eb15f6459bf0c9f77cae388eb34a9d8aee"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Twelve clouds of 30 points in three classes, with normals."""
    random = np.random.default_rng(5)
    for i in range(12):
        points = random.standard_normal((30, 3)).astype(np.float32)
        (tmp_path / f"scans/c{i % 3}").mkdir(parents=True, exist_ok=True)
        normals = points / np.linalg.norm(points, axis=1, keepdims=True)
        write_ply(tmp_path / f"scans/c{i % 3}/é{i}.ply", points, normals, None)
    return tmp_path / "scans"


@pytest.mark.parametrize("normalize", DRAWN)
def test_a_store_of_an_earlier_version_gives_the_same_batches_bit_for_bit(normalize: str) -> None:
    clouds = load_folder(EARLIER, normalize=normalize)
    drawn = clouds.draw(np.arange(len(clouds)), 8, 5, ("xyz", "normals"))
    assert hashlib.sha256(drawn.tobytes()).hexdigest() == DRAWN[normalize]
    assert hashlib.sha256(clouds.centers.tobytes() + clouds.scales.tobytes()).hexdigest() == FRAMES[normalize]
    assert clouds.splits == ("train", "train", "train", "val", "train", "train", "val", "train")
    assert clouds.labels.tolist() == [0] * 5 + [1] * 3
    assert clouds.summary.lacking == {"colors": 6}


def test_the_content_of_a_store_does_not_depend_on_its_format(tmp_path: Path) -> None:
    old = load_folder(EARLIER, normalize="box")
    assert old.summary.sha256 == CONTENT
    assert store.verified(EARLIER) == []
    for i, id in enumerate(old.ids):
        rows = slice(int(old.store.shapes["start"][i]), int(old.store.shapes["start"][i] + old.counts[i]))
        (tmp_path / "again" / id).parent.mkdir(parents=True, exist_ok=True)
        write_ply(tmp_path / "again" / id, old.stored(i) + old.origins[i], old.store.shards[0]["normals"][rows], None)
    again = import_data(tmp_path / "again", tmp_path / "store", points=8)
    assert again.ids == old.ids
    assert again.summary.sha256 == CONTENT


def test_a_damaged_store_of_an_earlier_version_is_refused(tmp_path: Path) -> None:
    shutil.copytree(EARLIER, tmp_path / "store")
    index = json.loads((tmp_path / "store/index.json").read_text())
    for name, damaged in (
        ("counts", [*index["counts"][:-1], 8]),
        ("labels", index["labels"][:-1]),
        ("splits", ["dev", *index["splits"][1:]]),
    ):
        (tmp_path / "store/index.json").write_text(json.dumps({**index, name: damaged}))
        with pytest.raises(DataError, match="damaged store"):
            load_folder(tmp_path / "store")
    (tmp_path / "store/index.json").write_text(json.dumps(index))
    os.truncate(tmp_path / "store/normals.npy", 700)
    with pytest.raises(DataError, match=r"normals\.npy has 700 bytes"):
        load_folder(tmp_path / "store")


def test_many_shards_hold_what_one_holds(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = import_data(source, tmp_path / "one")
    monkeypatch.setattr(store_writing, "SHARD", 70)
    many = import_data(source, tmp_path / "many")
    assert (one.store.index.shards, many.store.index.shards) == ([360], [60] * 6)
    assert one.summary.sha256 == many.summary.sha256 != ""
    for name in ("box", "none"):
        first, second = (load_folder(tmp_path / each, normalize=name) for each in ("one", "many"))
        ids = np.arange(12)
        for channels in (("xyz",), ("xyz", "normals")):
            np.testing.assert_array_equal(first.draw(ids, 20, 1, channels), second.draw(ids, 20, 1, channels))
        assert (first.ids, first.splits, first.labels.tolist()) == (second.ids, second.splits, second.labels.tolist())
    assert store.verified(tmp_path / "many") == []
    (tmp_path / "many/points-00003.npy").write_bytes((tmp_path / "many/points-00004.npy").read_bytes())
    assert store.verified(tmp_path / "many") == ["points-00003.npy"]


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda path: os.truncate(path, 500), r"points-00002\.npy has 500 bytes, too few for the 60 rows"),
    "empty": (lambda path: os.truncate(path, 0), r"points-00002\.npy has 0 bytes"),
    "gone": (lambda path: path.unlink(), r"points-00002\.npy is missing"),
    "longer": (lambda path: path.write_bytes(path.read_bytes() + b"more"), r"points-00002\.npy has 852 bytes"),
    "other numbers": (lambda path: np.save(path, np.zeros((60, 3))), r"points-00002\.npy"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_shard_is_refused_by_name(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(store_writing, "SHARD", 70)
    import_data(source, tmp_path / "store")
    damage, message = DAMAGE[kind]
    damage(tmp_path / "store/points-00002.npy")
    with pytest.raises(DataError, match=f"damaged store: {message}"):
        load_folder(tmp_path / "store")


def test_a_shape_larger_than_a_shard_has_one_to_itself(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_writing, "SHARD", 20)
    assert import_data(source, tmp_path / "store").store.index.shards == [30] * 12


def test_a_channel_that_a_late_shape_lacks_is_left_out_of_every_shard(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_ply(source / "c2/é99.ply", np.random.default_rng(0).random((30, 3)), None, None)
    monkeypatch.setattr(store_writing, "SHARD", 70)
    clouds = import_data(source, tmp_path / "store")
    assert (clouds.channels, clouds.summary.lacking) == (("xyz",), {"colors": 13, "normals": 1})
    assert not list((tmp_path / "store").glob("normals*"))
    assert store.verified(tmp_path / "store") == []


@given(names=st.lists(st.text(st.characters(codec="utf-8"))), data=st.data())
def test_packed_names_are_a_sequence_of_the_same_strings(names: list[str], data: st.DataObject) -> None:
    packed = Names.of(names)
    assert packed == names and list(packed) == names and len(packed) == len(names)
    assert packed[1:] == names[1:]
    rows = data.draw(st.lists(st.integers(0, len(names) - 1))) if names else []
    assert packed.take(np.array(rows, np.int64)) == [names[row] for row in rows]
    assert packed.take(np.array(rows, np.int64))[::-1] == [names[row] for row in rows][::-1]
    for place in (len(names), -len(names) - 1):
        with pytest.raises(IndexError):
            packed[place]


def test_names_that_are_not_utf8_are_kept() -> None:
    name = os.fsdecode(b"caf\xe9.ply")
    assert Names.of(["a", name, "b"])[1] == name


def test_many_packed_names_take_no_memory() -> None:
    tracemalloc.start()
    packed = Names.of(f"class{i % 10}/shape{i:06d}.ply" for i in range(50_000))
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 1 << 18
    assert packed[0] == "class0/shape000000.ply" and packed[-1] == "class9/shape049999.ply"


def test_a_part_of_many_shapes_is_sent_to_another_process_without_the_others() -> None:
    shapes = Shapes(Shape(f"{i}.ply", "chair", None, (9, i, 33188), f"{i}.ply") for i in range(20_000))
    part = shapes[7000:7003]
    assert list(part) == [shapes[i] for i in range(7000, 7003)]
    assert len(ForkingPickler.dumps(part)) < 1000


def test_the_first_of_equal_files_is_remembered() -> None:
    first = FirstSeen()
    assert [first.setdefault(digest, name) for digest, name in ((b"1", "a"), (b"2", "b"), (b"1", "c"))] == [
        "a",
        "b",
        "a",
    ]
    first.close()


def test_one_of_several_formats_is_chosen_and_the_order_is_that_of_the_names() -> None:
    skipped: list[tuple[str, str]] = []
    names = ["b/1.ply", "a/1.stl", "a/1.obj", "a/1.off", "a-b/1.obj"]
    chosen, others = one_format(Names.of(names), skipped)
    assert (chosen.tolist(), others) == ([True, False, True, False, True], {2: (3, 1)})
    assert skipped == [("a/1.off", "the same shape as a/1.obj"), ("a/1.stl", "the same shape as a/1.obj")]
    assert in_order(Names.of(names), np.flatnonzero(chosen)).tolist() == [4, 2, 0]
