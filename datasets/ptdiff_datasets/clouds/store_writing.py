"""Writing of a store, shape by shape."""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.names import Names, encoded
from ptdiff_datasets.clouds.reading import Dense
from ptdiff_datasets.clouds.splits import SPLITS
from ptdiff_datasets.clouds.store_format import (
    CHANNELS,
    FORMAT,
    INDEX,
    SHAPE,
    SUMS,
    TABLES,
    VERSION,
    Arrays,
    Index,
    Store,
    checksum,
    content,
    name_of,
)

HEADER = 1024  # bytes before the numbers of a table, enough for the names of its fields
SHORT = 128  # and of a shard
SHARD = 1 << 24  # points of a shard, 200 MB: few files for large sets, and not much to repair if one is damaged


class Writing:
    """A store being written into an empty folder: ``add`` shapes, then ``finish``. A context that closes its files.

    Writes to files, not to memory maps: a full disk is an error here, but would kill the process there. Nothing is
    kept in memory for a shape.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.index = Index()
        self._files: dict[str, IO[bytes]] = {}
        self._sizes = dict.fromkeys(TABLES, 0)
        self._labels: dict[str, int] = {"": -1}
        for name in TABLES:
            self._open(f"{name}.npy", HEADER)

    def __len__(self) -> int:
        return self._sizes["shapes"]

    def __enter__(self) -> "Writing":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        for file in self._files.values():
            with suppress(OSError) if error is not None else nullcontext():
                file.close()

    def add(self, id: str, label: str, dense: Dense) -> None:
        """Append a shape; its split is set by ``finish``."""
        index, cloud = self.index, dense.cloud
        if not index.shards or index.shards[-1] + len(cloud) > SHARD:
            self._next_shard()
        exact = cloud.points.astype(np.float64)
        mean = exact.mean(axis=0)
        shape = np.zeros((), SHAPE)
        shape["shard"], shape["start"], shape["count"] = len(index.shards) - 1, index.shards[-1], len(cloud)
        shape["label"] = self._labels.setdefault(label, len(self._labels) - 1)
        shape["name"] = self._sizes["names"] + len(encoded(id))
        shape["box"], shape["origin"] = (dense.low, dense.high), dense.origin
        shape["mean"], shape["deviation"] = mean + dense.origin, np.sqrt(np.square(exact - mean).mean())
        self._append("shapes", shape[None])
        self._append("names", np.frombuffer(encoded(id), np.uint8))
        index.remarks += [(id, text) for text in cloud.remarks]
        index.shards[-1] += len(cloud)
        for channel, dtype in CHANNELS.items():
            array = getattr(cloud, channel)
            if array is None:
                index.lacking[channel] = index.lacking.get(channel, 0) + 1
            elif channel not in index.lacking:
                self._files[name_of(channel, len(index.shards) - 1)].write(np.ascontiguousarray(array, dtype).tobytes())

    def stored(self) -> Store:
        """Open the shapes added so far, at least one; they have no splits yet."""
        for file in self._files.values():
            file.flush()
        shards: list[Arrays] = [
            {"points": np.memmap(self._folder / name_of("points", i), CHANNELS["points"], "r", SHORT, (points, 3))}
            for i, points in enumerate(self.index.shards)
        ]
        shapes, text = (
            np.memmap(self._folder / f"{name}.npy", TABLES[name], "r", HEADER, (self._sizes[name],))
            for name in ("shapes", "names")
        )
        self.index.classes = list(self._labels)[1:]
        return Store(shards, shapes, Names(text, shapes["name"]), np.zeros(0, np.uint8), self.index)

    def finish(self, splits: Sequence[str]) -> None:
        """Write splits, headers, index and checksums, and flush them to disk."""
        self._append("splits", np.fromiter((SPLITS.index(split) for split in splits), np.uint8, len(splits)))
        store, index = self.stored(), self.index
        index.channels = [channel for channel in CHANNELS if channel not in index.lacking]
        for name, dtype in TABLES.items():
            self._close(f"{name}.npy", _header(dtype, (self._sizes[name],), HEADER))
        if index.shards:
            self._close_shard()
        for channel in set(CHANNELS) - set(index.channels):
            for path in self._folder.glob(f"{channel}-*.npy"):
                path.unlink()
        sums = self._sums()
        splits_table = np.memmap(self._folder / "splits.npy", np.uint8, "r", HEADER, (len(self),))
        whole = Store(store.shards, store.shapes, store.names, splits_table, index)
        index.content = content(whole, [f"{sums.pop(channel)}  {channel}.npy" for channel in index.channels])
        facts = asdict(index)
        if not index.remarks:
            del facts["remarks"]
        about = {"format": FORMAT, "version": VERSION, "total": sum(index.shards), "shapes": len(self)}
        _write(self._folder / INDEX, json.dumps({**about, **facts}))
        sums = {INDEX: checksum(self._folder / INDEX), **sums}
        _write(self._folder / SUMS, "".join(f"{digest}  {name}\n" for name, digest in sums.items()))

    def _sums(self) -> dict[str, str]:
        """Checksums of all files, and under the name of a channel that of its numbers as one .npy file."""
        sums = {f"{name}.npy": checksum(self._folder / f"{name}.npy") for name in TABLES}
        for channel in self.index.channels:
            # of the array as format 1 has it in one file, so that equal shapes have the same content in every format
            whole = hashlib.sha256(_header(CHANNELS[channel], (sum(self.index.shards), 3), SHORT))
            for i in range(len(self.index.shards)):
                name = name_of(channel, i)
                with (self._folder / name).open("rb") as file:
                    part = hashlib.sha256(file.read(SHORT))
                    while block := file.read(1 << 20):
                        part.update(block)
                        whole.update(block)
                sums[name] = part.hexdigest()
            sums[channel] = whole.hexdigest()
        return sums

    def _next_shard(self) -> None:
        if self.index.shards:
            self._close_shard()
        self.index.shards.append(0)
        for channel in CHANNELS:
            if channel not in self.index.lacking:
                self._open(name_of(channel, len(self.index.shards) - 1), SHORT)

    def _close_shard(self) -> None:
        shard = len(self.index.shards) - 1
        for channel, dtype in CHANNELS.items():
            if (name := name_of(channel, shard)) in self._files:
                self._close(name, _header(dtype, (self.index.shards[shard], 3), SHORT))

    def _open(self, name: str, header: int) -> None:
        self._files[name] = (self._folder / name).open("wb")
        self._files[name].write(bytes(header))

    def _append(self, table: str, rows: npt.NDArray[Any]) -> None:
        self._files[f"{table}.npy"].write(rows.tobytes())
        self._sizes[table] += len(rows)

    def _close(self, name: str, header: bytes) -> None:
        file = self._files.pop(name)
        file.seek(0)
        file.write(header)
        file.flush()
        os.fsync(file.fileno())
        file.close()


def _header(dtype: npt.DTypeLike, shape: tuple[int, ...], length: int) -> bytes:
    """Return the header of a ``.npy`` file, format 1.0, of ``length`` bytes."""
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype))
    text = str({"descr": descr, "fortran_order": False, "shape": shape}).encode("ascii")
    return b"\x93NUMPY\x01\x00" + (length - 10).to_bytes(2, "little") + text.ljust(length - 11) + b"\n"


def _write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
