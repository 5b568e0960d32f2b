"""The parts of a store: names and types of its files, and an open store; see ``store``."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.names import Names
from ptdiff_datasets.clouds.splits import SPLITS

FORMAT, VERSION = "ptdiff-clouds", 2
INDEX, SUMS = "index.json", "SHA256SUMS"
CHANNELS: Mapping[str, str] = {"points": "<f4", "normals": "<f4", "colors": "|u1"}
SHAPE = np.dtype(
    [
        ("shard", "<i4"),  # where its points are,
        ("label", "<i4"),  # its class by number, -1 for none
        ("start", "<i8"),  # the first of its points in the shard,
        ("count", "<i8"),  # and their number
        ("name", "<i8"),  # the end of its name in names.npy
        ("box", "<f8", (2, 3)),  # lowest and highest corner, in units of the file
        ("mean", "<f8", (3,)),  # of its points, in units of the file
        ("deviation", "<f8"),  # of all coordinates of its points
        ("origin", "<f8", (3,)),  # subtracted from its points
    ]
)
TABLES: Mapping[str, np.dtype[Any]] = {"shapes": SHAPE, "names": np.dtype("u1"), "splits": np.dtype("u1")}
BLOCK = 1 << 12  # shapes looked at together

Arrays = dict[str, npt.NDArray[Any]]


@dataclass
class Index:
    """Facts about a whole store.

    classes: names of the classes by number. shards: the number of points in each shard.
    channels: those that every shape has. lacking: how many shapes lack a channel. skipped: (path, reason) of shapes
    that could not be read. remarks: (id, text) of what was left out of shapes that were read. content: SHA-256 of
    the shapes, their names, classes and splits, wherever they lie; "" if it is not known.
    """

    channels: list[str] = field(default_factory=list)
    shards: list[int] = field(default_factory=list)
    classes: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    lacking: dict[str, int] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    content: str = ""


@dataclass(frozen=True, eq=False)
class Store:
    """An open store of m shapes.

    shards: the arrays of each shard by channel. shapes: (m,) ``SHAPE``. names: of the shapes. splits: (m,) uint8, see
    ``SPLITS``; empty while the store is written.
    """

    shards: Sequence[Arrays]
    shapes: npt.NDArray[Any]
    names: Names
    splits: npt.NDArray[np.uint8]
    index: Index

    def cloud(self, i: int) -> npt.NDArray[np.float32]:
        """Return the points of shape i as stored, (k_i, 3): a view."""
        shape = self.shapes[i]
        points: npt.NDArray[np.float32] = self.shards[shape["shard"]]["points"]
        return points[shape["start"] : shape["start"] + shape["count"]]

    def blocks(self) -> Iterator[npt.NDArray[Any]]:
        """Yield the records of the shapes, some thousand at a time."""
        for first in range(0, len(self.shapes), BLOCK):
            yield self.shapes[first : first + BLOCK]

    def labels(self) -> list[str]:
        """Return the class of every shape, "" for none."""
        names = [*self.index.classes, ""]
        return [names[label] for shapes in self.blocks() for label in shapes["label"].tolist()]


class DamagedError(Exception):
    """A store that differs from what was written."""


def name_of(channel: str, shard: int) -> str:
    """Return the file name of a shard."""
    return f"{channel}-{shard:05d}.npy"


def mapped(path: Path, dtype: npt.DTypeLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Map an array; DamagedError, with the name of the file, if it is not the one that the index describes."""
    length = path.stat().st_size
    short = f"{path.name} has {length:,} bytes, too few for the {shape[0]:,} rows in the index"
    if length < int(np.prod(shape)) * np.dtype(dtype).itemsize:
        raise DamagedError(short)
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise DamagedError(short if "greater than file size" in str(error) else f"{path.name}: {error}") from None
    if array.shape != shape or array.dtype != np.dtype(dtype) or length != array.offset + array.nbytes:
        raise DamagedError(f"{path.name} has {length:,} bytes of shape {array.shape}, not {shape}")
    plain: npt.NDArray[Any] = array.view(np.ndarray)
    return plain


def content(store: Store, sums: Iterable[str]) -> str:
    """Hash what a network sees of a store: its shapes, and ``sums``, the lines of checksums of each channel."""

    def values(field: str) -> Iterator[Any]:
        return (value for shapes in store.blocks() for value in shapes[field].tolist())

    splits = (SPLITS[split] for split in store.splits)
    columns = (values("count"), store.names, store.labels(), splits, values("origin"), sorted(sums))
    # as json.dumps would write the columns in one list, which are never in memory together
    digest = hashlib.sha256(b"[")
    for i, column in enumerate(columns):
        digest.update(b", [" if i else b"[")
        rows, first = iter(column), True
        while block := list(islice(rows, BLOCK)):
            digest.update(b"" if first else b", ")
            digest.update(json.dumps(block)[1:-1].encode())
            first = False
        digest.update(b"]")
    digest.update(b"]")
    return digest.hexdigest()


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
