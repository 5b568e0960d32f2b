"""Spacings from elsewhere: published grids, the integer steps of a chain, and levels given explicitly.

rho = sigma / alpha.  The integer steps are those of the process if it is a chain.  Otherwise they are ``steps`` virtual
ones, the k-th (from 0) at time (k + 1) / steps: all of them noisy, the last at time 1.

The grids of EDM's table (``edm-…``) keep the published ratios.  Those were stated for data of standard deviation 0.5;
for unit-variance data the same noise has twice the ratio, as in the process ``edm``.
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
    """EDM's grid for VP: the ratios of the VP process at equal times down to epsilon (Karras et al. 2022, table 1).

    If the process covers a smaller range, equal times of the part that it covers.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    epsilon: float = 1e-3

    def __post_init__(self) -> None:
        VPLinear(self.beta_min, self.beta_max)
        if not 0 < self.epsilon < 1:
            raise ValueError(f"epsilon must lie in (0, 1), not {self.epsilon}")

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times at which the process has the ratios of VP at equal times."""
        vp = VPLinear(self.beta_min, self.beta_max)
        clean, noisy = vp.time(torch.tensor(process.ends, dtype=torch.float64)).tolist()
        clean = max(clean, self.epsilon)
        return process.time(vp.level(clean + (noisy - clean) * falling(n)).angle)


@dataclass(frozen=True)
class VEGrid(LogSNR):
    """EDM's grid for VE: equal steps of log rho from 100 down to 0.02, as published (Karras et al. 2022, table 1).

    Not converted from the paper's standard deviation of 0.5, which would give high=200 and low=0.04.
    """

    low: float = 0.02
    high: float = 100.0


@dataclass(frozen=True)
class IDDPMGrid:
    """EDM's grid for iDDPM: evenly chosen among the ratios of its 1000-step chain (Karras et al. 2022, table 1).

    ``first``: index of the noisiest level in use; 0 uses all of them.
    ``steps``, ``offset``: length and offset of the cosine chain.  ``ratio_clip``: lower limit of abar_i / abar_{i-1}.
    """

    first: int = 8
    steps: int = 1000
    offset: float = 0.008
    ratio_clip: float = 0.001

    def __post_init__(self) -> None:
        if not 0 <= self.first < self.steps - 1:
            raise ValueError(f"first must lie in [0, {self.steps - 2}], not {self.first}")
        Chain(self.steps, "cosine", offset=self.offset, clip=(0.0, 1 - self.ratio_clip))

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times, evenly chosen by index; ValueError if the chain has fewer levels in the range of the process."""
        chain = Chain(self.steps, "cosine", offset=self.offset, clip=(0.0, 1 - self.ratio_clip))
        angle = chain.levels(torch.arange(self.steps)).angle.flip(0)[self.first :]
        clean, noisy = process.ends
        angle = angle[(angle >= clean) & (angle <= noisy)]
        if n > len(angle):
            raise ValueError(f"the chain of iDDPM has only {len(angle)} levels in the range of the process, not {n}")
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
        """``n`` times of integer steps; ValueError if there are fewer steps."""
        chain = process.chain_steps
        length = self.steps if chain is None else chain
        if n > length:
            raise ValueError(f"only {length} distinct integer steps exist, not {n}")
        indices = self.indices(length, n).double()
        return (indices + 1) / length if chain is None else indices / (length - 1)


@dataclass(frozen=True)
class Trailing(_Integers):
    """Integer steps counted down from the noisiest, which is always visited (Lin et al. 2023, table 2)."""

    def indices(self, length: int, n: int) -> Tensor:
        """round(length - i length / n) - 1."""
        return (length - torch.arange(n, dtype=torch.float64) * length / n).round().long() - 1


@dataclass(frozen=True)
class Leading(_Integers):
    """Integer multiples of steps // n; the noisiest steps are never visited (Lin et al. 2023, table 2)."""

    def indices(self, length: int, n: int) -> Tensor:
        """i (length // n), falling."""
        return torch.arange(n).flip(0) * (length // n)


@dataclass(frozen=True)
class Linspace(_Integers):
    """Integer steps evenly from the noisiest to the cleanest, both visited (Lin et al. 2023, table 2)."""

    def indices(self, length: int, n: int) -> Tensor:
        """round((length - 1) (1 - i / (n - 1)))."""
        return (falling(n) * (length - 1)).round().long()


@dataclass(frozen=True)
class Given:
    """Your own levels, as falling times or noise-to-signal ratios, interpolated for other numbers of points.

    ``values``: two or more falling numbers.  With as many points as values, the values themselves are used; other
    numbers of points are interpolated linearly in time or in log rho, as AYS does (Sabour et al. 2024).
    ``of``: "time", values in [0, 1], or "ratio", positive values.
    """

    values: tuple[float, ...] = (1.0, 0.0)
    of: Literal["time", "ratio"] = "time"

    def __post_init__(self) -> None:
        if len(self.values) < 2 or not all(a > b for a, b in pairwise(self.values)):
            raise ValueError(f"values must be two or more falling numbers, not {self.values}")
        if self.of == "time" and not 0 <= self.values[-1] < self.values[0] <= 1:
            raise ValueError(f"times must lie in [0, 1], not {self.values}")
        if self.of == "ratio" and not 0 < self.values[-1] < self.values[0] < math.inf:
            raise ValueError(
                f"ratios must be positive and finite, not {self.values}: the clean end is added automatically"
            )

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times; ValueError if a ratio is outside the range of the process."""
        knots = torch.tensor(self.values, dtype=torch.float64)
        if self.of == "time":
            return _between(knots, n)
        low, high = ratio_span(process)
        # allow for rounding at the ends of the process
        if self.values[0] > high * (1 + 1e-9) or self.values[-1] < low * (1 - 1e-9):
            raise ValueError(
                f"the noise-to-signal ratio of this process runs from {low:.4g} to {high:.4g}, "
                f"which does not contain the values {self.values[0]:.4g} to {self.values[-1]:.4g}"
            )
        return at_ratio(process, torch.exp(_between(torch.log(knots), n)))


def _between(knots: Tensor, n: int) -> Tensor:
    if n == len(knots):
        return knots
    place = torch.linspace(0, len(knots) - 1, n, dtype=torch.float64)
    below = place.floor().clamp(max=len(knots) - 2).long()
    return knots[below] + (place - below) * (knots[below + 1] - knots[below])
