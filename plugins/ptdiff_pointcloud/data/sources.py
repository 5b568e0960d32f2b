"""Sources of clouds: procedural shapes, or a folder of the user's own.

Both keep a dense cloud of every shape and draw other points of it for every batch, so that the network learns the
surface and not one sample of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ptdiff.choices import unknown
from ptdiff.modality.data import Condition, Data, Split
from ptdiff_datasets.shapes import CLASSES, dense_clouds, make_shape
from ptdiff_pointcloud.data.augment import Augmentation, Augmented
from ptdiff_pointcloud.data.channels import turned, turned_cloud
from ptdiff_pointcloud.data.progress import bar

if TYPE_CHECKING:
    from ptdiff_datasets.clouds.cloud_set import CloudSet
    from ptdiff_datasets.clouds.splits import Rule
    from ptdiff_datasets.formats.arrays import AxisOrder
    from ptdiff_datasets.formats.numerals import Decimal

HELD_OUT = 1 << 32
"""Training shapes have the seeds 0, 1, …; held-out shapes those from here on."""

_KEPT = 1 << 30  # bytes of dense clouds in memory
_MEASURED = 1 << 22  # points that mean and scale are measured on


def dense_enough(points: int, dense: int) -> int:
    """Number of points to keep per shape: with fewer than four times a batch's, batches would be much alike."""
    return max(dense, 4 * points)


