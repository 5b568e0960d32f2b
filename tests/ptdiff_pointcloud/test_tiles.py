"""`ptdiff_pointcloud.metrics.tiles`: distances by workers have the minima, the scores and the bits of one process."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ptdiff_datasets.shapes import CLASSES, dense_clouds
from ptdiff_pointcloud.metrics import matrix, tiles
from ptdiff_pointcloud.metrics.distances import DISTANCES, all_distances
from ptdiff_pointcloud.metrics.protocols import PROTOCOLS, Protocol, compare
from ptdiff_pointcloud.metrics.tiles import Wanted, compute_matrices


def shapes(count: int, points: int, first: int) -> Tensor:
    turn = np.arange(count)
    return torch.from_numpy(dense_clouds(turn % len(CLASSES), first + turn // len(CLASSES), points))


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


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of few clouds, which are pruned after few pairs."""
    monkeypatch.setattr(matrix, "BLOCK", 2)
    monkeypatch.setattr(tiles, "SIDE", 4)
    monkeypatch.setattr(tiles, "PRUNED_SIDE", 5)


@pytest.mark.parametrize("nearest", [False, True])
@pytest.mark.parametrize(
    ("kind", "points"), [("cd", 24), ("cd", 400), ("emd_exact", 24), ("dcd", 24), ("emd_sinkhorn", 24)]
)
def test_tiles_make_the_matrix_of_one_process(kind: str, nearest: bool, points: int, tmp_path: Path) -> None:
    sets = [shapes(11, points, 0), shapes(9, points, 500)]
    wanted = [Wanted(kind, 0), Wanted(kind, 0, 1)]
    seen: list[tuple[int, int]] = []
    compute_matrices(sets, wanted, Turned(), nearest=nearest, cache=tmp_path, progress=lambda *at: seen.append(at))
    assert seen[-1] == (11 * 10 // (1 + DISTANCES[kind].symmetric) + 99,) * 2
    assert len(list(tmp_path.iterdir())) == 2  # the matrices, and no tiles
    for other in (None, sets[1]):
        plain = all_distances(kind, sets[0], other, nearest=nearest)
        found = all_distances(kind, sets[0], other, nearest=nearest, cache=tmp_path)
        if other is None:
            plain, found = (m.fill_diagonal_(torch.inf) for m in (plain, found))
        for axis in (0, 1):
            assert torch.equal(plain.argmin(axis), found.argmin(axis))
            if kind == "emd_sinkhorn":
                torch.testing.assert_close(plain.amin(axis), found.amin(axis), rtol=1e-9, atol=0)
            else:
                assert torch.equal(plain.amin(axis), found.amin(axis))
        if nearest and kind in ("cd", "emd_exact"):
            assert found.isinf().sum() > len(found)  # more than the diagonal was pruned
        both = plain.isfinite() & found.isfinite()
        torch.testing.assert_close(plain[both], found[both], rtol=1e-9, atol=0)


@pytest.mark.parametrize("protocol", ["full-set", "grouped", "tiny-emd"])
def test_the_scores_are_those_of_one_process(protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Protocol("exact EMD of few points", ("emd_exact", "cd"), 16)
    monkeypatch.setitem(PROTOCOLS, "tiny-emd", tiny)
    sets = [shapes(17, 32, first) for first in (0, 500, 1000)]
    plain = compare(*sets, protocol=protocol)
    cache = tmp_path / "distances"
    found = compare(*sets, protocol=protocol, cache=cache, engine=Turned())
    assert found == plain
    # what workers left is what one process finds, and the other way round
    again = Turned()
    assert compare(*sets, protocol=protocol, cache=cache, engine=again) == plain
    assert again.asked == 0
    assert compare(*sets, protocol=protocol, cache=cache) == plain
    compare(*sets, protocol=protocol, cache=tmp_path / "by one")
    compare(*sets, protocol=protocol, cache=tmp_path / "by one", engine=again)
    assert again.asked == 0


def test_an_interrupted_comparison_continues_and_damaged_tiles_are_computed_again(tmp_path: Path) -> None:
    sets = [shapes(13, 24, first) for first in (0, 500, 1000)]
    whole = Turned()
    plain = compare(*sets, cache=tmp_path / "whole", engine=whole)
    with pytest.raises(KeyboardInterrupt):
        compare(*sets, cache=tmp_path / "cache", engine=Turned(after=7))
    stored = sorted((tmp_path / "cache").glob("*.tiles/*.distances"))
    assert len(stored) == 7
    stored[0].write_bytes(stored[0].read_bytes()[:-9])
    again = Turned()
    assert compare(*sets, cache=tmp_path / "cache", engine=again) == plain
    assert again.asked == whole.asked - 7 + 1
    names = {path.name for path in (tmp_path / "whole").iterdir()}
    assert names == {path.name for path in (tmp_path / "cache").iterdir()}


def test_the_tiles_are_the_same_for_any_order_of_the_work(tmp_path: Path) -> None:
    sets = [shapes(13, 24, 0), shapes(11, 24, 500)]

    class Forward(Turned):
        def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
            return map(function, items)

    for folder, engine in (("a", Turned()), ("b", Forward())):
        for kind in ("cd", "emd_pointflow"):
            compute_matrices(sets, [Wanted(kind, 0), Wanted(kind, 0, 1)], engine, nearest=True, cache=tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert (tmp_path / "b" / path.name).read_bytes() == path.read_bytes()


def test_workers_without_a_folder_are_refused() -> None:
    with pytest.raises(ValueError, match="give a cache"):
        compare(shapes(3, 16, 0), shapes(3, 16, 500), engine=Turned())
