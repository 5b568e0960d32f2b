"""Spacings that follow others: published grids, the integer steps of a chain, levels given by hand.

rho = sigma / alpha.  The integer steps are those of the process if it is a chain, and otherwise ``steps`` virtual ones,
the k-th (from 0) at time (k + 1) / steps: all of them noisy, the last at time 1.

The grids of EDM's table (``edm-…``) keep the published ratios.  They were stated for data of deviation 0.5; the same
noise for unit-variance data has twice the ratio, as the process ``edm`` has.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from ptdiff.grid.spacing import LogSNR, at_ratio, falling, ratio_span
from ptdiff.process import Chain, Process, VPLinear


@dataclass(frozen=True)
class VPGrid:
    """The ratios of the variance-preserving process at equal times down to epsilon (Karras et al. 2022, table 1, VP).

    Where the process reaches less far, equal times of the part that it has.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        VPLinear(self.beta_min, self.beta_max)
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon must lie in (0, 1), not {self.epsilon}")

    def times(self, process: Process, n: int) -> Tensor:
        vp = VPLinear(self.beta_min, self.beta_max)
        clean, noisy = vp.time(torch.tensor(process.ends, dtype=torch.float64)).tolist()
        clean = max(clean, self.epsilon)
        return process.time(vp.level(clean + (noisy - clean) * falling(n)).angle)


@dataclass(frozen=True)
class VEGrid(LogSNR):
    """Equal steps of log rho from 100 down to 0.02 as published (Karras et al. 2022, table 1, VE).

    Not converted from their deviation of 0.5: that would be high=200, low=0.04.
    """

    low: float = 0.02
    high: float = 100.0


@dataclass(frozen=True)
class IDDPMGrid:
    """Every so many of the thousand ratios of improved DDPM's cosine chain (Karras et al. 2022, table 1, iDDPM).

    first: index of the noisiest that is used, 0 for all of them.
    """

    first: int = 8
    steps: int = 1000
    offset: float = 0.008
    ratio_clip: float = 0.001

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.steps - 1:
            raise ValueError(f"first must lie in 0 … {self.steps - 2}, not {self.first}")
        Chain(self.steps, "cosine", offset=self.offset, clip=(0.0, 1 - self.ratio_clip))

    def times(self, process: Process, n: int) -> Tensor:
        chain = Chain(self.steps, "cosine", offset=self.offset, clip=(0.0, 1 - self.ratio_clip))
        angle = chain.levels(torch.arange(self.steps)).angle.flip(0)[self.first :]
        clean, noisy = process.ends
        angle = angle[(angle >= clean) & (angle <= noisy)]
        if n > len(angle):
            raise ValueError(f"the chain of iddpm has {len(angle)} levels in the range of the process, not {n}")
        chosen = (torch.arange(n, dtype=torch.float64) * ((len(angle) - 1) / max(n - 1, 1)) + 0.5).floor().long()
        return process.time(angle[chosen])


@dataclass(frozen=True)
class _Integers(ABC):
    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 2:
            raise ValueError(f"steps must be at least 2, not {self.steps}")

    @abstractmethod
    def indices(self, length: int, n: int) -> Tensor:
        """``n`` of the indices 0 … length - 1, falling."""

    def times(self, process: Process, n: int) -> Tensor:
        chain = process.chain_steps
        length = self.steps if chain is None else chain
        if n > length:
            raise ValueError(f"there are {length} integer steps, so not {n} different ones")
        indices = self.indices(length, n).double()
        return (indices + 1) / length if chain is None else indices / (length - 1)


@dataclass(frozen=True)
class Trailing(_Integers):
    """Integer steps counted from the noisiest down, which is always visited (Lin et al. 2023, table 2)."""

    def indices(self, length: int, n: int) -> Tensor:
        return (length - torch.arange(n, dtype=torch.float64) * length / n).round().long() - 1


@dataclass(frozen=True)
class Leading(_Integers):
    """Integer multiples of steps // n: the noisiest steps are never visited (Lin et al. 2023, table 2)."""

    def indices(self, length: int, n: int) -> Tensor:
        return torch.arange(n).flip(0) * (length // n)


@dataclass(frozen=True)
class Linspace(_Integers):
    """Integer steps spread evenly from the noisiest to the cleanest, both visited (Lin et al. 2023, table 2)."""

    def indices(self, length: int, n: int) -> Tensor:
        return (falling(n) * (length - 1)).round().long()


@dataclass(frozen=True)
class Given:
    """Levels given by hand, as times or as noise-to-signal ratios (``of``), falling; in between for other numbers.

    As many points as values are the values themselves.  Other numbers of points lie evenly between them, linearly in
    time or in log rho (Sabour et al. 2024, AYS, use their tables so).
    """

    values: tuple[float, ...] = (1.0, 0.0)
    of: Literal["time", "ratio"] = "time"

    def __post_init__(self) -> None:
        if len(self.values) < 2 or not all(a > b for a, b in pairwise(self.values)):
            raise ValueError(f"values must be two or more numbers that fall, not {self.values}")
        if self.of == "time" and not 0 <= self.values[-1] < self.values[0] <= 1:
            raise ValueError(f"times must lie in [0, 1], not {self.values}")
        if self.of == "ratio" and not 0 < self.values[-1] < self.values[0] < math.inf:
            raise ValueError(f"ratios must be positive and finite, not {self.values}: the clean end comes by itself")

    def times(self, process: Process, n: int) -> Tensor:
        knots = torch.tensor(self.values, dtype=torch.float64)
        if self.of == "time":
            return _between(knots, n)
        low, high = ratio_span(process)
        # the last digits of a process's own ends may differ
        if self.values[0] > high * (1 + 1e-9) or self.values[-1] < low * (1 - 1e-9):
            raise ValueError(
                f"the noise-to-signal ratio of this process runs from {low:.4g} to {high:.4g}, "
                f"which does not hold the values {self.values[0]:.4g} to {self.values[-1]:.4g}"
            )
        return at_ratio(process, torch.exp(_between(torch.log(knots), n)))


def _between(knots: Tensor, n: int) -> Tensor:
    if n == len(knots):
        return knots
    place = torch.linspace(0, len(knots) - 1, n, dtype=torch.float64)
    below = place.floor().clamp(max=len(knots) - 2).long()
    return knots[below] + (place - below) * (knots[below + 1] - knots[below])
