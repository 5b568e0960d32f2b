"""`CloudSet`: labelled dense point clouds of any sizes in one array, and batches re-sampled from them.

k_i is the number of points of cloud i, which are `points[offsets[i]:offsets[i + 1]]`. A network sees n of
them, drawn anew each time.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.address import address
from ptdiff_datasets.splits import SPLITS
from ptdiff_datasets.summary import Summary


@dataclass(frozen=True, eq=False)
class CloudSet:
    """m point clouds. What was read from a file is `points * scale + center`, cloud by cloud.

    points: (total, 3) float32, memory-mapped where it comes from a cache; offsets: (m + 1,) int64; labels:
    (m,) int64 into `classes`, -1 throughout where there are no classes; ids: unique names of the shapes;
    splits: "train", "val" or "test" of each shape, those of one split side by side; centers: (m, 3) and
    scales: (m,) float64.
    """

    points: npt.NDArray[np.float32]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    splits: tuple[str, ...]
    centers: npt.NDArray[np.float64]
    scales: npt.NDArray[np.float64]
    summary: Summary

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def keys(self) -> npt.NDArray[np.uint64]:
        """(m,) the addresses of the shapes' randomness: of the ids alone, so the same in every subset."""
        return np.array([address("draw", name) for name in self.ids], np.uint64)

    def cloud(self, i: int) -> npt.NDArray[np.float32]:
        """All points of cloud i, (k_i, 3): a view."""
        if not 0 <= i < len(self):
            raise IndexError(f"cloud {i} of {len(self)}")
        return self.points[self.offsets[i] : self.offsets[i + 1]]

    def split(self, name: str) -> "CloudSet":
        """The shapes of one split, which share the points of this set (no copy); empty if it has none."""
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}: train, val or test")
        count = self.splits.count(name)
        start = self.splits.index(name) if count else 0
        if self.splits[start : start + count] != (name,) * count:
            raise ValueError(f"the shapes of {name} do not lie side by side")
        part, bounds = slice(start, start + count), self.offsets[start : start + count + 1]
        return replace(
            self,
            points=self.points[bounds[0] : bounds[-1]],
            offsets=bounds - bounds[0],
            labels=self.labels[part],
            ids=self.ids[part],
            splits=self.splits[part],
            centers=self.centers[part],
            scales=self.scales[part],
        )

    def draw(self, ids: npt.NDArray[np.int64], n: int, seed: int) -> npt.NDArray[np.float32]:
        """n points of each of the clouds `ids` (b,): (b, n, 3), all k_i of a cloud before any comes again.

        Of a cloud with k_i < n every point occurs floor(n / k_i) or ceil(n / k_i) times. `ids` index this
        set, 0 to len - 1. A row is a function of (seed, name of the shape, n): whatever else is in the batch,
        and in every split alike. Seeds are taken modulo 2**64.
        """
        out = np.empty((len(ids), n, 3), np.float32)
        for row, i in zip(out, ids, strict=True):
            cloud = self.cloud(int(i))
            k = len(cloud)
            # Philox is counter-based: its key is the address, and there is no state to prepare.
            key = np.array([seed % 2**64, self.keys[i]], np.uint64)
            random = np.random.Generator(np.random.Philox(key=key))
            for start in range(0, n, k):
                row[start : start + k] = cloud[random.choice(k, min(k, n - start), replace=False)]
        return out
