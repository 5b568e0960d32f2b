"""A store: shapes read once, as memory-mapped shards, an index, and checksums.

    points-00000.npy …   (k, 3) float32: the points of some shapes, one shape after the other
    normals-00000.npy …  (k, 3) float32, if every shape has normals;  colors-00000.npy …  (k, 3) uint8, likewise
    shapes.npy           (m,) ``SHAPE``: for each shape its place, class, bounding box and moments
    names.npy            uint8: the names of the shapes in UTF-8, one after the other
    splits.npy           (m,) uint8: train, val or test, by its place in ``SPLITS``
    index.json           the number of points in each shard, classes, and the source
    SHA256SUMS           of these files, as read by ``sha256sum -c``

All but the last two are mapped: an open store needs no memory that grows with the number of shapes. A store is written
beside its final path and renamed into place, so it appears atomically. Opening one compares every size with the index;
``verified`` compares the checksums. Nothing in it is a pickle. Stores of format 1 (``earlier_store``) are read too.
"""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ptdiff_datasets.clouds import earlier_store
from ptdiff_datasets.clouds.names import Names
from ptdiff_datasets.clouds.splits import SPLITS
from ptdiff_datasets.clouds.store_format import (
    CHANNELS,
    FORMAT,
    INDEX,
    SUMS,
    TABLES,
    VERSION,
    DamagedError,
    Index,
    Store,
    checksum,
    mapped,
    name_of,
)
from ptdiff_datasets.errors import printable

__all__ = ["FORMAT", "INDEX", "SUMS", "VERSION", "DamagedError", "Store", "is_store", "load", "verified"]


def is_store(folder: Path) -> bool:
    """True if a folder is a store, complete or not."""
    try:
        with (folder / INDEX).open("rb") as file:
            return FORMAT.encode() in file.read(200)
    except OSError:
        return False


def load(folder: Path) -> Store:
    """Open a store.

    FileNotFoundError if there is none; DamagedError, with the file and the reason, if it cannot be trusted.
    """
    try:
        return _checked(folder)
    except (DamagedError, MemoryError, ImportError):
        raise
    except FileNotFoundError as error:
        if folder.exists():  # but a part of it is missing
            raise DamagedError(f"{Path(error.filename or 'a file').name} is missing") from None
        raise
    except Exception as error:  # the parsers may raise anything for broken files
        raise DamagedError(f"{type(error).__name__}: {printable(error)[:60]}") from None


def _checked(folder: Path) -> Store:
    raw = json.loads((folder / INDEX).read_bytes())
    kind, version, total, count = raw.pop("format"), raw.pop("version"), raw.pop("total"), raw.pop("shapes", None)
    if kind != FORMAT or version not in (1, VERSION):
        raise DamagedError(f"{INDEX} has format {str(kind)[:20]!r}, version {version}")
    if version == 1:
        return earlier_store.opened(folder, raw, total)
    index = Index(**raw)
    if "points" not in index.channels or sum(index.shards) != total or min(index.shards) < 1:
        raise DamagedError(f"{INDEX} has {sum(index.shards)} points in its shards, but {total} in all")
    shards = [
        {channel: mapped(folder / name_of(channel, i), CHANNELS[channel], (points, 3)) for channel in index.channels}
        for i, points in enumerate(index.shards)
    ]
    shapes, splits = (mapped(folder / f"{name}.npy", TABLES[name], (count,)) for name in ("shapes", "splits"))
    store = Store(shards, shapes, Names(b"", ()), splits, index)
    text = mapped(folder / "names.npy", TABLES["names"], (_consistent(store, total),))
    return Store(shards, shapes, Names(text, shapes["name"]), splits, index)


def _consistent(store: Store, total: int) -> int:
    """Return the length of all names together; DamagedError if the records of the shapes contradict the index."""
    lengths, end, points = np.array(store.index.shards, np.int64), 0, 0
    for shapes in store.blocks():
        shard, stop, count = shapes["shard"], shapes["start"] + shapes["count"], shapes["count"]
        ends = np.concatenate([[end], shapes["name"]])
        if shard.min() < 0 or shard.max() >= len(lengths) or count.min() < 1 or shapes["start"].min() < 0:
            raise DamagedError("shapes.npy names points that are in no shard")
        if (stop > lengths[shard]).any() or shapes["label"].min() < -1:
            raise DamagedError("shapes.npy names points beyond the end of a shard")
        if shapes["label"].max() >= len(store.index.classes) or (np.diff(ends) < 0).any():
            raise DamagedError("shapes.npy names classes or names that do not exist")
        end, points = int(ends[-1]), points + int(count.sum())
    if points != total or (store.splits > len(SPLITS) - 1).any():
        raise DamagedError(f"shapes.npy has {points} points, but {total} are stored")
    return end


def verified(folder: Path, progress: Callable[[int, int], None] | None = None) -> list[str]:
    """Return the names of the files whose checksums differ; FileNotFoundError without checksums."""
    lines = [line.split("  ", 1) for line in (folder / SUMS).read_text().splitlines()]
    wrong = []
    for done, (digest, name) in enumerate(lines, 1):
        path = folder / Path(name).name
        if not path.is_file() or checksum(path) != digest:
            wrong.append(path.name)
        if progress is not None:
            progress(done, len(lines))
    listed = {name for _, name in lines}
    points = {name for name in listed if name.startswith("points")} or {name_of("points", 0)}
    return sorted({*wrong, *({INDEX, *points} - listed)})
