"""Processes: how data turns into noise.

    x_t = alpha_t x_0 + sigma_t eps,   t in [0, 1],  0 = data, 1 = noise,  eps ~ N(0, I)

alpha_t, sigma_t: signal and noise scale at time t; together a Level.
r = hypot(alpha, sigma): standard deviation of x_t for unit-variance data.
theta = atan2(sigma, alpha): the noise level as an angle in [0, pi/2], finite at both ends.
lambda = log(alpha / sigma): half the log-SNR.

E[x_0 | x] depends on (x, alpha, sigma) up to a common factor only, so a model that is told the Level instead of t
samples under every process, whichever it was trained with.  A process is two functions; everything else is derived.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Level:
    """A noise level: alpha and sigma, tensors of one shape: () for a whole batch, or (b,)."""

    alpha: Tensor
    sigma: Tensor

    @property
    def scale(self) -> Tensor:
        """r, the standard deviation of x at this level for unit-variance data."""
        return torch.hypot(self.alpha, self.sigma)

    @property
    def angle(self) -> Tensor:
        """theta in [0, pi/2]."""
        return torch.atan2(self.sigma, self.alpha)

    def like(self, x: Tensor) -> Level:
        """The same level with trailing axes, so that it broadcasts against x (b, …)."""
        if self.alpha.ndim == 0:
            return self
        shape = (-1,) + (1,) * (x.ndim - 1)
        return Level(self.alpha.reshape(shape), self.sigma.reshape(shape))


class Process(ABC):
    """alpha(t) and sigma(t) for t in [0, 1]; elementwise on tensors of any float type, finite at both ends."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale, not increasing in t."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale; sigma / alpha increases with t."""

    def level(self, t: Tensor) -> Level:
        """The noise level at time t."""
        return Level(self.alpha(t), self.sigma(t))

    def time(self, angle: Tensor) -> Tensor:
        """The times whose levels have these angles, float64, by bisection; angles outside are cut off at 0 or 1."""
        low, high = torch.zeros_like(angle, dtype=torch.float64), torch.ones_like(angle, dtype=torch.float64)
        for _ in range(60):
            middle = (low + high) / 2
            above = self.level(middle).angle < angle
            low, high = torch.where(above, middle, low), torch.where(above, high, middle)
        return (low + high) / 2


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, not {value}")


@dataclass(frozen=True)
class VPLinear(Process):
    """Variance preserving with linear beta: alpha_t = exp(-1/2 int beta) (Song et al. 2021, eq. 32-33)."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        _positive(beta_min=self.beta_min, beta_max=self.beta_max)

    def _integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t * t

    def alpha(self, t: Tensor) -> Tensor:
        return torch.exp(-0.5 * self._integral(t))

    def sigma(self, t: Tensor) -> Tensor:
        # expm1 keeps the digits of 1 - alpha^2 where t is small
        return torch.sqrt(-torch.expm1(-self._integral(t)))


@dataclass(frozen=True)
class VPCosine(Process):
    """Variance preserving, alpha_t = cos(pi t / 2): theta is linear in t, and t = 1 is pure noise.

    Nichol and Dhariwal 2021, eq. 17, without the offset s and the clipping, which only served their epsilon target.
    """

    def alpha(self, t: Tensor) -> Tensor:
        # sin of the complement is exactly 0 at t = 1, where cos(pi/2) is not
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
        _positive(sigma_min=self.sigma_min, sigma_max=self.sigma_max, rho=self.rho)
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min {self.sigma_min} must lie below sigma_max {self.sigma_max}")

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        root: Tensor = low + t * (high - low)
        return torch.pow(root, self.rho)


@dataclass(frozen=True)
class Flow(Process):
    """Rectified flow: x_t = (1 - t) x_0 + t eps (Liu et al. 2023, eq. 1; Lipman et al. 2023)."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t


PROCESSES: dict[str, type[Process]] = {"flow": Flow, "vp": VPLinear, "vp-cosine": VPCosine, "ve": VE}
