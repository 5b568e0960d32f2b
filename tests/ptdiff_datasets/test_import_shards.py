"""`ptdiff_datasets.clouds.shards`: an import by workers has the bits, the errors and the order of a plain one."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptdiff_datasets.clouds import shards, store
from ptdiff_datasets.clouds.importing import import_data
from ptdiff_datasets.errors import DataError
from ptdiff_datasets.formats.catalog import WRITERS

Box = Callable[..., bytes]
POINTS = 50


@dataclass
class Turned:
    """An engine that does the items in this process from the last to the first, and may be interrupted."""

    after: int = 10**6
    asked: int = 0

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        self.asked = len(items)
        for number, item in enumerate(reversed(items)):
            if number == self.after:
                raise KeyboardInterrupt
            yield function(item)


@pytest.fixture
def source(tmp_path: Path, box: Box, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that an import may meet: meshes, clouds with channels, many clouds in a file, copies, twins, broken files."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(shards, "MOST", 3)
    random = np.random.default_rng(5)
    root = tmp_path / "mine"
    for name in ("box", "scan", "many"):
        (root / name).mkdir(parents=True)
    for i in range(5):
        (root / f"box/{i}.stl").write_bytes(box("stl", (1, 1, 1 + i)))
    (root / "box/copy.stl").write_bytes(box("stl", (1, 1, 3)))
    for i, suffix in enumerate((".ply", ".pcd", ".xyz", ".npz")):
        points = random.standard_normal((60 + i, 3)) * 10 + 1e6 * i
        normals = points / np.linalg.norm(points, axis=1, keepdims=True)
        WRITERS[suffix](root / f"scan/s{i}{suffix}", points, normals if i else None, np.zeros((60 + i, 3), "u1"))
    (root / "scan/broken.ply").write_text("this is no cloud")
    (root / "scan/twice.ply").write_bytes((root / "scan/s0.ply").read_bytes()[:-5])  # damaged, but readable as .npy
    np.save(root / "scan/twice.npy", random.random((70, 3)))
    np.save(root / "many/many.npy", random.random((7, 64, 3)))
    return root


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_store_made_in_shards_has_the_bits_of_a_plain_one(source: Path, tmp_path: Path) -> None:
    plain = import_data(source, tmp_path / "plain", points=POINTS)
    calls: list[tuple[int, int]] = []
    sharded = import_data(
        source, tmp_path / "sharded", points=POINTS, engine=Turned(), progress=lambda *at: calls.append(at)
    )
    assert files(tmp_path / "sharded") == files(tmp_path / "plain")
    # the errors come in the order of the files, whatever the order of the work, and in the same words
    assert [path for path, _ in store.load(tmp_path / "sharded").index.skipped] == [
        "box/copy.stl",
        "scan/broken.ply",
        "scan/twice.ply",
    ]
    assert sharded.summary.skipped == plain.summary.skipped
    done = [one for one, _ in calls]
    assert done == sorted(done) and calls[-1] == (len(plain) + 2,) * 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "plain", "sharded"]


def test_an_interrupted_import_continues_and_damaged_shards_are_read_again(source: Path, tmp_path: Path) -> None:
    import_data(source, tmp_path / "plain", points=POINTS)
    with pytest.raises(KeyboardInterrupt):
        import_data(source, tmp_path / "store", points=POINTS, engine=Turned(after=5))
    (folder,) = tmp_path.glob(".store-shards-*")
    there = sorted(folder.iterdir())
    assert len(there) == 5 and not (tmp_path / "store").exists()
    there[0].write_bytes(there[0].read_bytes()[:-40])
    flipped = bytearray(there[1].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    there[1].write_bytes(flipped)
    again = Turned()
    import_data(source, tmp_path / "store", points=POINTS, engine=again)
    assert again.asked == 7 - 5 + 2
    assert files(tmp_path / "store") == files(tmp_path / "plain")
    assert not list(tmp_path.glob(".store-shards-*"))


def test_shards_of_other_files_or_points_are_not_used(source: Path, tmp_path: Path, box: Box) -> None:
    def stopped(points: int) -> Path:
        with pytest.raises(KeyboardInterrupt):
            import_data(source, tmp_path / "store", points=points, engine=Turned(after=1))
        return max(tmp_path.glob(".store-shards-*"), key=lambda path: path.stat().st_mtime_ns)

    folders = {stopped(POINTS), stopped(POINTS + 1)}
    (source / "box/0.stl").write_bytes(box("stl", (3, 1, 1)) + b" ")
    folders.add(stopped(POINTS))
    assert len(folders) == 3
    import_data(source, tmp_path / "store", points=POINTS, engine=Turned())
    assert not list(tmp_path.glob(".store-shards-*"))


def test_a_file_that_could_not_be_opened_is_tried_again(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(path: Path, *rest: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr("ptdiff_datasets.clouds.reading.read_points", closed)
        with pytest.raises(DataError, match=r"could not be opened: .*scan/s3.npz: Permission denied"):
            import_data(source, tmp_path / "store", points=POINTS, engine=Turned())
    import_data(source, tmp_path / "store", points=POINTS, engine=Turned())
    import_data(source, tmp_path / "plain", points=POINTS)
    assert files(tmp_path / "store") == files(tmp_path / "plain")


def test_a_folder_of_broken_files_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a.ply").write_text("no cloud")
    with pytest.raises(DataError, match=r"can be read: a.ply"):
        import_data(tmp_path / "mine", tmp_path / "store", engine=Turned())
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_the_size_of_a_shard_depends_on_the_points_alone(source: Path, tmp_path: Path) -> None:
    for points, expected in ((POINTS, 7), (shards.POINTS // 2, 10), (shards.POINTS * 9, 19)):
        engine = Turned(after=0)
        with pytest.raises(KeyboardInterrupt):
            import_data(source, tmp_path / "store", points=points, engine=engine)
        assert engine.asked == expected
