"""Weightings: how much an error counts at each noise level, always stated for the error of x_0.

    objective at a level = w |D - x_0|^2

c = alpha / r, s = sigma / r: cosine and sine of the level's angle;  snr = c^2 / s^2 = 1 / rho^2.
t = s / (c + s): time of the flow process at that angle.   lambda = log(alpha / sigma), half the log-SNR.
p(lambda): density of the levels that are trained on.

Weights live in a space.  A factor multiplied onto an eps-, velocity- or flow-error is another weighting than the same
factor on x_0; the docstrings translate.  The plain mean squared errors of x_0, eps, velocity and flow are ``uniform``,
``snr``, ``edm`` and ``sigma-sqrt``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.objective.factors import Factors, Setting, Weighting, cos_sin, out_squared
from ptdiff.process import Level


@dataclass(frozen=True)
class Prediction:
    """w = 1 / out^2: the plain error of whatever the network predicts, y."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        out = out_squared(level, setting.prediction)
        return Factors(-out.cos, -out.sin, 1 / out.rest)


@dataclass(frozen=True)
class Uniform:
    """w = 1: the plain error of x_0."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        return Factors(0, 0, 1.0)


@dataclass(frozen=True)
class SNR:
    """w = snr: the plain error of eps, "simple" (Ho et al. 2020, eq. 14)."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        return Factors(2, -2, 1.0)


@dataclass(frozen=True)
class MinSNR:
    """w = min(snr, gamma) (Hang et al. 2023: w_t = min(SNR(t), gamma) for x_0; min(snr, gamma) / snr for eps)."""

    gamma: float = 5.0

    def __post_init__(self) -> None:
        _positive(gamma=self.gamma)

    def factors(self, level: Level, setting: Setting) -> Factors:
        cos, sin = cos_sin(level)
        return Factors(2, 0, 1 / torch.maximum(sin.square(), cos.square() / self.gamma))


@dataclass(frozen=True)
class SoftMinSNR:
    """w = gamma snr / (snr + gamma): min(snr, gamma) without its kink (Crowson et al. 2024, HDiT).

    Theirs is 1 / (sigma^2 + 1 / gamma) with gamma = 4 for data of deviation 1/2: gamma = 1 for unit variance, where
    the weight of the velocity error is snr / (1 + snr)^2, a quarter of what k-diffusion calls soft-min-snr.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        _positive(gamma=self.gamma)

    def factors(self, level: Level, setting: Setting) -> Factors:
        cos, sin = cos_sin(level)
        return Factors(2, 0, 1 / (sin.square() + cos.square() / self.gamma))


@dataclass(frozen=True)
class TruncatedSNR:
    """w = max(snr, 1) (Salimans and Ho 2022, section 4: truncated SNR, the larger of the x_0 and the eps error)."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        cos, sin = cos_sin(level)
        return Factors(0, -2, torch.maximum(cos, sin).square())


@dataclass(frozen=True)
class SNRPlusOne:
    """w = snr + 1: the plain error of velocity (Salimans and Ho 2022, section 4: SNR+1)."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        return Factors(0, -2, 1.0)


@dataclass(frozen=True)
class P2:
    """w = snr / (k + snr)^gamma: the eps error divided by (k + SNR)^gamma (Choi et al. 2022)."""

    k: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        _positive(k=self.k)
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"gamma must be at least 0 and finite, not {self.gamma}")

    def factors(self, level: Level, setting: Setting) -> Factors:
        cos, sin = cos_sin(level)
        return Factors(2, 2 * self.gamma - 2, (cos.square() + self.k * sin.square()) ** -self.gamma)


@dataclass(frozen=True)
class EDM:
    """w = snr + 1 / sigma_data^2 (Karras et al. 2022, table 1: lambda(sigma)); for unit variance the velocity error."""

    sigma_data: float = 1.0

    def __post_init__(self) -> None:
        _positive(sigma_data=self.sigma_data)

    def factors(self, level: Level, setting: Setting) -> Factors:
        cos, sin = cos_sin(level)
        return Factors(0, -2, cos.square() + (sin / self.sigma_data).square())


@dataclass(frozen=True)
class Sigmoid:
    """w = snr sigmoid(bias - 2 lambda): a sigmoid on the eps error (Hoogeboom et al. 2024, SiD2).

    The same as soft-min-snr with gamma = exp(bias).  SiD2 integrates over the log-SNR: that is
    ``{name: over-log-snr, base: sigmoid}``.
    """

    bias: float = 0.0

    def __post_init__(self) -> None:
        if not abs(self.bias) <= 30:
            raise ValueError(f"bias must lie between -30 and 30, not {self.bias}")

    def factors(self, level: Level, setting: Setting) -> Factors:
        return SoftMinSNR(math.exp(self.bias)).factors(level, setting)


@dataclass(frozen=True)
class SigmaSqrt:
    """w = 1 / t^2: the plain error of flow (called sigma_sqrt in training scripts for Esser et al. 2024)."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        return Factors(0, -2, _sum(level).square())


