"""Learning-rate schedules: the share of the peak rate at each step.  A linear warm-up multiplies each of them.

n: steps done.   progress: how far the run is, 0 to 1, by steps or by the clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol


class Schedule(Protocol):
    """How the learning rate falls."""

    def share(self, n: int, progress: float) -> float:
        """The share of the peak rate, in [0, 1], of the step after n steps."""
        ...


@dataclass(frozen=True)
class Cosine:
    """Half a cosine, from the peak down to zero at the end of the run (Loshchilov and Hutter 2017)."""

    def share(self, n: int, progress: float) -> float:
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


@dataclass(frozen=True)
class Constant:
    """The peak rate to the end: for averages of the weights, and for runs whose end is not known."""

    def share(self, n: int, progress: float) -> float:
        return 1.0


@dataclass(frozen=True)
class InverseSqrt:
    """sqrt(steps / n) after so many steps (Karras et al. 2024, eq. 67): needs no end either."""

    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")

    def share(self, n: int, progress: float) -> float:
        return min(1.0, math.sqrt(self.steps / (n + 1)))


@dataclass(frozen=True)
class Exponential:
    """final^progress: the same factor every step, down to ``final`` at the end of the run."""

    final: float = 0.01

    def __post_init__(self) -> None:
        if not 0 < self.final <= 1:
            raise ValueError(f"final must lie in (0, 1], not {self.final}")

    def share(self, n: int, progress: float) -> float:
        return float(self.final ** min(1.0, progress))


SCHEDULES: dict[str, type[Schedule]] = {
    "cosine": Cosine,
    "constant": Constant,
    "inverse-sqrt": InverseSqrt,
    "exponential": Exponential,
}
