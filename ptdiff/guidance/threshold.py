"""Thresholds: the estimates of a denoiser are kept within the range of the data.  Denoiser -> Denoiser, like guidance.

Limits are given in world units and converted once to model units, in which denoisers work:

    Static(low=0, high=1).limit(denoiser, data)

Apply thresholds around guidance, which drives estimates out of range; inside it they would cancel.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition, Data
from ptdiff.process import Level

Hook = Callable[[Tensor, Level], Tensor]
"""A function of a tensor (b, …) in model units and its level."""


@dataclass(frozen=True)
class Hooked:
    """A denoiser with hooks, ``after(D(before(x), level), level)``: functions of x_t and of the estimate."""

    denoiser: Denoiser
    before: Hook | None = None
    after: Hook | None = None

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        estimate = self.denoiser(x if self.before is None else self.before(x, level), level, cond)
        return estimate if self.after is None else self.after(estimate, level)

    def calls_at(self, level: tuple[float, float]) -> int:
        """Calls of the denoiser."""
        return calls(self.denoiser, level)


@dataclass(frozen=True)
class Threshold(ABC):
    """Limits ``low`` and ``high`` of every element of the data, finite and in world units."""

    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"low and high must be finite with low < high, not low={self.low}, high={self.high}")

    def limit(self, denoiser: Denoiser, data: Data) -> Denoiser:
        """``denoiser`` with its estimates kept within the limits."""

        def after(x0: Tensor, level: Level) -> Tensor:
            low, high = (data.normalize(torch.full_like(x0[:1], edge)) for edge in (self.low, self.high))
            return self.within(x0, low, high)

        return Hooked(denoiser, after=after)

    @abstractmethod
    def within(self, x0: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The limited estimate (b, …); ``low`` and ``high`` are in model units and broadcast against it."""


@dataclass(frozen=True)
class Static(Threshold):
    """Clip every element to [low, high] (Ho et al. 2020)."""

    def within(self, x0: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Elementwise clipping."""
        return torch.minimum(torch.maximum(x0, low), high)


@dataclass(frozen=True)
class Dynamic(Threshold):
    """Clip each sample to its own quantile and shrink it into [low, high] (Saharia et al. 2022, section 2.3).

    Distances from the middle are measured in units of half the width, and s is their quantile, at least 1.  Elements
    farther away than s are clipped, and all are divided by s.
    ``quantile``: in (0, 1].
    """

    quantile: float = 0.995

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.quantile <= 1:
            raise ValueError(f"quantile must lie in (0, 1], not {self.quantile}")

    def within(self, x0: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """Clipping to s, divided by s, per sample."""
        middle, half = (low + high) / 2, (high - low) / 2
        apart = (x0 - middle) / half
        # by sorting, because torch.quantile is limited to 2^24 elements
        ranked = apart.abs().flatten(1).sort(dim=1).values
        place = self.quantile * (ranked.shape[1] - 1)
        below = int(place)
        above = min(below + 1, ranked.shape[1] - 1)
        reach = ranked[:, below] + (ranked[:, above] - ranked[:, below]) * (place - below)
        reach = reach.clamp(min=1).reshape(-1, *(1,) * (x0.ndim - 1))
        return middle + torch.minimum(torch.maximum(apart, -reach), reach) / reach * half


THRESHOLDS: Catalog[type[Threshold]] = Catalog("threshold", {"static": Static, "dynamic": Dynamic})