def enough_to_measure(points: int, limit: int) -> int:
    """Number of clouds to measure mean and scale on: ``limit``, or fewer with four million points together."""
    return max(1, min(limit, _MEASURED // points))


class ShapeSamples:
    """Procedural shapes of ``labels`` in turn, ``count`` of each, with seeds from ``first`` on.

    A dense cloud is made when it is first needed, and kept (up to a gigabyte of them).
    """

    def __init__(
        self, labels: Sequence[int], count: int, first: int, points: int, dense: int, *, normals: bool = False
    ) -> None:
        self.labels, self.count, self.first = tuple(labels), count, first
        self.points, self.dense, self.width = points, dense, 6 if normals else 3
        self._cloud = lru_cache(maxsize=_KEPT // (4 * self.width * self.dense))(self._make)

    def __len__(self) -> int:
        return len(self.labels) * self.count

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return points (b, points, 3), or 6 with normals; the label indexes ``labels``: id modulo their number."""
        clouds = np.empty((len(ids), self.points, self.width), np.float32)
        for cloud, i in zip(clouds, ids.tolist(), strict=True):
            random = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, i], np.uint64)))
            cloud[:] = self._cloud(i)[random.choice(self.dense, self.points, replace=False, shuffle=False)]
        return torch.from_numpy(clouds), {"label": ids % len(self.labels)}

    def _make(self, i: int) -> npt.NDArray[np.float32]:
        if not 0 <= i < len(self):
            raise IndexError(f"shape {i} of {len(self)}")
        turn, place = divmod(i, len(self.labels))
        if self.width == 6:
            shape = make_shape(CLASSES[self.labels[place]], self.first + turn)
            return np.concatenate(shape.points_and_normals(self.dense), axis=1)
        cloud: npt.NDArray[np.float32] = dense_clouds([self.labels[place]], [self.first + turn], self.dense)[0]
        return cloud


def shapes(points: int, dense: int, count: int, classes: Sequence[str], channels: Sequence[str] = ("xyz",)) -> Data:
    """Procedural shapes of ``classes`` (none: all ten), ``count`` each, and a tenth as many held out.

    Raises ValueError for the channel colors, UnknownName for an unknown class.
    """
    if "colors" in channels:
        raise ValueError("procedural shapes have no colors; channels may be xyz and normals")
    for name in classes:
        if name not in CLASSES:
            raise unknown("class of shapes", name, CLASSES)
    names = tuple(name for name in CLASSES if name in classes or not classes)
    labels = [CLASSES.index(name) for name in names]
    dense = dense_enough(points, dense)
    train, val = (
        ShapeSamples(labels, many, first, points, dense, normals="normals" in channels)
        for many, first in ((count, 0), (max(1, count // 10), HELD_OUT))
    )
    lines = [
        f"procedural shapes: {len(train):,} to train on, {len(val):,} held out",
        f"  {points:,} points each, drawn for every batch from {train.dense:,}",
        f"  {', '.join(names)}",
    ]
    summary = {
        "source": "shapes",
        "train": len(train),
        "val": len(val),
        "dense": train.dense,
        "text": "\n".join(lines),
    }
    return Data((points, 3 * len(channels)), names, unordered=True, train=train, val=val, summary=summary)


@dataclass(frozen=True)
class FolderSamples:
    """A split of a folder."""

    clouds: CloudSet
    points: int
    up: str = "y"
    channels: tuple[str, ...] = ("xyz",)

    def __len__(self) -> int:
        return len(self.clouds)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return points (b, points, 3 per channel), and labels if the folder has classes."""
        rows = ids.numpy()
        label = {"label": torch.from_numpy(self.clouds.labels_of(rows))} if self.clouds.classes else {}
        x = turned_cloud(self.clouds.draw(rows, self.points, seed, self.channels), self.channels, self.up)
        return torch.from_numpy(x), label


def folder(
    root: Path,
    points: int,
    dense: int,
    classes: Sequence[str],
    normalize: str,
    up: str = "y",
    channels: tuple[str, ...] = ("xyz",),
    order: AxisOrder = "auto",
    split: Rule = "stratified",
    offset: bool = True,
    decimal: Decimal | None = None,
) -> Data:
    """Load a folder with :func:`ptdiff_datasets.clouds.folder.load_folder`; ``val`` is None if nothing is held out.

    Raises DataError if shapes lack one of the channels.
    """
    from ptdiff_datasets.clouds.folder import load_folder
    from ptdiff_datasets.clouds.splits import RULE
    from ptdiff_datasets.errors import DataError
    from ptdiff_datasets.formats.cloud import ZERO_NORMALS

    with bar("reading the shapes") as progress:
        clouds = load_folder(
            root,
            points=dense_enough(points, dense),
            normalize=normalize,
            classes=classes or None,
            progress=progress,
            order=order,
            decimal=decimal,
            split=split,
            offset=offset,
        )
    for name in channels[1:]:
        if name not in clouds.channels:
            lacking, count = clouds.summary.lacking.get(name, 0), clouds.summary.total()
            zero = [id for id, text in clouds.summary.remarks if name == "normals" and text == ZERO_NORMALS]
            reason = f" (in {len(zero):,} they are all zero, in {zero[0]} first)" if zero else ""
            raise DataError(
                f"{root} has no {name} for {lacking:,} of {count:,} shapes{reason}; leave {name} out of channels"
            )
    train, val = (FolderSamples(clouds.split(name), points, up, channels) for name in ("train", "val"))
    summary = {"source": str(root), "split_rule": RULE, **clouds.summary.as_dict(), "text": clouds.summary.text()}
    origin = turned(np.array(clouds.origin), up).tolist() + [0.0] * (3 * len(channels) - 3)
    return Data(
        (points, 3 * len(channels)),
        clouds.classes,
        unordered=True,
        train=train,
        val=val if len(val) else None,
        summary=summary,
        origin=tuple(origin) if any(origin) else (),
    )


def augmented(data: Data, how: Augmentation, channels: tuple[str, ...]) -> Data:
    """Augment the training samples of ``data``; held-out samples stay as they are."""
    return data if how.idle or data.train is None else replace(data, train=Augmented(data.train, how, channels))


@dataclass(frozen=True)
class _Channel:
    samples: Split
    place: int

    def __len__(self) -> int:
        return len(self.samples)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        x, cond = self.samples.batch(ids, seed)
        return x[..., 3 * self.place : 3 * self.place + 3], cond


def measured(data: Data, channels: Sequence[str]) -> Data:
    """Measure mean and scale: one scale for xyz, and one each for normals and for colors."""
    points = data.shape[0]
    # making shapes takes longer than measuring them: a few hundred give mean and scale to a thousandth
    limit = enough_to_measure(points, 400 if data.summary.get("source") == "shapes" else 4096)
    if len(channels) == 1:
        return data.measured(keep=(-1,), limit=limit)
    assert data.train is not None
    parts = [
        replace(data, shape=(points, 3), train=_Channel(data.train, place)).measured(keep=(-1,), limit=limit)
        for place in range(len(channels))
    ]
    means, scales = zip(*((np.ravel(part.mean), np.full(3, part.scale)) for part in parts), strict=True)
    mean, scale = (tuple(np.concatenate(values).tolist()) for values in (means, scales))
    return replace(data, mean=mean, scale=scale, spread=max(part.spread for part in parts))
