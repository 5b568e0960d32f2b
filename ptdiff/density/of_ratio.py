"""Densities defined in the noise-to-signal ratio rho = sigma / alpha, the same for every process."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from ptdiff.density.form import OfRatio, inverse, standard_normal
from ptdiff.process.continuous import check_positive


@dataclass(frozen=True)
class LogNormal(OfRatio):
    """EDM's log-normal: log rho ~ N(mean, std^2) (Karras et al. 2022, table 1).

    The paper's mean of -1.2 is stated for sigma_data = 0.5; for unit variance it is -0.5.
    """

    mean: float = -0.5
    std: float = 1.2

    def __post_init__(self) -> None:
        check_positive(std=self.std)

    def log_ratio(self, u: Tensor) -> Tensor:
        """mean + std Phi^-1(u)."""
        quantile: Tensor = torch.special.ndtri(u)
        return self.mean + self.std * quantile

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        """log N(log rho; mean, std^2)."""
        return standard_normal((log_ratio - self.mean) / self.std) - math.log(self.std)


@dataclass(frozen=True)
class SplitLogNormal(OfRatio):
    """Normal log rho with different widths below and above its mode (k-diffusion's split log-normal)."""

    mode: float = -0.5
    std_low: float = 1.2
    std_high: float = 1.2

    def __post_init__(self) -> None:
        check_positive(std_low=self.std_low, std_high=self.std_high)

    def log_ratio(self, u: Tensor) -> Tensor:
        """Normal quantiles of ``std_low`` below the mode and of ``std_high`` above."""
        total = self.std_low + self.std_high
        # each half belongs to a normal distribution of its own width and has a probability proportional to that width
        low = self.std_low * torch.special.ndtri((u * (total / (2 * self.std_low))).clamp(max=0.5))
        high = -self.std_high * torch.special.ndtri(((1 - u) * (total / (2 * self.std_high))).clamp(max=0.5))
        return self.mode + torch.where(u * total < self.std_low, low, high)

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        """Log density of the two half normals, continuous at the mode."""
        gap = log_ratio - self.mode
        std = torch.where(gap < 0, self.std_low, torch.full_like(gap, self.std_high))
        return standard_normal(gap / std) + math.log(2 / (self.std_low + self.std_high))


@dataclass(frozen=True)
class LogUniform(OfRatio):
    """Uniform log rho from low to high (Tyszkiewicz et al. 2023, GECCO)."""

    low: float = 0.002
    high: float = 80.0

    def __post_init__(self) -> None:
        check_positive(low=self.low, high=self.high)
        if self.low >= self.high:
            raise ValueError(f"low must be below high, not {self.low} with high {self.high}")

    def log_ratio(self, u: Tensor) -> Tensor:
        """log low + u log(high / low)."""
        return math.log(self.low) + math.log(self.high / self.low) * u

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        """-log log(high / low) within [log low, log high], minus infinity outside."""
        inside = (log_ratio >= math.log(self.low)) & (log_ratio <= math.log(self.high))
        height = torch.full_like(log_ratio, -math.log(math.log(self.high / self.low)))
        return torch.where(inside, height, -torch.inf)


@dataclass(frozen=True)
class LogLogistic(OfRatio):
    """Logistic log rho, with heavier tails than log-normal (k-diffusion; Crowson et al. 2024)."""

    mean: float = -0.5
    scale: float = 0.7

    def __post_init__(self) -> None:
        check_positive(scale=self.scale)

    def log_ratio(self, u: Tensor) -> Tensor:
        """mean + scale logit(u)."""
        return self.mean + self.scale * (torch.log(u) - torch.log1p(-u))

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        """Log density of the logistic distribution."""
        z = (log_ratio - self.mean) / self.scale
        return logsigmoid(z) + logsigmoid(-z) - math.log(self.scale)


@dataclass(frozen=True)
class Cosine(OfRatio):
    """Uniform angle, as in v-diffusion and SD3's CosMap; the shift multiplies rho (Hoogeboom et al. 2023).

    rho = shift tan(pi u / 2), p(lambda) = sech(lambda + log shift) / pi.
    """

    shift: float = 1.0

    def __post_init__(self) -> None:
        check_positive(shift=self.shift)

    def log_ratio(self, u: Tensor) -> Tensor:
        """log shift + log tan(pi u / 2)."""
        return math.log(self.shift) + _log_tan(u)

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        """log(sech(log rho - log shift) / pi)."""
        z = log_ratio - math.log(self.shift)
        return math.log(2 / math.pi) + 0.5 * (logsigmoid(2 * z) + logsigmoid(-2 * z))


@dataclass(frozen=True)
class CosineInterpolated(OfRatio):
    """Cosine with a shift from data_shift at the clean end to noise_shift (Hoogeboom et al. 2023).

    log rho = log tan(pi u / 2) + (1 - u) log data_shift + u log noise_shift.
    """

    data_shift: float = 1.0
    noise_shift: float = 2.0

    def __post_init__(self) -> None:
        check_positive(data_shift=self.data_shift, noise_shift=self.noise_shift)
        if self.noise_shift < self.data_shift:
            raise ValueError(f"noise_shift must be at least data_shift {self.data_shift}, not {self.noise_shift}")

    def log_ratio(self, u: Tensor) -> Tensor:
        """log tan(pi u / 2) plus the interpolated log shift."""
        return _log_tan(u) + (1 - u) * math.log(self.data_shift) + u * math.log(self.noise_shift)

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        """Log density by the inverse function theorem, at u found by bisection."""
        u = inverse(self.log_ratio, log_ratio)
        return -torch.log(math.pi / torch.sin(math.pi * u) + math.log(self.noise_shift / self.data_shift))


def _log_tan(u: Tensor) -> Tensor:
    return torch.log(torch.sin(0.5 * math.pi * u)) - torch.log(torch.sin(0.5 * math.pi * (1 - u)))
