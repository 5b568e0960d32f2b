"""Averages of the weights.

    average <- d_n average + (1 - d_n) weights        at update n = 0, 1, 2, …

An average is its schedule of decays d_n:

    fixed       d = min(decay, (1 + n) / (10 + n)): constant, after a warm-up that forgets the first, useless weights
    warm-up     d = 1 - (1 + n / inverse_gamma)^-power, between min and max
    power       d = (1 - 1 / (n + 1))^(gamma + 1): a profile like t^gamma, as wide as ``std`` of the run
    uniform     d = m / (m + 1), m = max(0, n - start): equal weights from ``start`` on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ptdiff.choices import choose
from ptdiff.run.config import Training
from ptdiff.run.posthoc import exponent


class Average(Protocol):
    """A schedule of decays."""

    def keep(self, n: int) -> float:
        """d_n, in [0, 1]: the share of the old average that update n = 0, 1, … keeps."""
        ...


@dataclass(frozen=True)
class Fixed:
    """A constant decay, warmed up as in TensorFlow's ExponentialMovingAverage."""

    decay: float = 0.998

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"the decay of an EMA must lie in [0, 1), not {self.decay}")

    def keep(self, n: int) -> float:
        return min(self.decay, (1 + n) / (10 + n))


@dataclass(frozen=True)
class WarmUp:
    """A decay that rises with the updates by a power law: power 2/3 for 1e6 and more steps, 3/4 for fewer."""

    inverse_gamma: float = 1.0
    power: float = 0.75
    min: float = 0.0
    max: float = 0.9999
    start: int = 0

    def __post_init__(self) -> None:
        if not (self.inverse_gamma > 0 and self.power > 0 and 0 <= self.min <= self.max <= 1 and self.start >= 0):
            raise ValueError("inverse_gamma and power must be positive, 0 <= min <= max <= 1 and start not negative")

    def keep(self, n: int) -> float:
        passed = n - self.start
        if passed <= 0:
            # nothing is averaged before the start
            return 0.0
        return float(min(self.max, max(self.min, 1 - (1 + passed / self.inverse_gamma) ** -self.power)))


@dataclass(frozen=True)
class Power:
    """A power-function average of relative width ``std``: of the run so far, so that it needs no warm-up.

    Karras et al. 2024, eq. 2-4: weight of the weights at time t proportional to t^gamma.  Two or more of them, with
    snapshots kept, give an average of any width afterwards (:mod:`ptdiff.run.posthoc`).
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        exponent(self.std)

    @property
    def gamma(self) -> float:
        """The exponent of the profile."""
        return exponent(self.std)

    def keep(self, n: int) -> float:
        return float((1 - 1 / (n + 1)) ** (self.gamma + 1))


@dataclass(frozen=True)
class Uniform:
    """The plain mean of all weights from update ``start`` on: stochastic weight averaging (Izmailov et al. 2018)."""

    start: int = 0

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"start must be at least 0, not {self.start}")

    def keep(self, n: int) -> float:
        passed = max(0, n - self.start)
        return passed / (passed + 1)


AVERAGES: dict[str, type[Average]] = {"fixed": Fixed, "warm-up": WarmUp, "power": Power, "uniform": Uniform}


class EMA:
    """Averaged copies of a module's parameters and buffers; integer buffers are copied as they are.

    Make it after the module is on its device: it keeps references to the module's tensors.  A number is short for
    ``Fixed``.
    """

    def __init__(self, module: nn.Module, average: Average | float) -> None:
        self.schedule = Fixed(average) if isinstance(average, (int, float)) else average
        self.updates = 0
        live = {name: value.detach() for name, value in module.state_dict().items()}
        self.average = {name: value.clone() for name, value in live.items()}
        floating = [name for name, value in live.items() if value.is_floating_point()]
        self._floats = [self.average[name] for name in floating], [live[name] for name in floating]
        self._others = [(self.average[name], live[name]) for name in live if name not in set(floating)]

    @torch.no_grad()
    def update(self) -> None:
        """Take the module's present weights into the average."""
        decay = self.schedule.keep(self.updates)
        self.updates += 1
        torch._foreach_lerp_(*self._floats, 1 - decay)
        for average, value in self._others:
            average.copy_(value)

    @property
    def decay(self) -> float:
        """That of the last update; of the first, where there was none yet."""
        return self.schedule.keep(max(0, self.updates - 1))

    @torch.no_grad()
    def load(self, average: Mapping[str, Tensor], updates: int) -> None:
        """Go on from a saved average."""
        for name, value in average.items():
            self.average[name].copy_(value)
        self.updates = updates


def averages_of(plan: Training) -> list[Average]:
    """The averages that a configuration asks for, ``ema`` first; ValueError for snapshots without a power average."""
    found = [choose("average", AVERAGES, choice) for choice in (plan.ema, *plan.averages)]
    if plan.snapshots and not any(isinstance(average, Power) for average in found):
        raise ValueError(
            "training.snapshots are of power averages, and there is none: "
            "set training.averages to [{name: power, std: 0.05}, {name: power, std: 0.1}]"
        )
    return found


def part_name(index: int) -> str:
    """What an average is called in checkpoints and on the command line: ema, ema-1, ema-2, …"""
    return f"ema-{index}" if index else "ema"


def profiles(averages: list[EMA]) -> dict[str, dict[str, float]]:
    """The profiles of those that are power averages, by name, as plain values (ptdiff.run.posthoc.Profile)."""
    return {
        part_name(index): {"updates": average.updates, "std": average.schedule.std}
        for index, average in enumerate(averages)
        if isinstance(average.schedule, Power)
    }
