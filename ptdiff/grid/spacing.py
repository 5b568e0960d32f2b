"""Spacings: at which times a process is visited, from noise to data.

rho = sigma / alpha, the noise-to-signal ratio.  Spacings that are stated in rho run over [low, high], by default
[RATIO_MIN, RATIO_MAX], where the process goes further: beyond, unit-variance data is noise to 1e-4, or clean to 1e-5
of its variance.  Where it stops short they run over what it has.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ptdiff.process import Process
from ptdiff.process.continuous import check_positive

RATIO_MIN, RATIO_MAX = 0.002, 80.0


class Spacing(Protocol):
    """A rule for which times are visited."""

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times, float64 (n,), from noise to data; ValueError where there are not that many."""
        ...


def falling(n: int) -> Tensor:
    """1 to 0 in ``n`` points, float64; 1 alone for one point."""
    return torch.linspace(1, 0, n, dtype=torch.float64)


def at_ratio(process: Process, ratio: Tensor) -> Tensor:
    """The times of ratios."""
    return process.time(torch.atan(ratio))


def ratio_span(process: Process, low: float = 0.0, high: float = math.inf) -> tuple[float, float]:
    """The ratios a process goes through between ``low`` and ``high``; ValueError where there are none."""
    clean, noisy = (math.inf if angle >= math.pi / 2 else math.tan(angle) for angle in process.ends)
    if not max(clean, low) < min(noisy, high):
        raise ValueError(
            f"the noise-to-signal ratio of this process runs from {clean:.4g} to {noisy:.4g}, "
            f"which leaves nothing of {low:.4g} to {high:.4g}"
        )
    return max(clean, low), min(noisy, high)


@dataclass(frozen=True)
class Uniform:
    """Equal steps of time."""

    def times(self, process: Process, n: int) -> Tensor:
        return falling(n)


@dataclass(frozen=True)
class Quadratic:
    """Equal steps of the root of time (Song et al. 2021, DDIM, appendix D.2)."""

    def times(self, process: Process, n: int) -> Tensor:
        return falling(n) ** 2


@dataclass(frozen=True)
class Beta:
    """Quantiles of the Beta(a, b) distribution of time: dense at both ends (Lee et al. 2024, Beta sampling)."""

    a: float = 0.6
    b: float = 0.6

    def __post_init__(self) -> None:
        check_positive(a=self.a, b=self.b)

    def times(self, process: Process, n: int) -> Tensor:
        from scipy.special import betaincinv

        return torch.as_tensor(betaincinv(self.a, self.b, falling(n).numpy()))


def _geometric(low: float, high: float, n: int) -> Tensor:
    return torch.exp(math.log(low) + math.log(high / low) * falling(n))


@dataclass(frozen=True)
class LogSNR:
    """Equal steps of log-SNR, that is of log rho (Lu et al. 2022, section 3.3)."""

    low: float = RATIO_MIN
    high: float = RATIO_MAX

    def __post_init__(self) -> None:
        check_positive(low=self.low, high=self.high)
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must lie below high {self.high}")

    def times(self, process: Process, n: int) -> Tensor:
        return at_ratio(process, _geometric(*ratio_span(process, self.low, self.high), n))


@dataclass(frozen=True)
class Exponential(LogSNR):
    """Equal steps of log rho under the name that k-diffusion and diffusers have for it: the same as log-snr."""


@dataclass(frozen=True)
class Polyexponential(LogSNR):
    """log rho falls as the power ``rho`` of the step: 1 is log-snr, above 1 is denser near the data (k-diffusion)."""

    rho: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(rho=self.rho)

    def times(self, process: Process, n: int) -> Tensor:
        low, high = ratio_span(process, self.low, self.high)
        return at_ratio(process, torch.exp(math.log(low) + math.log(high / low) * falling(n) ** self.rho))


@dataclass(frozen=True)
class Karras(LogSNR):
    """Equal steps of the noise-to-signal ratio to the power 1/rho (Karras et al. 2022, eq. 5)."""

    rho: float = 7.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(rho=self.rho)

    def times(self, process: Process, n: int) -> Tensor:
        low, high = ratio_span(process, self.low, self.high)
        ends = low ** (1 / self.rho), high ** (1 / self.rho)
        return at_ratio(process, (ends[0] + (ends[1] - ends[0]) * falling(n)) ** self.rho)
