"""``CloudSet``: labeled dense point clouds of any size in one array, and batches resampled from them.

Cloud i has k_i points, ``points[starts[i]:starts[i] + counts[i]]``. A network sees n of them, drawn again for every
batch. The arrays hold the values of the files; the frame (center, scale) is applied to the points drawn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.address import address
from ptdiff_datasets.clouds.splits import SPLITS
from ptdiff_datasets.clouds.summary import Summary

Floats = npt.NDArray[np.float32]
WIDTH = {"xyz": 3, "normals": 3, "colors": 3}
"""Channels, and the number of values each has per point."""


@dataclass(frozen=True, eq=False)
class CloudSet:
    """A set of m point clouds; the coordinates in the file were ``cloud(i) * scales[i] + centers[i]``.

    points: (total, 3) float32, memory-mapped if it comes from a store, minus ``origins`` (m, 3), which are zero except
    for shapes far from the origin. starts, counts: (m,) int64. labels: (m,) int64 into ``classes``, all -1 if there are
    no classes. ids: unique names of the shapes. splits: "train", "val" or "test" for each. centers: (m, 3) and scales:
    (m,) float64. origin: (3,) float64, the center of all clouds if they keep their places far from zero, else 0.
    normals: (total, 3) float32 and colors: (total, 3) uint8, or None.
    """

    points: Floats
    starts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    origins: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    centers: npt.NDArray[np.float64]
    scales: npt.NDArray[np.float64]
    summary: Summary
    normals: Floats | None = None
    colors: npt.NDArray[np.uint8] | None = None
    origin: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def keys(self) -> npt.NDArray[np.uint64]:
        """(m,) keys of the shapes' random streams; they depend on the ids alone, thus are the same in every subset."""
        return np.array([address("draw", name) for name in self.ids], np.uint64)

    def _rows(self, i: int) -> slice:
        if not 0 <= i < len(self):
            raise IndexError(f"cloud {i} of {len(self)}")
        return slice(int(self.starts[i]), int(self.starts[i] + self.counts[i]))

    def stored(self, i: int) -> Floats:
        """Return all points of cloud i as stored, (k_i, 3): a view. IndexError if there is no cloud i."""
        return self.points[self._rows(i)]

    def cloud(self, i: int) -> Floats:
        """Return all points of cloud i, (k_i, 3), centered and scaled. IndexError if there is no cloud i."""
        return self._framed(self.stored(i), i)

    def _framed(self, points: Floats, i: int) -> Floats:
        shift, scale = self.centers[i] - self.origins[i], self.scales[i]
        if scale == 1 and not shift.any():
            return points
        framed: Floats = ((points - shift) / scale).astype(np.float32)
        return framed

    def split(self, name: str) -> "CloudSet":
        """Return the shapes of one split, possibly none; ValueError for an unknown name."""
        if name not in SPLITS:
            raise ValueError(f"unknown split {name!r}: choose train, val or test")
        return self.subset([i for i, split in enumerate(self.splits) if split == name])

    def subset(self, rows: Sequence[int]) -> "CloudSet":
        """Select shapes by index; they share the points of this set (no copy)."""
        part = np.array(rows, np.int64)
        return replace(
            self,
            starts=self.starts[part],
            counts=self.counts[part],
            origins=self.origins[part],
            labels=self.labels[part],
            ids=tuple(self.ids[i] for i in rows),
            splits=tuple(self.splits[i] for i in rows),
            centers=self.centers[part],
            scales=self.scales[part],
        )

    def draw(
        self, ids: npt.NDArray[np.int64], n: int, seed: int, channels: Sequence[str] = ("xyz",)
    ) -> npt.NDArray[np.float32]:
        """Draw n points from each of the clouds ``ids`` (b,): (b, n, c), each of the k_i points before any repeats.

        channels: some of xyz (centered and scaled), normals (of length 1) and colors (-1 to 1), in this order; c is
        three per channel. If k_i < n, every point occurs floor(n / k_i) or ceil(n / k_i) times. ``ids`` index this set,
        0 to len - 1. A row is a function of (seed, name of the shape, n) alone: it does not depend on the rest of the
        batch or on the split. Seeds are taken modulo 2**64. ValueError for a channel that the clouds lack.
        """
        out = np.empty((len(ids), n, sum(WIDTH[name] for name in channels)), np.float32)
        for row, i in zip(out, ids.tolist(), strict=True):
            here = self._rows(i)
            k = here.stop - here.start
            # Philox is counter-based: its key is the address, and there is no state to prepare.
            key = np.array([seed % 2**64, self.keys[i]], np.uint64)
            random = np.random.Generator(np.random.Philox(key=key))
            drawn = [random.choice(k, min(k, n - start), replace=False) for start in range(0, n, k)]
            pick = here.start + (drawn[0] if len(drawn) == 1 else np.concatenate(drawn))
            for at, name in enumerate(channels):
                row[:, 3 * at : 3 * at + 3] = self._channel(name, pick, i)
        return out

    def _channel(self, name: str, pick: npt.NDArray[np.int64], i: int) -> Floats:
        if name == "xyz":
            return self._framed(self.points[pick], i)
        if name == "normals" and self.normals is not None:
            return self.normals[pick]
        if name == "colors" and self.colors is not None:
            return self.colors[pick].astype(np.float32) / np.float32(127.5) - np.float32(1)
        raise ValueError(f"these clouds have no {name}")
