"""Learning-rate schedules: the fraction of the peak rate at each step, multiplied by a linear warm-up.

n: steps done.   progress: fraction of the run completed, 0 to 1, by steps or by the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ptdiff.choices import Catalog


class Schedule(Protocol):
    """A learning-rate schedule."""

    def share(self, n: int, progress: float) -> float:
        """Fraction of the peak rate, in [0, 1], for the step after ``n`` steps."""
        ...


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from the peak to zero at the end of the run (Loshchilov and Hutter 2017)."""

    def share(self, n: int, progress: float) -> float:
        """(1 + cos(pi min(1, progress))) / 2."""
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


@dataclass(frozen=True)
class Constant:
    """Constant peak rate, for averages of the weights and for runs of unknown length."""

    def share(self, n: int, progress: float) -> float:
        """1 at every step."""
        return 1.0


@dataclass(frozen=True)
class InverseSqrt:
    """Inverse square root, sqrt(steps / n) after n steps, for runs of any length (Karras et al. 2024, eq. 67)."""

    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")

    def share(self, n: int, progress: float) -> float:
        """min(1, sqrt(steps / (n + 1)))."""
        return min(1.0, math.sqrt(self.steps / (n + 1)))


@dataclass(frozen=True)
class Exponential:
    """Exponential decay to a final fraction of the peak at the end of the run: final^progress.

    ``final``: in (0, 1].
    """

    final: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.final <= 1:
            raise ValueError(f"final must lie in (0, 1], not {self.final}")

    def share(self, n: int, progress: float) -> float:
        """final^min(1, progress)."""
        return float(self.final ** min(1.0, progress))


SCHEDULES: Catalog[type[Schedule]] = Catalog(
    "schedule",
    {
        "cosine": Cosine,
        "constant": Constant,
        "inverse-sqrt": InverseSqrt,
        "exponential": Exponential,
    },
)
