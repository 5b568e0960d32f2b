"""Processes in continuous time, in closed form; symbols as in :mod:`ptdiff.process.level`.

flow            alpha = 1 - t                sigma = t
vp              alpha = exp(-B / 2)          sigma = sqrt(1 - exp(-B))       B(t) = int_0^t beta
sub-vp          alpha = exp(-B / 2)          sigma = 1 - exp(-B)
vp-cosine       alpha = cos(pi t / 2)        sigma = sin(pi t / 2)           trigflow; an offset bends it
ve, edm         alpha = 1                    sigma^(1/rho) linear in t
ve-geometric    alpha = 1                    log sigma linear in t
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.process.level import Process


def check_positive(**values: float) -> None:
    """ValueError, naming it, for a value that is not positive and finite."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, not {value}")


@dataclass(frozen=True)
class VPLinear(Process):
    """Variance preserving with linear beta: alpha_t = exp(-1/2 int beta) (Song et al. 2021, eq. 32-33)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        check_positive(beta_min=self.beta_min, beta_max=self.beta_max)

    def _integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t * t

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-0.5 * self._integral(t))

    def sigma(self, t: Tensor) -> Tensor:
        # expm1 keeps the digits of 1 - alpha^2 where t is small
        return torch.sqrt(-torch.expm1(-self._integral(t)))


@dataclass(frozen=True)
class SubVP(VPLinear):
    """Sub-VP: the alpha of vp with sigma = 1 - alpha^2, less noise at every time (Song et al. 2021, eq. 29)."""

    def sigma(self, t: Tensor) -> Tensor:
        return -torch.expm1(-self._integral(t))


@dataclass(frozen=True)
class VPCosine(Process):
    """Variance preserving, alpha_t = cos(pi/2 (t + s) / (1 + s)) / cos(pi/2 s / (1 + s)): t = 1 is pure noise.

    Nichol and Dhariwal 2021, eq. 17, without the clipping of beta.  The offset s, 0.008 there, served their epsilon
    target; without it theta is linear in t.
    """

    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset) and self.offset >= 0):
            raise ValueError(f"offset must be zero or more and finite, not {self.offset}")

    def alpha(self, t: Tensor) -> Tensor:
        # sin of the complement is exactly 0 at t = 1, where cos(pi/2) is not
        quarter = 0.5 * math.pi / (1 + self.offset)
        return torch.sin(quarter * (1 - t)) / math.sin(quarter)

    def sigma(self, t: Tensor) -> Tensor:
        # cos^2 b - cos^2 a = sin(a - b) sin(a + b) keeps the digits of 1 - alpha^2 where t is small
        quarter = 0.5 * math.pi / (1 + self.offset)
        product = torch.sin(quarter * t) * torch.sin(quarter * (t + 2 * self.offset))
        return torch.sqrt(product) / math.sin(quarter)


@dataclass(frozen=True)
class TrigFlow(Process):
    """TrigFlow, the arc from data to noise (Lu and Song 2024): the same levels as vp-cosine without an offset."""

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sin(0.5 * math.pi * (1 - t))

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sin(0.5 * math.pi * t)


@dataclass(frozen=True)
class VE(Process):
    """Variance exploding, alpha = 1, sigma from sigma_min to sigma_max, sigma^(1/rho) linear in t (EDM).

    Karras et al. 2022, eq. 5, for data of unit variance (theirs has sigma_data = 0.5).
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        check_positive(sigma_min=self.sigma_min, sigma_max=self.sigma_max, rho=self.rho)
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min {self.sigma_min} must lie below sigma_max {self.sigma_max}")

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        root: Tensor = low + t * (high - low)
        return torch.pow(root, self.rho)


@dataclass(frozen=True)
class EDM(VE):
    """ve over the published range of EDM, 0.002 to 80 for sigma_data = 0.5, in units of unit-variance data."""

    sigma_min: float = 0.004
    sigma_max: float = 160.0


@dataclass(frozen=True)
class VEGeometric(Process):
    """Variance exploding, alpha = 1, log sigma linear in t (NCSN; Song et al. 2021, eq. 30-31)."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        VE(self.sigma_min, self.sigma_max)  # the same range, checked in the same words

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return torch.exp(math.log(self.sigma_min) + t * math.log(self.sigma_max / self.sigma_min))


@dataclass(frozen=True)
class Flow(Process):
    """Rectified flow: x_t = (1 - t) x_0 + t eps (Liu et al. 2023, eq. 1; Lipman et al. 2023)."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t
