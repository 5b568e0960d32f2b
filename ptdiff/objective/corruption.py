"""The noise that training samples are corrupted with, addressed by (seed, step, place in the batch)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ptdiff.noise import Stream, normal


class Noise(Protocol):
    """eps, float32 (b, *shape), for places ``ids`` (b,) of the batches of steps ``at`` (b,)."""

    def draw(self, seed: int, ids: Tensor, at: Tensor, shape: tuple[int, ...]) -> Tensor: ...


@dataclass(frozen=True)
class Gaussian:
    """eps ~ N(0, I)."""

    def draw(self, seed: int, ids: Tensor, at: Tensor, shape: tuple[int, ...]) -> Tensor:
        return normal(seed, Stream.TRAIN_NOISE, ids, at, shape)


@dataclass(frozen=True)
class Offset:
    """eps ~ N(0, I) plus strength N(0, 1), one number for all along ``axes`` of a datum (Guttenberg 2023).

    Axes (0,) shift a point cloud (n, 3) as a whole, (1, 2) the channels of an image (c, h, w).  The network learns to
    denoise more noise than sampling starts with: shifts of the data are learned faster, and overestimated.
    """

    strength: float = 0.1
    axes: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise ValueError(f"strength must be at least 0 and finite, not {self.strength}")
        if not self.axes or min(self.axes) < 0 or len(set(self.axes)) < len(self.axes):
            raise ValueError(f"axes must be different and at least 0, not {self.axes}")

    def draw(self, seed: int, ids: Tensor, at: Tensor, shape: tuple[int, ...]) -> Tensor:
        if max(self.axes) >= len(shape):
            raise ValueError(f"offset noise along axes {self.axes} needs data with as many axes, not shape {shape}")
        small = tuple(1 if axis in self.axes else size for axis, size in enumerate(shape))
        count = math.prod(shape)
        # the first numbers are those that training without an offset draws
        both = normal(seed, Stream.TRAIN_NOISE, ids, at, (count + math.prod(small),))
        return both[:, :count].reshape(-1, *shape) + self.strength * both[:, count:].reshape(-1, *small)


NOISES: dict[str, type[Noise]] = {"gaussian": Gaussian, "offset": Offset}
