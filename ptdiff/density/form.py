"""Densities: the distribution of noise levels in training.

A density maps uniform numbers u in (0, 1) to noise levels by its inverse distribution function.  Only the ratio of a
level matters to a denoiser, so a density may be defined in the time t of a process or, for any process, in the
noise-to-signal ratio rho = sigma / alpha.

lambda = log(alpha / sigma) = -log rho is half the log-SNR.  Every density also has a form over lambda; one in t with
the probability density p_t has p(lambda) = p_t(t) / |d lambda / dt|.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from ptdiff.process import Level, Process

LEAST, MOST = math.ulp(0.5) / 2, 1 - math.ulp(0.5)
"""The smallest and largest uniform number that densities have to map."""


class Density(Protocol):
    """The distribution of noise levels in training."""

    def levels(self, u: Tensor, process: Process) -> Level:
        """Map u in (0, 1), float64 (b,), to levels (b,) by the inverse distribution function."""
        ...

    def log_density(self, half_log_snr: Tensor, process: Process) -> Tensor:
        """log p(lambda), float64, shaped like ``half_log_snr``; minus infinity outside the support."""
        ...


class OfTime(ABC):
    """A density defined in t."""

    @abstractmethod
    def time(self, u: Tensor) -> Tensor:
        """Inverse distribution function: u in (0, 1), float64 (b,), to times (b,)."""

    @abstractmethod
    def log_time_density(self, t: Tensor) -> Tensor:
        """log p_t(t) for t in (0, 1)."""

    def levels(self, u: Tensor, process: Process) -> Level:
        """Levels of ``process`` at the times of ``u``."""
        return process.level(self.time(u))

    def log_density(self, half_log_snr: Tensor, process: Process) -> Tensor:
        """log p_t(t) - log |d lambda / dt|; minus infinity outside the range of the process."""
        angle = torch.atan(torch.exp(-half_log_snr.double()))
        clean, noisy = process.ends
        t = process.time(angle).clamp(LEAST, MOST)
        inside = self.log_time_density(t) - torch.log(-process.rate(t))
        return torch.where((angle > clean) & (angle < noisy), inside, -torch.inf)


class OfRatio(ABC):
    """A density defined in log rho, the same for every process."""

    @abstractmethod
    def log_ratio(self, u: Tensor) -> Tensor:
        """Inverse distribution function: u in (0, 1), float64 (b,), to log rho (b,)."""

    @abstractmethod
    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        """log p(log rho), float64, shaped like ``log_ratio``."""

    def levels(self, u: Tensor, process: Process) -> Level:
        """Levels with alpha^2 + sigma^2 = 1, for any process."""
        angle = torch.atan(torch.exp(self.log_ratio(u)))
        return Level(torch.cos(angle), torch.sin(angle))

    def log_density(self, half_log_snr: Tensor, process: Process) -> Tensor:
        """log p(log rho) at log rho = -lambda."""
        return self.log_ratio_density(-half_log_snr.double())


def standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, 1), elementwise."""
    return -0.5 * z.square() - 0.5 * math.log(2 * math.pi)


def inverse(rising: Callable[[Tensor], Tensor], value: Tensor) -> Tensor:
    """Solve ``rising(x) = value`` for x in [0, 1] by bisection, elementwise, for an increasing function."""
    low, high = torch.zeros_like(value), torch.ones_like(value)
    for _ in range(60):
        middle = (low + high) / 2
        below = rising(middle) < value
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


def stratified(offset: Tensor, count: int) -> Tensor:
    """Spread ``count`` uniform numbers evenly over (0, 1), shifted by ``offset`` in (0, 1).

    Each is uniform; together they have low discrepancy (Kingma et al. 2021, appendix I.1).  Float64 (count,), or (m,
    count) for offsets (m, 1).
    """
    u = torch.remainder(offset + torch.arange(count, dtype=torch.float64, device=offset.device) / count, 1.0)
    return u.clamp(min=LEAST, max=MOST)