@dataclass(frozen=True)
class CosMap:
    """w = pi(t) / t^2, pi(t) = 2 / (pi (1 - 2t + 2t^2)): the flow error as if t had the density CosMap.

    (Esser et al. 2024, eq. 21.)  Scripts that multiply pi(t) onto the error of x_0 train another objective.
    """

    def factors(self, level: Level, setting: Setting) -> Factors:
        # 1 - 2t + 2t^2 = 1 / (c + s)^2
        return Factors(0, -2, 2 / math.pi * _sum(level) ** 4)


@dataclass(frozen=True)
class OverLogSNR:
    """w = w_base / p(lambda): the base weighting integrated over lambda, whichever density is trained with.

    (Kingma and Gao 2023: the weighted loss, of which the density is only the importance sampler.)
    """

    base: Weighting = field(default_factory=Sigmoid)

    def factors(self, level: Level, setting: Setting) -> Factors:
        if setting.log_density is None:
            raise ValueError("this weighting divides by the density of the levels, and there is none that is known")
        rest = torch.exp(-setting.log_density(level)).to(level.alpha)
        return self.base.factors(level, setting) * Factors(0, 0, rest)


@dataclass(frozen=True)
class Likelihood:
    """w = snr / p(lambda): the negative ELBO in nats per dimension, up to a constant (Kingma et al. 2021, VDM).

    -log p(x_0) <= integral over lambda of |eps error|^2 + …, and g(t)^2 weighting (Song et al. 2021b) is the same.
    """

    def factors(self, level: Level, setting: Setting) -> Factors:
        return OverLogSNR(SNR()).factors(level, setting)


@dataclass(frozen=True)
class Uncertainty:
    """w = w_base exp(-u), u(theta) a learned log-variance, and u is added to the loss (Karras et al. 2024, EDM2).

    (Kendall and Gal 2017.)  The factors here are the base's; ptdiff.objective.loss learns u.
    """

    base: Weighting = field(default_factory=EDM)

    def factors(self, level: Level, setting: Setting) -> Factors:
        return self.base.factors(level, setting)


def _sum(level: Level) -> Tensor:
    # c + s, between 1 and sqrt 2
    return (level.alpha + level.sigma) / level.scale


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, not {value}")


WEIGHTINGS: Catalog[type[Weighting]] = Catalog(
    "weighting",
    {
        "prediction": Prediction,
        "uniform": Uniform,
        "snr": SNR,
        "min-snr": MinSNR,
        "soft-min-snr": SoftMinSNR,
        "truncated": TruncatedSNR,
        "snr+1": SNRPlusOne,
        "p2": P2,
        "edm": EDM,
        "sigmoid": Sigmoid,
        "sigma-sqrt": SigmaSqrt,
        "cosmap": CosMap,
        "likelihood": Likelihood,
        "over-log-snr": OverLogSNR,
        "uncertainty": Uncertainty,
    },
)
