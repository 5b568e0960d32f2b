"""Densities stated in the noise-to-signal ratio rho = sigma / alpha, whatever the process."""

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
    """log rho ~ N(mean, std^2) (Karras et al. 2022, table 1; their -1.2 for sigma_data 0.5 is -0.5 for unit
    variance)."""

    mean: float = -0.5
    std: float = 1.2

    def __post_init__(self) -> None:
        check_positive(std=self.std)

    def log_ratio(self, u: Tensor) -> Tensor:
        quantile: Tensor = torch.special.ndtri(u)
        return self.mean + self.std * quantile

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        return standard_normal((log_ratio - self.mean) / self.std) - math.log(self.std)


@dataclass(frozen=True)
class SplitLogNormal(OfRatio):
    """log rho normal with one width below its mode and another above (k-diffusion's split log-normal)."""

    mode: float = -0.5
    std_low: float = 1.2
    std_high: float = 1.2

    def __post_init__(self) -> None:
        check_positive(std_low=self.std_low, std_high=self.std_high)

    def log_ratio(self, u: Tensor) -> Tensor:
        total = self.std_low + self.std_high
        # each half is that of a normal distribution of its own width, with the share that its width has of the total
        low = self.std_low * torch.special.ndtri((u * (total / (2 * self.std_low))).clamp(max=0.5))
        high = -self.std_high * torch.special.ndtri(((1 - u) * (total / (2 * self.std_high))).clamp(max=0.5))
        return self.mode + torch.where(u * total < self.std_low, low, high)

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        gap = log_ratio - self.mode
        std = torch.where(gap < 0, self.std_low, torch.full_like(gap, self.std_high))
        return standard_normal(gap / std) + math.log(2 / (self.std_low + self.std_high))


@dataclass(frozen=True)
class LogUniform(OfRatio):
    """log rho uniform (Tyszkiewicz et al. 2023, GECCO)."""

    low: float = 0.002
    high: float = 80.0

    def __post_init__(self) -> None:
        check_positive(low=self.low, high=self.high)
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must lie below high {self.high}")

    def log_ratio(self, u: Tensor) -> Tensor:
        return math.log(self.low) + math.log(self.high / self.low) * u

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        inside = (log_ratio >= math.log(self.low)) & (log_ratio <= math.log(self.high))
        height = torch.full_like(log_ratio, -math.log(math.log(self.high / self.low)))
        return torch.where(inside, height, -torch.inf)


@dataclass(frozen=True)
class LogLogistic(OfRatio):
    """log rho logistic about mean: tails heavier than the log-normal's (k-diffusion; Crowson et al. 2024)."""

    mean: float = -0.5
    scale: float = 0.7

    def __post_init__(self) -> None:
        check_positive(scale=self.scale)

    def log_ratio(self, u: Tensor) -> Tensor:
        return self.mean + self.scale * (torch.log(u) - torch.log1p(-u))

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        z = (log_ratio - self.mean) / self.scale
        return logsigmoid(z) + logsigmoid(-z) - math.log(self.scale)


@dataclass(frozen=True)
class Cosine(OfRatio):
    """The angle uniform, as for v-diffusion and SD3's CosMap; a shift multiplies rho (Hoogeboom et al. 2023).

    rho = shift tan(pi u / 2), p(lambda) = sech(lambda + log shift) / pi.
    """

    shift: float = 1.0

    def __post_init__(self) -> None:
        check_positive(shift=self.shift)

    def log_ratio(self, u: Tensor) -> Tensor:
        return math.log(self.shift) + _log_tan(u)

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        z = log_ratio - math.log(self.shift)
        return math.log(2 / math.pi) + 0.5 * (logsigmoid(2 * z) + logsigmoid(-2 * z))


@dataclass(frozen=True)
class CosineInterpolated(OfRatio):
    """cosine with a shift that goes from data_shift at the clean end to noise_shift (Hoogeboom et al. 2023).

    log rho = log tan(pi u / 2) + (1 - u) log data_shift + u log noise_shift.
    """

    data_shift: float = 1.0
    noise_shift: float = 2.0

    def __post_init__(self) -> None:
        check_positive(data_shift=self.data_shift, noise_shift=self.noise_shift)
        if self.noise_shift < self.data_shift:
            raise ValueError(f"noise_shift {self.noise_shift} must not lie below data_shift {self.data_shift}")

    def log_ratio(self, u: Tensor) -> Tensor:
        return _log_tan(u) + (1 - u) * math.log(self.data_shift) + u * math.log(self.noise_shift)

    def log_ratio_density(self, log_ratio: Tensor) -> Tensor:
        u = inverse(self.log_ratio, log_ratio)
        return -torch.log(math.pi / torch.sin(math.pi * u) + math.log(self.noise_shift / self.data_shift))


def _log_tan(u: Tensor) -> Tensor:
    return torch.log(torch.sin(0.5 * math.pi * u)) - torch.log(torch.sin(0.5 * math.pi * (1 - u)))
