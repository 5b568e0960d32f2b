"""Averages of the weights.

    average <- d_n average + (1 - d_n) weights        at update n = 0, 1, 2, …

An average is its schedule of decays d_n:

    fixed       d = min(decay, (1 + n) / (10 + n)): constant, after a warm-up that forgets the first, useless weights
    warm-up     d = 1 - (1 + n / inverse_gamma)^-power, between min and max
    power       d = (1 - 1 / (n + 1))^(gamma + 1): a profile like t^gamma, with relative width ``std``
    uniform     d = m / (m + 1), m = max(0, n - start): equal weights from ``start`` on
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ptdiff.choices import Catalog, choose
from ptdiff.run.config import Training
from ptdiff.run.posthoc import exponent
from ptdiff.training.sharded import local, spread


class Average(Protocol):
    """A schedule of decays."""

    def keep(self, n: int) -> float:
        """d_n in [0, 1]: the fraction of the old average that update n = 0, 1, … keeps."""
        ...


@dataclass(frozen=True)
class Fixed:
    """Constant decay, warmed up as in TensorFlow's ExponentialMovingAverage.

    ``decay``: in [0, 1).
    """

    decay: float = 0.998

    def __post_init__(self) -> None:
        if not 0 <= self.decay < 1:
            raise ValueError(f"decay must lie in [0, 1), not {self.decay}")

    def keep(self, n: int) -> float:
        """min(decay, (1 + n) / (10 + n))."""
        return min(self.decay, (1 + n) / (10 + n))


@dataclass(frozen=True)
class WarmUp:
    """Decay that rises with the updates by a power law: power 2/3 for 1e6 steps or more, 3/4 for fewer."""

    inverse_gamma: float = 1.0
    power: float = 0.75
    min: float = 0.0
    max: float = 0.9999
    start: int = 0

    def __post_init__(self) -> None:
        if not (self.inverse_gamma > 0 and self.power > 0 and 0 <= self.min <= self.max <= 1 and self.start >= 0):
            raise ValueError("inverse_gamma and power must be positive, 0 <= min <= max <= 1 and start at least 0")

    def keep(self, n: int) -> float:
        """1 - (1 + n / inverse_gamma)^-power, clipped to [min, max]; 0 before ``start``."""
        passed = n - self.start
        if passed <= 0:
            # no averaging before the start
            return 0.0
        return float(min(self.max, max(self.min, 1 - (1 + passed / self.inverse_gamma) ** -self.power)))


@dataclass(frozen=True)
class Power:
    """Power-function average of a given relative width, without a warm-up (Karras et al. 2024, eq. 2-4).

    The width ``std`` is a fraction of the run so far; the weights at time t count in proportion to t^gamma.  Two or
    more of these averages, with snapshots, allow an average of any width after training (:mod:`ptdiff.run.posthoc`).
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        exponent(self.std)

    @property
    def gamma(self) -> float:
        """Exponent of the profile."""
        return exponent(self.std)

    def keep(self, n: int) -> float:
        """(1 - 1 / (n + 1))^(gamma + 1)."""
        return float((1 - 1 / (n + 1)) ** (self.gamma + 1))


@dataclass(frozen=True)
class Uniform:
    """Plain mean of all weights from a given update on: stochastic weight averaging (Izmailov et al. 2018)."""

    start: int = 0

    def __post_init__(self) -> None:
        if self.start < 0:
            raise ValueError(f"start must be at least 0, not {self.start}")

    def keep(self, n: int) -> float:
        """m / (m + 1), m = max(0, n - start)."""
        passed = max(0, n - self.start)
        return passed / (passed + 1)


AVERAGES: Catalog[type[Average]] = Catalog(
    "average", {"fixed": Fixed, "warm-up": WarmUp, "power": Power, "uniform": Uniform}
)


class EMA:
    """Averaged copies of a module's parameters and buffers; integer buffers are copied unchanged.

    Create it after the module is on its device: it keeps references to the module's tensors.  If those are sharded, so
    is the average.  A float is short for ``Fixed``.
    """

    def __init__(self, module: nn.Module, average: Average | float) -> None:
        self.schedule = Fixed(average) if isinstance(average, (int, float)) else average
        self.updates = 0
        live = {name: value.detach() for name, value in module.state_dict().items()}
        self.average = {name: value.clone() for name, value in live.items()}
        floating = [name for name, value in live.items() if value.is_floating_point()]
        # every element is averaged by itself, so a rank needs only its own
        self._floats = [local(self.average[name]) for name in floating], [local(live[name]) for name in floating]
        self._others = [(self.average[name], live[name]) for name in live if name not in set(floating)]

    @torch.no_grad()
    def update(self) -> None:
        """Take the module's current weights into the average."""
        decay = self.schedule.keep(self.updates)
        self.updates += 1
        torch._foreach_lerp_(*self._floats, 1 - decay)
        for average, value in self._others:
            average.copy_(value)

    @property
    def decay(self) -> float:
        """Decay of the last update; before the first update, that of the first."""
        return self.schedule.keep(max(0, self.updates - 1))

    @torch.no_grad()
    def load(self, average: Mapping[str, Tensor], updates: int) -> None:
        """Restore a saved average, whose tensors are whole."""
        for name, value in spread(average, self.average).items():
            self.average[name].copy_(value)
        self.updates = updates


def averages_of(plan: Training) -> list[Average]:
    """The averages of a configuration, ``ema`` first; ValueError for snapshots without a power average."""
    found = [choose("average", AVERAGES, choice) for choice in (plan.ema, *plan.averages)]
    if plan.snapshots and not any(isinstance(average, Power) for average in found):
        raise ValueError(
            "training.snapshots need a power average: "
            "set training.averages to [{name: power, std: 0.05}, {name: power, std: 0.1}]"
        )
    return found


def part_name(index: int) -> str:
    """Name of an average in checkpoints and on the command line: ema, ema-1, ema-2, …"""
    return f"ema-{index}" if index else "ema"


def profiles(averages: list[EMA]) -> dict[str, dict[str, float]]:
    """Profiles of the power averages by name, as plain values (ptdiff.run.posthoc.Profile)."""
    return {
        part_name(index): {"updates": average.updates, "std": average.schedule.std}
        for index, average in enumerate(averages)
        if isinstance(average.schedule, Power)
    }
