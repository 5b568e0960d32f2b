"""The noise that corrupts training samples, addressed by (seed, step, position in the batch)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.noise import Stream, normal


class Noise(Protocol):
    """A distribution of training noise."""

    def draw(self, seed: int, ids: Tensor, at: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Draw eps, float32 (b, *shape), for positions ``ids`` (b,) in the batches of steps ``at`` (b,)."""
        ...


@dataclass(frozen=True)
class Gaussian:
    """Standard normal noise, eps ~ N(0, I)."""

    def draw(self, seed: int, ids: Tensor, at: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Draw independent standard normal numbers."""
        return normal(seed, Stream.TRAIN_NOISE, ids, at, shape)


@dataclass(frozen=True)
class Offset:
    """Offset noise: eps ~ N(0, I) plus strength N(0, 1), constant along some axes of a sample (Guttenberg 2023).

    ``strength``: standard deviation of the offset, at least 0.
    ``axes``: axes along which the offset is constant: (0,) shifts a point cloud (n, 3) as a whole, (1, 2) shift the
    channels of an image (c, h, w).

    The network learns to remove more noise than sampling starts with: it learns shifts of the data faster, and
    overestimates them.
    """

    strength: float = 0.1
    axes: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf:
            raise ValueError(f"strength must be finite and at least 0, not {self.strength}")
        if not self.axes or min(self.axes) < 0 or len(set(self.axes)) < len(self.axes):
            raise ValueError(f"axes must be distinct and at least 0, not {self.axes}")

    def draw(self, seed: int, ids: Tensor, at: Tensor, shape: tuple[int, ...]) -> Tensor:
        """Draw standard normal numbers plus the offset; ValueError if the data has too few axes."""
        if max(self.axes) >= len(shape):
            raise ValueError(
                f"offset noise along axes {self.axes} needs data with these axes, not data of shape {shape}"
            )
        small = tuple(1 if axis in self.axes else size for axis, size in enumerate(shape))
        count = math.prod(shape)
        # the first numbers are the same as without an offset
        both = normal(seed, Stream.TRAIN_NOISE, ids, at, (count + math.prod(small),))
        return both[:, :count].reshape(-1, *shape) + self.strength * both[:, count:].reshape(-1, *small)


NOISES: Catalog[type[Noise]] = Catalog("noise", {"gaussian": Gaussian, "offset": Offset})
