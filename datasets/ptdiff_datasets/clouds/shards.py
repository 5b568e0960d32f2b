"""Shapes read by several workers: each reads ranges of them and writes what it found to a file.

The ranges depend on the number of points of a shape, never on the number of workers, and a shape depends on its file
and its id alone. So the shapes are the same bits for any number of workers. Files that are there already are not made
again: an import that was interrupted continues. A file (.npz) holds the clouds of a range one after the other, and the
errors. A file of many clouds is opened once for each of its ranges.
"""

import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from glob import escape
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.layout import Layout, Shape
from ptdiff_datasets.clouds.reading import Dense, read_shapes
from ptdiff_datasets.errors import DataError, FormatError, printable
from ptdiff_datasets.formats.arrays import AxisOrder
from ptdiff_datasets.formats.cloud import Cloud
from ptdiff_datasets.formats.numerals import Decimal
from ptdiff_datasets.writing import replacing

POINTS = 1 << 20
"""Points of the shapes in a shard, about: 12 MiB of coordinates."""

MOST = 128
"""Maximum number of shapes in a shard."""

Read = tuple[Shape, Dense | Exception]
"""A shape as it was read, or the FormatError or OSError that prevented that; see ``reading.read_shapes``."""


class Executor(Protocol):
    """Runs a function on items, somewhere, and yields the results in any order."""

    def map(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterator[Any]:
        """Apply ``function`` to all items; both are pickled to other processes."""
        ...


class ShapeShard(NamedTuple):
    """A range of shapes, and the file for what was read of them."""

    shapes: Sequence[Shape]
    target: Path


@dataclass(frozen=True)
class _Reader:
    """Reads shards; pickled to workers."""

    root: Path
    points: int
    order: AxisOrder
    decimal: Decimal | None

    def __call__(self, shard: ShapeShard) -> int:
        found: list[Read] = []
        for _, group in groupby(shard.shapes, lambda shape: shape.file):
            found += read_shapes(self.root, group, self.points, self.order, self.decimal)
        _write(shard, found)
        return len(shard.shapes)


def read_in_shards(
    layout: Layout, points: int, folder: Path, engine: Executor, progress: Callable[[int, int], None] | None = None
) -> Iterator[Read]:
    """Read all shapes of a layout with an engine, and yield them in order from the files in ``folder``.

    points: number sampled from each mesh, and the most kept of a cloud. progress(done, total) counts shapes, those of
    an earlier call included.
    """
    size, total = max(1, min(MOST, POINTS // points)), len(layout.shapes)
    starts = range(0, total, size)
    shards = [ShapeShard(layout.shapes[first : first + size], folder / f"{first:09d}.npz") for first in starts]
    missing = [shard for shard in shards if not _done(shard)]
    done = total - sum(len(shard.shapes) for shard in missing)
    folder.mkdir(parents=True, exist_ok=True)
    if progress is not None and done:
        progress(done, total)
    for count in engine.map(_Reader(layout.root.resolve(), points, layout.order, layout.decimal), missing):
        done += count
        if progress is not None:
            progress(done, total)
    return _found(shards)


def place(target: Path, asked: str) -> Path:
    """Return the folder for the shards of an import to ``target``; ``asked``: a hash of everything they depend on."""
    return target.with_name(f".{target.name}-shards-{asked[:12]}")


def remove(target: Path) -> None:
    """Delete the shards of all imports to ``target``, also of earlier states of the files."""
    for folder in target.parent.glob(f".{escape(target.name)}-shards-*"):
        if not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def _found(shards: Sequence[ShapeShard]) -> Iterator[Read]:
    for shard in shards:
        try:
            yield from _read(shard)
        except (OSError, ValueError, KeyError) as error:
            raise DataError(f"{printable(shard.target)} was written and cannot be read back: {error}") from error


def _done(shard: ShapeShard) -> bool:
    """True if the file is whole and every shape in it could at least be opened."""
    try:
        return not any(isinstance(dense, OSError) for _, dense in _read(shard))
    except (OSError, ValueError, KeyError):
        return False


def _write(shard: ShapeShard, found: Sequence[Read]) -> None:
    twins = [(shape, *shape.instead) for shape in shard.shapes]
    place = {each.id: (row, turn) for row, same in enumerate(twins) for turn, each in enumerate(same)}
    facts: list[dict[str, Any]] = []
    clouds: list[Dense] = []
    for shape, dense in found:
        fact: dict[str, Any] = {"place": place[shape.id]}
        if isinstance(dense, FormatError):
            fact |= {"file": str(dense.path), "reason": dense.reason, "offset": dense.offset}
        elif isinstance(dense, OSError):
            fact |= {"closed": dense.strerror or str(dense)}
        elif isinstance(dense, Exception):
            raise dense
        else:
            cloud = dense.cloud
            fact |= {"points": len(cloud), "count": dense.count, "remarks": cloud.remarks}
            fact |= {"normals": cloud.normals is not None, "colors": cloud.colors is not None}
            clouds.append(dense)
        facts.append(fact)
    raw = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    frames = np.array([[dense.origin, dense.low, dense.high] for dense in clouds], np.float64).reshape(-1, 3, 3)
    points = _joined([dense.cloud.points for dense in clouds], np.float32)
    normals = _joined([dense.cloud.normals for dense in clouds], np.float32)
    colors = _joined([dense.cloud.colors for dense in clouds], np.uint8)
    with replacing(shard.target) as file:
        np.savez(file, facts=raw, frames=frames, points=points, normals=normals, colors=colors)


def _joined(parts: Sequence[npt.NDArray[Any] | None], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    return np.concatenate([np.empty((0, 3), dtype), *(part.astype(dtype) for part in parts if part is not None)])


def _read(shard: ShapeShard) -> list[Read]:
    """What a shard's file holds; OSError, ValueError or KeyError if it is missing or damaged."""
    try:
        with shard.target.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            facts, frames = json.loads(file["facts"].tobytes()), iter(file["frames"])
            left = {name: file[name] for name in ("points", "normals", "colors")}
    except (EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(str(error)) from None
    out: list[Read] = []

    def next_of(name: str, count: int) -> npt.NDArray[Any]:
        part: npt.NDArray[Any] = left[name][:count]
        left[name] = left[name][count:]
        if len(part) != count:
            raise ValueError(f"fewer {name} than shapes")
        return part

    for fact in facts:
        row, turn = fact["place"]
        shape = (shard.shapes[row], *shard.shapes[row].instead)[turn]
        if "reason" in fact:
            out.append((shape, FormatError(fact["file"], fact["reason"], fact["offset"])))
        elif "closed" in fact:
            out.append((shape, OSError(fact["closed"])))
        else:
            normals, colors = (next_of(name, fact["points"]) if fact[name] else None for name in ("normals", "colors"))
            cloud = Cloud(next_of("points", fact["points"]), normals, colors, tuple(fact["remarks"]))
            origin, low, high = next(frames)
            out.append((shape, Dense(cloud, origin, low, high, fact["count"])))
    if {row for row, _ in (fact["place"] for fact in facts)} != set(range(len(shard.shapes))):
        raise ValueError("some shapes are missing")
    return out
