"""`ptdiff_datasets.cache`: read once, told from a changed folder, whole or rebuilt."""

import json
import multiprocessing
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.cache import default_cache
from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.folder import load_folder
from ptdiff_datasets.errors import DataError

Box = Callable[..., bytes]


@pytest.fixture
def root(tmp_path: Path, box: Box) -> Path:
    folder = tmp_path / "meshes"
    for i in range(4):
        (folder / "box").mkdir(parents=True, exist_ok=True)
        (folder / "box" / f"{i}.stl").write_bytes(box("stl", (1, 1, 1 + i)))
    return folder


@pytest.fixture
def load(root: Path, tmp_path: Path) -> Callable[..., CloudSet]:
    def loaded(**options: object) -> CloudSet:
        return load_folder(root, **{"points": 64, "cache": tmp_path / "cache", **options})  # type: ignore[arg-type]

    return loaded


Load = Callable[..., CloudSet]


def entries(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache").glob("clouds/*"))


def test_the_second_time_nothing_is_read_and_everything_is_equal(load: Load, tmp_path: Path) -> None:
    first = load()
    second = load(progress=lambda done, total: pytest.fail("a file was read"))
    assert (first.summary.cached, second.summary.cached) == (False, True)
    for name in ("points", "normals"):
        np.testing.assert_array_equal(first.store.shards[0][name], second.store.shards[0][name])
    for name in ("counts", "labels", "centers", "scales"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    assert (first.ids, first.splits, first.classes) == (second.ids, second.splits, second.classes)
    ignored = {"seconds", "cached"}
    one, two = ({k: v for k, v in s.summary.as_dict().items() if k not in ignored} for s in (first, second))
    assert one == two
    assert sorted(p.name for p in entries(tmp_path)[0].iterdir()) == [
        "SHA256SUMS",
        "index.json",
        "names.npy",
        "normals-00000.npy",
        "points-00000.npy",
        "shapes.npy",
        "splits.npy",
    ]


def test_the_points_are_mapped_read_only(load: Load) -> None:
    points = load().store.shards[0]["points"]
    assert isinstance(points.base, np.memmap)
    assert not points.flags.writeable


def test_any_change_of_files_or_options_is_noticed(load: Load, root: Path, box: Box) -> None:
    load()
    assert not load(points=65).summary.cached
    assert load(points=65, normalize="none").summary.cached  # what is stored is that of the files
    assert not load(classes=["box"], points=66).summary.cached
    target = root / "box/1.stl"
    status = target.stat()
    target.write_bytes(box("stl", (5, 5, 5)))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert not load().summary.cached
    target.rename(root / "box/9.stl")
    assert not load().summary.cached
    (root / "box/9.stl").unlink()
    assert not load().summary.cached
    assert load().summary.cached


def test_an_entry_takes_the_place_of_its_forerunner_only(load: Load, root: Path, box: Box, tmp_path: Path) -> None:
    first = load()
    load(points=65)
    load(classes=["box"])
    before = set(entries(tmp_path))
    assert len(before) == 3
    points = np.array(first.store.shards[0]["points"])
    (root / "box/8.stl").write_bytes(box("stl", (5, 5, 5)))
    load()
    after = set(entries(tmp_path))
    assert len(after) == 3
    assert len(before - after) == 1
    np.testing.assert_array_equal(first.store.shards[0]["points"], points)  # still mapped


def test_another_version_of_the_parser_reads_anew(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    monkeypatch.setattr("ptdiff_datasets.clouds.folder.version", lambda package: f"another {package}")
    assert not load().summary.cached
    assert load().summary.cached


def test_what_could_not_be_opened_is_tried_again(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_bytes(path: Path, whole: Callable[[Path], bytes] = Path.read_bytes) -> bytes:
        if path.name == "2.stl":
            raise OSError(5, "Input/output error")
        return whole(path)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_bytes)
        partly = load()
    assert partly.summary.skipped == (("box/2.stl", "Input/output error"),)
    assert (len(partly), partly.summary.cache) == (3, "")
    assert np.isfinite(partly.store.shards[0]["points"]).all()
    assert entries(tmp_path) == []
    assert len(load()) == 4
    assert load().summary.cache == str(tmp_path / "cache" / "clouds")


@pytest.mark.parametrize("fault", [MemoryError("not enough"), ImportError("no such package")])
@pytest.mark.parametrize(
    "place", ["ptdiff_datasets.clouds.reading.surface_box", "numpy.lib.format.read_array_header_1_0"]
)
def test_what_is_no_fault_of_the_files_is_not_kept(
    load: Load, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Exception, place: str
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise fault

    np.save(root / "box/cloud.npy", np.random.default_rng(0).random((9, 3)))
    monkeypatch.setattr(place, fail)
    with pytest.raises(type(fault)):
        load()
    assert entries(tmp_path) == []


def test_equal_looking_files_of_another_root_are_another_entry(load: Load, root: Path, tmp_path: Path) -> None:
    load()
    twin = tmp_path / "twin"
    (twin / "box").mkdir(parents=True)
    for path in (root / "box").iterdir():
        (twin / "box" / path.name).write_bytes(path.read_bytes())
        os.utime(twin / "box" / path.name, ns=(0, path.stat().st_mtime_ns))
    assert not load_folder(twin, points=64, cache=tmp_path / "cache").summary.cached


def truncate(entry: Path) -> None:
    os.truncate(entry / "points-00000.npy", (entry / "points-00000.npy").stat().st_size - 4)


def lengthen(entry: Path) -> None:
    with (entry / "points-00000.npy").open("ab") as file:
        file.write(b"more")


def rewritten(field: str, value: int) -> Callable[[Path], None]:
    """A store whose second shape has another value in a field of its record."""

    def damage(entry: Path) -> None:
        shapes = np.load(entry / "shapes.npy")
        shapes[field][1] += value
        whole = (entry / "shapes.npy").read_bytes()
        (entry / "shapes.npy").write_bytes(whole[: -shapes.nbytes] + shapes.tobytes())

    return damage


def lost_shape(entry: Path) -> None:
    index = json.loads((entry / "index.json").read_text())
    index["shapes"] -= 1
    (entry / "index.json").write_text(json.dumps(index))


def newer(entry: Path) -> None:
    index = json.loads((entry / "index.json").read_text())
    (entry / "index.json").write_text(json.dumps({**index, "version": 999}))


def file_in_its_place(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.touch()


DAMAGE: dict[str, Callable[[Path], object]] = {
    "points truncated": truncate,
    "points too long": lengthen,
    "points empty": lambda entry: os.truncate(entry / "points-00000.npy", 0),
    "points gone": lambda entry: (entry / "points-00000.npy").unlink(),
    "points of another type": lambda entry: np.save(entry / "points-00000.npy", np.zeros((256, 3))),
    "index gone": lambda entry: (entry / "index.json").unlink(),
    "index cut": lambda entry: os.truncate(entry / "index.json", 100),
    "index no mapping": lambda entry: (entry / "index.json").write_text("[1, 2]"),
    "index of strangers": lambda entry: (entry / "index.json").write_text('{"version": 2, "total": 256}'),
    "index of a later version": newer,
    "wrong counts": rewritten("count", 1),
    "no such shard": rewritten("shard", 1),
    "before the shard": rewritten("start", -65),
    "no such class": rewritten("label", 1),
    "names out of order": rewritten("name", -100),
    "a shape lost": lost_shape,
    "names gone": lambda entry: (entry / "names.npy").unlink(),
    "names cut": lambda entry: os.truncate(entry / "names.npy", 1030),
    "shapes cut": lambda entry: os.truncate(entry / "shapes.npy", 1500),
    "splits of another type": lambda entry: np.save(entry / "splits.npy", np.zeros(4)),
    "a file in its place": file_in_its_place,
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_entry_is_rebuilt(load: Load, tmp_path: Path, kind: str) -> None:
    whole = np.array(load().store.shards[0]["points"])
    (entry,) = entries(tmp_path)
    DAMAGE[kind](entry)
    clouds = load()
    assert not clouds.summary.cached
    assert clouds.summary.damaged
    assert "damaged cache was rebuilt" in clouds.summary.text()
    np.testing.assert_array_equal(clouds.store.shards[0]["points"], whole)
    assert load().summary.cached
    assert entries(tmp_path) == [entry]


def test_an_interrupted_reading_leaves_nothing(load: Load, tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(progress=interrupt)
    assert entries(tmp_path) == []
    assert not load().summary.cached


def _load(root: Path, cache: Path, barrier: object, results: object) -> None:
    barrier.wait()  # type: ignore[attr-defined]
    results.put(float(np.abs(load_folder(root, points=64, cache=cache).store.shards[0]["points"]).sum()))  # type: ignore[attr-defined]


def test_processes_may_read_the_same_folder_at_once(root: Path, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, results = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_load, args=(root, tmp_path / "cache", barrier, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    sums = [results.get(timeout=60) for _ in workers]
    for worker in workers:
        worker.join()
    assert len(set(sums)) == 1
    assert len(entries(tmp_path)) == 1


def test_the_place_of_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "mine"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_cache() == tmp_path / "mine"
    monkeypatch.delenv("PTDIFF_CACHE")
    assert default_cache() == tmp_path / "xdg" / "ptdiff"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_cache() == tmp_path / ".cache" / "ptdiff"


def test_a_cache_that_cannot_be_written_is_named(load: Load, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="set PTDIFF_CACHE"):
        load(cache=tmp_path / "file")


def test_a_full_disk_is_a_data_error_and_leaves_nothing(load: Load, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="this system has no limit on the size of files")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(DataError, match=r"too large.*set PTDIFF_CACHE"):
            load()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert entries(tmp_path) == []
