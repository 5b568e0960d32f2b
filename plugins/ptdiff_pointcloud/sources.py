"""Where the clouds come from: procedural shapes, or a folder of the user's own.

Both keep a dense cloud of every shape and draw other points of it for every batch, so that the network learns
the surface and not one sample of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ptdiff.data import Condition, Data
from ptdiff.names import unknown
from ptdiff_datasets.shapes import CLASSES, dense_clouds
from ptdiff_pointcloud.progress import bar

if TYPE_CHECKING:
    from ptdiff_datasets.clouds import CloudSet

HELD_OUT = 1 << 32
"""Training shapes have the seeds 0, 1, …; held-out shapes those from here on."""

_KEPT = 1 << 30  # bytes of dense clouds in memory
_MEASURED = 1 << 22  # points from which mean and scale are measured


def dense_enough(points: int, dense: int) -> int:
    """How many points to keep of a shape: with fewer than four times a batch's, batches would be much the same."""
    return max(dense, 4 * points)


def enough_to_measure(points: int, limit: int) -> int:
    """How many clouds tell mean and scale: ``limit``, or fewer that hold four million points together."""
    return max(1, min(limit, _MEASURED // points))


class ShapeSamples:
    """Procedural shapes of ``labels`` in turn, ``count`` of each, with seeds from ``first`` on.

    A dense cloud is made when it is first asked for, and kept (up to a gigabyte of them).
    """

    def __init__(self, labels: Sequence[int], count: int, first: int, points: int, dense: int) -> None:
        self.labels, self.count, self.first = tuple(labels), count, first
        self.points, self.dense = points, dense
        self._cloud = lru_cache(maxsize=_KEPT // (12 * self.dense))(self._make)

    def __len__(self) -> int:
        return len(self.labels) * self.count

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Points (b, points, 3); the label is the place among ``labels``, id mod their number."""
        clouds = np.empty((len(ids), self.points, 3), np.float32)
        for cloud, i in zip(clouds, ids.tolist(), strict=True):
            random = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, i], np.uint64)))
            cloud[:] = self._cloud(i)[random.choice(self.dense, self.points, replace=False, shuffle=False)]
        return torch.from_numpy(clouds), {"label": ids % len(self.labels)}

    def _make(self, i: int) -> npt.NDArray[np.float32]:
        if not 0 <= i < len(self):
            raise IndexError(f"shape {i} of {len(self)}")
        turn, place = divmod(i, len(self.labels))
        cloud: npt.NDArray[np.float32] = dense_clouds([self.labels[place]], [self.first + turn], self.dense)[0]
        return cloud


def shapes(points: int, dense: int, count: int, classes: Sequence[str]) -> Data:
    """Procedural shapes of ``classes`` (none: all ten), ``count`` each, and a tenth of that held out."""
    for name in classes:
        if name not in CLASSES:
            raise unknown("class of shapes", name, CLASSES)
    names = tuple(name for name in CLASSES if name in classes or not classes)
    labels = [CLASSES.index(name) for name in names]
    dense = dense_enough(points, dense)
    train = ShapeSamples(labels, count, 0, points, dense)
    val = ShapeSamples(labels, max(1, count // 10), HELD_OUT, points, dense)
    lines = [
        f"procedural shapes: {len(train):,} to train on, {len(val):,} held out",
        f"  {points:,} points each, drawn anew for every batch from {train.dense:,}",
        f"  {', '.join(names)}",
    ]
    summary = {
        "source": "shapes",
        "train": len(train),
        "val": len(val),
        "dense": train.dense,
        "text": "\n".join(lines),
    }
    # making shapes takes longer than measuring them: a few hundred tell mean and scale to a thousandth
    return Data((points, 3), names, unordered=True, train=train, val=val, summary=summary).measured(
        keep=(-1,), limit=enough_to_measure(points, 400)
    )


@dataclass(frozen=True)
class FolderSamples:
    """A split of a folder."""

    clouds: CloudSet
    points: int

    def __len__(self) -> int:
        return len(self.clouds)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Points (b, points, 3), and labels where the folder has classes."""
        rows = ids.numpy()
        label = {"label": torch.from_numpy(self.clouds.labels[rows])} if self.clouds.classes else {}
        return torch.from_numpy(self.clouds.draw(rows, self.points, seed)), label


def folder(root: Path, points: int, dense: int, classes: Sequence[str], normalize: str) -> Data:
    """A folder as :func:`ptdiff_datasets.folder.load_folder` reads it; no val where nothing is held out."""
    from ptdiff_datasets.folder import load_folder

    with bar("reading the shapes") as progress:
        clouds = load_folder(
            root,
            points=dense_enough(points, dense),
            normalize=normalize,
            classes=classes or None,
            progress=progress,
        )
    train, val = FolderSamples(clouds.split("train"), points), FolderSamples(clouds.split("val"), points)
    summary = {"source": str(root), **clouds.summary.as_dict(), "text": clouds.summary.text()}
    return Data(
        (points, 3),
        clouds.classes,
        unordered=True,
        train=train,
        val=val if len(val) else None,
        summary=summary,
    ).measured(keep=(-1,), limit=enough_to_measure(points, 4096))
