"""Spacings: the times at which a process is visited, from noise to data.

rho = sigma / alpha, the noise-to-signal ratio.  Spacings defined in rho run over [low, high], by default [RATIO_MIN,
RATIO_MAX], or over the part of it that the process covers.  Beyond these limits, unit-variance data is noise up to
1e-4, or clean up to 1e-5, of its variance.
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
    """A rule that selects the times to visit."""

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times in [0, 1], float64 (n,), from noise to data; ValueError if there are fewer."""
        ...


def falling(n: int) -> Tensor:
    """``n`` evenly spaced points from 1 to 0, float64 (n,); 1 alone for n = 1."""
    return torch.linspace(1, 0, n, dtype=torch.float64)


def at_ratio(process: Process, ratio: Tensor) -> Tensor:
    """Times at which the process has these noise-to-signal ratios."""
    return process.time(torch.atan(ratio))


def ratio_span(process: Process, low: float = 0.0, high: float = math.inf) -> tuple[float, float]:
    """The range of ratios of a process within [low, high]; ValueError if it is empty."""
    clean, noisy = (math.inf if angle >= math.pi / 2 else math.tan(angle) for angle in process.ends)
    if not max(clean, low) < min(noisy, high):
        raise ValueError(
            f"the noise-to-signal ratio of this process runs from {clean:.4g} to {noisy:.4g}, "
            f"which does not overlap {low:.4g} to {high:.4g}"
        )
    return max(clean, low), min(noisy, high)


@dataclass(frozen=True)
class Uniform:
    """Equal steps of time."""

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times at equal steps, from 1 to 0."""
        return falling(n)


@dataclass(frozen=True)
class Quadratic:
    """Equal steps of the square root of time (Song et al. 2021, DDIM, appendix D.2)."""

    def times(self, process: Process, n: int) -> Tensor:
        """Squares of ``n`` evenly spaced points."""
        return falling(n) ** 2


@dataclass(frozen=True)
class Beta:
    """Quantiles of the Beta(a, b) distribution of time, dense at both ends (Lee et al. 2024, Beta sampling)."""

    a: float = 0.6
    b: float = 0.6

    def __post_init__(self) -> None:
        check_positive(a=self.a, b=self.b)

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` quantiles at equal steps of probability."""
        from scipy.special import betaincinv

        return torch.as_tensor(betaincinv(self.a, self.b, falling(n).numpy()))


def _geometric(low: float, high: float, n: int) -> Tensor:
    return torch.exp(math.log(low) + math.log(high / low) * falling(n))


@dataclass(frozen=True)
class LogSNR:
    """Equal steps of log-SNR, that is of log rho (Lu et al. 2022, section 3.3).

    ``low``, ``high``: range of rho = sigma / alpha, positive.
    """

    low: float = RATIO_MIN
    high: float = RATIO_MAX

    def __post_init__(self) -> None:
        check_positive(low=self.low, high=self.high)
        if self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low} with high {self.high}")

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times at equal steps of log rho."""
        return at_ratio(process, _geometric(*ratio_span(process, self.low, self.high), n))


@dataclass(frozen=True)
class Exponential(LogSNR):
    """Equal steps of log rho: another name of log-snr, as in k-diffusion and diffusers."""


@dataclass(frozen=True)
class Polyexponential(LogSNR):
    """Log rho falls as a power of the step: 1 is log-snr, above 1 is denser near the data (k-diffusion).

    ``rho``: the power, positive.  ``low``, ``high``: range of sigma / alpha.
    """

    rho: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(rho=self.rho)

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times at log-ratios log low + log(high / low) (1 - i / (n - 1))^rho."""
        low, high = ratio_span(process, self.low, self.high)
        return at_ratio(process, torch.exp(math.log(low) + math.log(high / low) * falling(n) ** self.rho))


@dataclass(frozen=True)
class Karras(LogSNR):
    """Equal steps of the noise-to-signal ratio to the power 1/rho (Karras et al. 2022, eq. 5).

    ``rho``: the power, positive.  ``low``, ``high``: range of sigma / alpha.
    """

    rho: float = 7.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(rho=self.rho)

    def times(self, process: Process, n: int) -> Tensor:
        """``n`` times at ratios (high^(1/rho) + i / (n - 1) (low^(1/rho) - high^(1/rho)))^rho."""
        low, high = ratio_span(process, self.low, self.high)
        ends = low ** (1 / self.rho), high ** (1 / self.rho)
        return at_ratio(process, (ends[0] + (ends[1] - ends[0]) * falling(n)) ** self.rho)
