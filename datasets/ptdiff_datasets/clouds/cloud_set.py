"""``CloudSet``: labeled dense point clouds of any size, memory-mapped, and batches resampled from them.

A network sees n of the k_i points of cloud i, drawn again for every batch. The store holds the values of the files; the
frame (center, scale) is applied to the points drawn. A set needs 8 bytes of memory for each of its clouds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.address import address
from ptdiff_datasets.clouds.names import Names
from ptdiff_datasets.clouds.splits import SPLITS
from ptdiff_datasets.clouds.store_format import BLOCK, CHANNELS, Store
from ptdiff_datasets.clouds.summary import Summary

Floats = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
WIDTH = {"xyz": 3, "normals": 3, "colors": 3}
"""Channels, and the number of values each has per point."""


@dataclass(frozen=True, eq=False)
class CloudSet:
    """A set of m point clouds; the coordinates in the file were ``cloud(i) * scales[i] + centers[i]``.

    store: the shapes, of which ``rows`` (m,) int64 are in this set. classes: their names. numbers: the place in
    ``classes`` of each class of the store, and last -1, for shapes without a class. normalize: a key of
    ``summary.NORMALIZED``. origin: (3,) float64, the center of all clouds if they keep their places far from zero,
    else 0.

    ids, splits, labels, counts, origins, centers and scales, with an entry for each cloud, are read from the store when
    they are asked for.
    """

    store: Store
    rows: Ints
    classes: tuple[str, ...]
    numbers: Ints
    normalize: str
    summary: Summary
    origin: Vectors = field(default_factory=lambda: np.zeros(3))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that all clouds have: xyz, and maybe normals and colors."""
        return ("xyz", *(name for name in CHANNELS if name != "points" and name in self.store.index.channels))

    @property
    def ids(self) -> Names:
        """Unique names of the clouds, (m,)."""
        return self.store.names.take(self.rows)

    @property
    def splits(self) -> tuple[str, ...]:
        """The split of each cloud, train, val or test."""
        return tuple(SPLITS[split] for split in self.store.splits[self.rows].tolist())

    @property
    def labels(self) -> Ints:
        """Classes of the clouds, (m,) int64 into ``classes``; -1 for none."""
        return self.labels_of(np.arange(len(self)))

    @property
    def counts(self) -> Ints:
        """Number of points of each cloud, (m,) int64."""
        found: Ints = self.store.shapes["count"][self.rows]
        return found

    @property
    def origins(self) -> Vectors:
        """Vectors (m, 3) float64 that were subtracted from the points; zero except for shapes far from the origin."""
        found: Vectors = self.store.shapes["origin"][self.rows]
        return found

    @property
    def centers(self) -> Vectors:
        """Centers that the normalization subtracts, (m, 3) float64."""
        return self._frames(self.store.shapes[self.rows])[0]

    @property
    def scales(self) -> Vectors:
        """Scales that the normalization divides by, (m,) float64."""
        return self._frames(self.store.shapes[self.rows])[1]

    def labels_of(self, ids: Ints) -> Ints:
        """Return the classes of the clouds ``ids`` (b,)."""
        found: Ints = self.numbers[self.store.shapes["label"][self.rows[ids]]]
        return found

    def _shape(self, i: int) -> npt.NDArray[Any]:
        """The record of cloud i, (1,)."""
        if not 0 <= i < len(self):
            raise IndexError(f"cloud {i} of {len(self)}")
        found: npt.NDArray[Any] = self.store.shapes[self.rows[i : i + 1]]
        return found

    def stored(self, i: int) -> Floats:
        """Return all points of cloud i as stored, (k_i, 3): a view. IndexError if there is no cloud i."""
        self._shape(i)
        return self.store.cloud(int(self.rows[i]))

    def cloud(self, i: int) -> Floats:
        """Return all points of cloud i, (k_i, 3), centered and scaled. IndexError if there is no cloud i."""
        shape = self._shape(i)
        centers, scales = self._frames(shape)
        return _framed(self.stored(i), centers[0] - shape["origin"][0], float(scales[0]))

    def _frames(self, shapes: npt.NDArray[Any]) -> tuple[Vectors, Vectors]:
        centers, scales = frames(shapes, self.normalize)
        return centers + self.origin, scales

    def split(self, name: str) -> "CloudSet":
        """Return the shapes of one split, possibly none; ValueError for an unknown name."""
        if name not in SPLITS:
            raise ValueError(f"unknown split {name!r}: choose train, val or test")
        return replace(self, rows=self.rows[self.store.splits[self.rows] == SPLITS.index(name)])

    def subset(self, rows: Sequence[int]) -> "CloudSet":
        """Select shapes by index; they share the points of this set (no copy)."""
        return replace(self, rows=self.rows[np.array(rows, np.int64)])

    def of_classes(self, names: Sequence[str]) -> "CloudSet":
        """Select the shapes of these classes, which become the classes of the result, in the order they have here."""
        kept = tuple(name for name in self.classes if name in names)
        renumbered = np.array([*(kept.index(name) if name in names else -1 for name in self.classes), -1], np.int64)
        numbers = renumbered[self.numbers]
        parts = np.array_split(np.arange(len(self)), max(1, len(self) // BLOCK))
        chosen = np.concatenate([numbers[self.store.shapes["label"][self.rows[part]]] >= 0 for part in parts])
        return replace(self, rows=self.rows[chosen], classes=kept, numbers=numbers)

    def draw(
        self, ids: npt.NDArray[np.int64], n: int, seed: int, channels: Sequence[str] = ("xyz",)
    ) -> npt.NDArray[np.float32]:
        """Draw n points from each of the clouds ``ids`` (b,): (b, n, c), each of the k_i points before any repeats.

        channels: some of xyz (centered and scaled), normals (of length 1) and colors (-1 to 1), in this order; c is
        three per channel. If k_i < n, every point occurs floor(n / k_i) or ceil(n / k_i) times. ``ids`` index this set,
        0 to len - 1. A row is a function of (seed, name of the shape, n) alone: it does not depend on the rest of the
        batch or on the split. Seeds are taken modulo 2**64. ValueError for a channel that the clouds lack.
        """
        for name in channels:
            if name not in self.channels:
                raise ValueError(f"these clouds have no {name}")
        if (outside := ids[(ids < 0) | (ids >= len(self))]).size:
            raise IndexError(f"cloud {outside[0]} of {len(self)}")
        out = np.empty((len(ids), n, sum(WIDTH[name] for name in channels)), np.float32)
        shapes, names = self.store.shapes[self.rows[ids]], self.ids
        centers, scales = self._frames(shapes)
        shifts = centers - shapes["origin"]
        for row, i, shape, shift, scale in zip(out, ids.tolist(), shapes, shifts, scales.tolist(), strict=True):
            start, k = int(shape["start"]), int(shape["count"])
            # Philox is counter-based: its key is the address, and there is no state to prepare.
            key = np.array([seed % 2**64, address("draw", names[i])], np.uint64)
            random = np.random.Generator(np.random.Philox(key=key))
            drawn = [random.choice(k, min(k, n - first), replace=False) for first in range(0, n, k)]
            pick = start + (drawn[0] if len(drawn) == 1 else np.concatenate(drawn))
            arrays = self.store.shards[shape["shard"]]
            for at, name in enumerate(channels):
                part = arrays["points" if name == "xyz" else name][pick]
                if name == "xyz":
                    part = _framed(part, shift, scale)
                elif name == "colors":
                    part = part.astype(np.float32) / np.float32(127.5) - np.float32(1)
                row[:, 3 * at : 3 * at + 3] = part
        return out


def frames(shapes: npt.NDArray[Any], normalize: str) -> tuple[Vectors, Vectors]:
    """Return the centers (m, 3) that a normalization subtracts from ``shapes`` and the scales (m,) it divides by."""
    if normalize == "box":
        return shapes["box"].mean(axis=1), diagonals(shapes)
    if normalize == "per-shape":
        return shapes["mean"].copy(), shapes["deviation"].copy()
    return np.zeros((len(shapes), 3)), np.ones(len(shapes))


def diagonals(shapes: npt.NDArray[Any]) -> Vectors:
    """Return the diagonals (m,) of the bounding boxes of ``shapes``."""
    found: Vectors = np.linalg.norm(shapes["box"][:, 1] - shapes["box"][:, 0], axis=1)
    return found


def _framed(points: Floats, shift: Vectors, scale: float) -> Floats:
    if scale == 1 and not shift.any():
        return points
    framed: Floats = ((points - shift) / scale).astype(np.float32)
    return framed
