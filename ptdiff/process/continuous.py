"""Processes in continuous time, in closed form; symbols as in :mod:`ptdiff.process.level`.

flow            alpha = 1 - t                sigma = t
vp              alpha = exp(-B / 2)          sigma = sqrt(1 - exp(-B))       B(t) = int_0^t beta
sub-vp          alpha = exp(-B / 2)          sigma = 1 - exp(-B)
vp-cosine       alpha = cos(pi t / 2)        sigma = sin(pi t / 2)           without an offset; equal to trigflow
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
    """Raise ValueError, naming it, for a value that is not positive and finite."""
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, not {value}")


@dataclass(frozen=True)
class VPLinear(Process):
    """Variance preserving with linear beta: alpha_t = exp(-1/2 int beta) (Song et al. 2021, eq. 32-33).

    ``beta_min``, ``beta_max``: beta at t = 0 and t = 1, positive.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        check_positive(beta_min=self.beta_min, beta_max=self.beta_max)

    def _integral(self, t: Tensor) -> Tensor:
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) * t * t

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale exp(-B(t) / 2)."""
        return torch.exp(-0.5 * self._integral(t))

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale sqrt(1 - exp(-B(t)))."""
        # expm1 computes 1 - alpha^2 accurately for small t
        return torch.sqrt(-torch.expm1(-self._integral(t)))


@dataclass(frozen=True)
class SubVP(VPLinear):
    """Sub-VP: alpha of vp with sigma = 1 - alpha^2, less noise at every time (Song et al. 2021, eq. 29)."""

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale 1 - exp(-B(t))."""
        return -torch.expm1(-self._integral(t))


@dataclass(frozen=True)
class VPCosine(Process):
    """Variance preserving with a cosine schedule: alpha_t = cos(pi t / 2), pure noise at t = 1.

    With ``offset`` s, alpha_t = cos(pi/2 (t + s) / (1 + s)) / cos(pi/2 s / (1 + s)): Nichol and Dhariwal 2021, eq. 17,
    without clipping beta.  Their s = 0.008 was chosen for epsilon-prediction; without it theta is linear in t.
    """

    offset: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.offset) and self.offset >= 0):
            raise ValueError(f"offset must be finite and at least 0, not {self.offset}")

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale, exactly 0 at t = 1."""
        # the sine of the complement is exactly 0 at t = 1, the cosine of pi/2 is not
        quarter = 0.5 * math.pi / (1 + self.offset)
        return torch.sin(quarter * (1 - t)) / math.sin(quarter)

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale sqrt(1 - alpha^2)."""
        # cos^2 b - cos^2 a = sin(a - b) sin(a + b) computes 1 - alpha^2 accurately for small t
        quarter = 0.5 * math.pi / (1 + self.offset)
        product = torch.sin(quarter * t) * torch.sin(quarter * (t + 2 * self.offset))
        return torch.sqrt(product) / math.sin(quarter)


@dataclass(frozen=True)
class TrigFlow(Process):
    """TrigFlow, the arc from data to noise: the levels of vp-cosine without an offset (Lu and Song 2024)."""

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale cos(pi t / 2)."""
        return torch.sin(0.5 * math.pi * (1 - t))

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale sin(pi t / 2)."""
        return torch.sin(0.5 * math.pi * t)


@dataclass(frozen=True)
class VE(Process):
    """Variance exploding with the time of EDM: alpha = 1 and sigma^(1/rho) linear in t (Karras et al. 2022).

    ``sigma_min``, ``sigma_max``: sigma at t = 0 and t = 1 for data of unit variance; the paper's data has standard
    deviation 0.5.  ``rho``: exponent of eq. 5.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        check_positive(sigma_min=self.sigma_min, sigma_max=self.sigma_max, rho=self.rho)
        if self.sigma_min >= self.sigma_max:
            raise ValueError(f"sigma_min must be below sigma_max, not {self.sigma_min} with sigma_max {self.sigma_max}")
        # refused here and not in sigma(t)
        _ = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale 1."""
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale (sigma_min^(1/rho) + t (sigma_max^(1/rho) - sigma_min^(1/rho)))^rho."""
        low, high = self.sigma_min ** (1 / self.rho), self.sigma_max ** (1 / self.rho)
        root: Tensor = low + t * (high - low)
        return torch.pow(root, self.rho)


@dataclass(frozen=True)
class EDM(VE):
    """The ve process over EDM's published range of sigma, 0.002 to 80, doubled for data of unit variance.

    The published range is stated for sigma_data = 0.5.
    """

    sigma_min: float = 0.004
    sigma_max: float = 160.0


@dataclass(frozen=True)
class VEGeometric(Process):
    """Variance exploding, alpha = 1, log sigma linear in t (NCSN; Song et al. 2021, eq. 30-31).

    ``sigma_min``, ``sigma_max``: sigma at t = 0 and t = 1 for data of unit variance.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        VE(self.sigma_min, self.sigma_max)  # VE checks the same range

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale 1."""
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale sigma_min (sigma_max / sigma_min)^t."""
        return torch.exp(math.log(self.sigma_min) + t * math.log(self.sigma_max / self.sigma_min))


@dataclass(frozen=True)
class Flow(Process):
    """Rectified flow: x_t = (1 - t) x_0 + t eps (Liu et al. 2023, eq. 1; Lipman et al. 2023)."""

    def alpha(self, t: Tensor) -> Tensor:
        """Signal scale 1 - t."""
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        """Noise scale t."""
        return t
