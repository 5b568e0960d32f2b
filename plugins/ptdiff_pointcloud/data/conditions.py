"""Clouds as conditions: part of a shape to complete, or few points of it to upsample.

The conditions are made from the clouds of a data set, in model units (``data.normalize``), for the module ``tokens``.
The observed part of a shape is, one third of the time each,

    crop         all but the neighborhood of a point
    half-space   the points on one side of a plane
    view         the points visible from one direction, by a depth buffer

with a quarter to three quarters of its points (a view: all visible ones), of which a few are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ptdiff.modality.data import Condition, Data, Split, unaugmented
from ptdiff_pointcloud.networks.catalog import GIVEN, Task

LEAST, MOST = 0.25, 0.75

Array = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Observe = Callable[[Array, np.random.Generator], Mask]


def for_task(data: Data, task: Task, count: int) -> Data:
    """Return the data with the condition of ``task`` in its batches: up to ``count`` points of each cloud."""
    if task == "generate":
        return data

    def given(samples: Split | None) -> Split | None:
        return None if samples is None else Conditioned(samples, data, task, count)

    return replace(data, train=given(data.train), val=given(data.val))


def given_cloud(name: str, data: Data, cloud: Tensor, samples: int) -> Condition:
    """Return the condition ``name`` (partial or coarse) for ``samples`` samples, from a cloud (m, k) in world units."""
    model = data.normalize(cloud).expand(samples, *cloud.shape)
    return {name: model, f"{name}_mask": torch.ones(model.shape[:2], dtype=torch.int64, device=cloud.device)}


@dataclass(frozen=True)
class Conditioned:
    """A split with the condition of ``task`` in every batch, a pure function of (id, seed)."""

    samples: Split
    data: Data
    task: Task
    count: int

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def plain(self) -> Conditioned:
        """The same split without augmentation."""
        return replace(self, samples=unaugmented(self.samples))

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return points (b, n, k) in world units, with the cloud given (b, count, k) in model units and its mask."""
        x, cond = self.samples.batch(ids, seed)
        model = self.data.normalize(x).numpy()
        clouds = np.zeros((len(ids), self.count, model.shape[2]), np.float32)
        masks = np.zeros((len(ids), self.count), np.int64)
        for cloud, into, mask, i in zip(model, clouds, masks, ids.tolist(), strict=True):
            # a separate counter: the points of the cloud may have been drawn with the same key
            key, counter = np.array([seed % 2**64, i], np.uint64), np.array([0, 0, 0, 1], np.uint64)
            random = np.random.Generator(np.random.Philox(key=key, counter=counter))
            there = observed(cloud, random) if self.task == "complete" else np.ones(len(cloud), bool)
            order = random.permutation(len(cloud))
            chosen = order[there[order]][: self.count]
            into[: len(chosen)], mask[: len(chosen)] = cloud[chosen], 1
        (name,) = GIVEN[self.task]
        return x, {**cond, name: torch.from_numpy(clouds), f"{name}_mask": torch.from_numpy(masks)}


def observed(cloud: Array, random: np.random.Generator) -> Mask:
    """Mark the observed points of a cloud (n, k), bool (n,), by one of the three ways at random."""
    ways: tuple[Observe, ...] = (crop, half_space, view)
    return ways[random.integers(len(ways))](cloud[:, :3], random)


def crop(points: Array, random: np.random.Generator) -> Mask:
    """Mark all but the points (n, 3) nearest to one of them."""
    center = points[random.integers(len(points))]
    return _most(np.square(points - center).sum(1), random)


def half_space(points: Array, random: np.random.Generator) -> Mask:
    """Mark the points (n, 3) farthest in one direction."""
    return _most(points @ _direction(random), random)


def view(points: Array, random: np.random.Generator) -> Mask:
    """Mark the points (n, 3) that are nearest to a distant camera in their cell of its image, or close to it."""
    ahead = _direction(random)
    right = np.cross(ahead, np.eye(3)[np.abs(ahead).argmin()])
    right /= np.linalg.norm(right)
    picture, depth = points @ np.stack([right, np.cross(ahead, right)], axis=1), points @ ahead
    # nine points per cell if they were spread evenly: fewer would often miss the front
    side = max(2, math.isqrt(len(points)) // 3)
    low = picture.min(0)
    size = float((picture - low).max())
    # points all on one line of sight, or all coinciding, share a cell
    cell = np.minimum((picture - low) * (side / size if size > 0 else 0), side - 1).astype(np.int64)
    flat = cell[:, 0] * side + cell[:, 1]
    nearest = np.full(side * side, -np.inf)
    np.maximum.at(nearest, flat, depth)
    seen: Mask = depth >= nearest[flat] - size / side
    return seen


def _direction(random: np.random.Generator) -> npt.NDArray[np.float64]:
    vector = random.standard_normal(3)
    unit: npt.NDArray[np.float64] = vector / np.linalg.norm(vector)
    return unit


def _most(score: npt.NDArray[np.floating], random: np.random.Generator) -> Mask:
    """Mark a random fraction of the scores, the highest ones."""
    keep = max(1, round(len(score) * random.uniform(LEAST, MOST)))
    mask = np.zeros(len(score), bool)
    mask[np.argsort(score, kind="stable")[-keep:]] = True
    return mask
