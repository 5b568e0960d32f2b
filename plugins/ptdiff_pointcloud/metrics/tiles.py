"""Distance matrices by several workers: each computes tiles, blocks of rows and columns, and writes them to files.

The tiles depend on the number of clouds and the distance, never on the number of workers, and each is computed by one
thread. So the matrices are the same bits for any number of workers. A tile is a small stored matrix (``matrix_store``)
between two blocks of clouds: tiles that are there already are not computed again, and unfinished ones are continued.

A tile prunes its pairs by its own minima alone, so tiles compute more pairs than one process does; the minima of rows
and columns, and their positions, are those of the full matrix either way.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy.typing as npt
import torch
from torch import Tensor

from ptdiff.documents.atomic import clear
from ptdiff.errors import DataError
from ptdiff.machine import host
from ptdiff.machine.engines import Engine
from ptdiff.machine.timing import threads
from ptdiff.modality import Progress
from ptdiff_pointcloud.metrics.distances import DISTANCES, all_distances, stored_distances
from ptdiff_pointcloud.metrics.matrix import is_finished

SIDE, PRUNED_SIDE = 64, 256
"""Maximum number of clouds in a block; the second for distances with a bound, which prunes large tiles better."""


class Wanted(NamedTuple):
    """A matrix: the distance ``kind`` between the sets with the numbers ``x`` and ``y``, or among ``x``."""

    kind: str
    x: int
    y: int | None = None


class Tile(NamedTuple):
    """The rows and columns of a matrix that are computed together, and the folder for them."""

    of: Wanted
    rows: range
    columns: range
    folder: Path

    @property
    def among(self) -> bool:
        """True for a tile on the diagonal of the distances among one set."""
        return self.of.y is None and self.rows == self.columns

    @property
    def pairs(self) -> int:
        """The number of distances that are computed, or pruned."""
        k, l = len(self.rows), len(self.columns)  # noqa: E741
        return (k * (k - 1) // (1 + DISTANCES[self.of.kind].symmetric)) if self.among else k * l


@dataclass(frozen=True)
class _Worker:
    """Computes tiles; sent to each worker once, with all clouds."""

    sets: tuple[npt.NDArray[Any], ...]
    nearest: bool
    device: str

    def __call__(self, tile: Tile) -> Tile:
        x, y = self.clouds(tile)
        if DISTANCES[tile.of.kind].card:
            x = x.to(host.device(self.device))
        with threads(1):
            all_distances(tile.of.kind, x, y, nearest=self.nearest, cache=tile.folder)
        return tile

    def clouds(self, tile: Tile) -> tuple[Tensor, Tensor | None]:
        """The clouds of the rows and of the columns; None for the columns if they are the same."""
        x, y = self.sets[tile.of.x], self.sets[tile.of.x if tile.of.y is None else tile.of.y]
        rows = torch.tensor(x[tile.rows.start : tile.rows.stop])
        return rows, None if tile.among else torch.tensor(y[tile.columns.start : tile.columns.stop])

    def read(self, tile: Tile) -> Tensor | None:
        """The stored tile; None unless it is finished. A damaged file is deleted."""
        x, y = self.clouds(tile)
        kept = stored_distances(tile.of.kind, x, y, nearest=self.nearest, cache=tile.folder)
        try:
            found = kept.read((len(tile.rows), len(tile.columns)))
        except ValueError:
            kept.path.unlink()
            return None
        symmetric = DISTANCES[tile.of.kind].symmetric
        return found if found is not None and is_finished(found, among=tile.among, symmetric=symmetric) else None


def compute_matrices(
    sets: Sequence[Tensor],
    wanted: Sequence[Wanted],
    engine: Engine,
    *,
    nearest: bool,
    cache: Path,
    device: str = "auto",
    progress: Progress | None = None,
) -> None:
    """Compute distance matrices with an engine and leave them in ``cache``, where ``all_distances`` finds them.

    sets: clouds (k, n, 3) on the CPU; for ``nearest`` see ``all_distances``. device: name of the device, on each
    worker, of distances with ``card``. progress(done, total) counts pairs, those that are known already included.
    """
    worker = _Worker(tuple(clouds.cpu().numpy() for clouds in sets), nearest, device)
    whole = {
        each: stored_distances(
            each.kind, sets[each.x], None if each.y is None else sets[each.y], nearest=nearest, cache=cache
        )
        for each in wanted
    }
    tiles: dict[Wanted, list[Tile]] = {}
    for each, kept in whole.items():
        shape = (len(sets[each.x]), len(sets[each.x if each.y is None else each.y]))
        found = kept.read(shape)
        if found is None or not is_finished(found, among=each.y is None, symmetric=DISTANCES[each.kind].symmetric):
            tiles[each] = _tiles(each, shape, nearest, kept.path.with_suffix(".tiles"))
    every = [tile for part in tiles.values() for tile in part]
    missing = [tile for tile in every if worker.read(tile) is None]
    total = sum(tile.pairs for tile in every)
    done = total - sum(tile.pairs for tile in missing)
    for tile in engine.map(worker, missing):
        done += tile.pairs
        if progress is not None:
            progress(done, total)
    for each, part in tiles.items():
        full = torch.full((part[-1].rows.stop, part[-1].columns.stop), torch.nan, dtype=torch.float64)
        for tile in part:
            values = worker.read(tile)
            if values is None:
                raise DataError(f"{tile.folder}: a tile was written and cannot be read back")
            full[tile.rows.start : tile.rows.stop, tile.columns.start : tile.columns.stop] = values
        whole[each].write(full)
        _remove(part[0].folder)


def _tiles(wanted: Wanted, shape: tuple[int, int], nearest: bool, folder: Path) -> list[Tile]:
    """Cut a matrix; of a symmetric one only the upper triangle, as in ``matrix``. The last tile is the last corner."""
    distance = DISTANCES[wanted.kind]
    side = PRUNED_SIDE if nearest and distance.bound is not None else SIDE
    rows, columns = (_blocks(count, side) for count in shape)
    half = wanted.y is None and distance.symmetric
    return [Tile(wanted, r, c, folder) for r in rows for c in columns if not half or r.start <= c.start]


def _blocks(count: int, side: int) -> list[range]:
    """Cut ``count`` clouds into blocks of nearly equal size.

    >>> _blocks(5, 2)
    [range(0, 1), range(1, 3), range(3, 5)]
    """
    parts = -(-count // side)
    return [range(count * i // parts, count * (i + 1) // parts) for i in range(parts)]


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        return
    for path in folder.glob("*.distances"):
        path.unlink()
    # what killed workers left
    clear(folder)
    with suppress(OSError):
        folder.rmdir()
