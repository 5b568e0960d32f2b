"""Densities defined in the time t of a process."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.density.form import OfTime, inverse, standard_normal
from ptdiff.process.continuous import check_positive


@dataclass(frozen=True)
class Uniform(OfTime):
    """Uniform t on [0, 1] (Ho et al. 2020)."""

    def time(self, u: Tensor) -> Tensor:
        """t = u."""
        return u

    def log_time_density(self, t: Tensor) -> Tensor:
        """0 everywhere."""
        return torch.zeros_like(t)


@dataclass(frozen=True)
class LogitNormal(OfTime):
    """Logit-normal t: logit(t) ~ N(mean, std^2) (Esser et al. 2024, eq. 19)."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        check_positive(std=self.std)

    def time(self, u: Tensor) -> Tensor:
        """sigmoid(mean + std Phi^-1(u))."""
        return torch.sigmoid(self.mean + self.std * torch.special.ndtri(u))

    def log_time_density(self, t: Tensor) -> Tensor:
        """Log density of the logit-normal distribution."""
        logit = torch.log(t) - torch.log1p(-t)
        return standard_normal((logit - self.mean) / self.std) - math.log(self.std) - torch.log(t) - torch.log1p(-t)


@dataclass(frozen=True)
class Mode(OfTime):
    """Mode sampling of t: a heavy mode at 1/2 for s > 0, heavy ends for s < 0 (Esser et al. 2024, eq. 20).

    t = u + s (u - sin^2(pi u / 2)), -1 <= s <= 2 / (pi - 2).
    """

    s: float = 1.29

    def __post_init__(self) -> None:
        if not -1 <= self.s <= 2 / (math.pi - 2):
            raise ValueError(f"s must lie in [-1, {2 / (math.pi - 2):.4f}], not {self.s}")

    def time(self, u: Tensor) -> Tensor:
        """u + s (u - sin^2(pi u / 2))."""
        return u + self.s * (u - torch.sin(0.5 * math.pi * u).square())

    def log_time_density(self, t: Tensor) -> Tensor:
        """-log dt/du, at u found by bisection."""
        u = inverse(self.time, t)
        return -torch.log(1 + self.s * (1 - 0.5 * math.pi * torch.sin(math.pi * u)))
