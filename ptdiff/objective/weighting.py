"""Weightings over noise levels, always given as the weight w of the squared error of x_0.

    objective at a level = w |D - x_0|^2

c = alpha / r, s = sigma / r: cosine and sine of the level's angle;  snr = c^2 / s^2 = 1 / rho^2.
t = s / (c + s): time of the flow process at that angle.   lambda = log(alpha / sigma), half the log-SNR.
p(lambda): density of the training levels.

The same factor is a different weighting on the error of eps, velocity or flow than on the error of x_0; the docstrings
convert.  The unweighted mean squared errors of x_0, eps, velocity and flow are ``uniform``, ``snr``, ``edm`` and
``sigma-sqrt``.
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
    """w = 1 / out^2: the unweighted error of the network's own output y."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = 1 / out^2 for the prediction in ``setting``."""
        out = out_squared(level, setting.prediction)
        return Factors(-out.cos, -out.sin, 1 / out.rest)


@dataclass(frozen=True)
class Uniform:
    """w = 1: the unweighted error of x_0."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = 1."""
        return Factors(0, 0, 1.0)


@dataclass(frozen=True)
class SNR:
    """w = snr: the unweighted error of eps, "simple" (Ho et al. 2020, eq. 14)."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = c^2 / s^2."""
        return Factors(2, -2, 1.0)


@dataclass(frozen=True)
class MinSNR:
    """w = min(snr, gamma), that is, min(snr, gamma) / snr for the error of eps (Hang et al. 2023).

    ``gamma``: above 0.
    """

    gamma: float = 5.0

    def __post_init__(self) -> None:
        _positive(gamma=self.gamma)

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = c^2 / max(s^2, c^2 / gamma)."""
        cos, sin = cos_sin(level)
        return Factors(2, 0, 1 / torch.maximum(sin.square(), cos.square() / self.gamma))


@dataclass(frozen=True)
class SoftMinSNR:
    """w = gamma snr / (snr + gamma): a smooth min(snr, gamma) (Crowson et al. 2024, HDiT).

    The paper's weight is 1 / (sigma^2 + 1 / gamma) with gamma = 4 for data with a standard deviation of 1/2, which is
    gamma = 1 for unit variance.  The weight of the velocity error is then snr / (1 + snr)^2, a quarter of soft-min-snr
    in k-diffusion.
    ``gamma``: above 0.
    """

    gamma: float = 1.0

    def __post_init__(self) -> None:
        _positive(gamma=self.gamma)

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = c^2 / (s^2 + c^2 / gamma)."""
        cos, sin = cos_sin(level)
        return Factors(2, 0, 1 / (sin.square() + cos.square() / self.gamma))


@dataclass(frozen=True)
class TruncatedSNR:
    """w = max(snr, 1): truncated SNR, the larger of the x_0 and eps errors (Salimans and Ho 2022, section 4)."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = max(c, s)^2 / s^2."""
        cos, sin = cos_sin(level)
        return Factors(0, -2, torch.maximum(cos, sin).square())


@dataclass(frozen=True)
class SNRPlusOne:
    """w = snr + 1: SNR+1, the unweighted error of velocity (Salimans and Ho 2022, section 4)."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = 1 / s^2."""
        return Factors(0, -2, 1.0)


@dataclass(frozen=True)
class P2:
    """w = snr / (k + snr)^gamma: the error of eps divided by (k + snr)^gamma (Choi et al. 2022).

    ``k``: above 0.
    ``gamma``: at least 0.
    """

    k: float = 1.0
    gamma: float = 1.0

    def __post_init__(self) -> None:
        _positive(k=self.k)
        if not 0 <= self.gamma < math.inf:
            raise ValueError(f"gamma must be at least 0 and finite, not {self.gamma}")

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = c^2 s^(2 gamma - 2) / (c^2 + k s^2)^gamma."""
        cos, sin = cos_sin(level)
        return Factors(2, 2 * self.gamma - 2, (cos.square() + self.k * sin.square()) ** -self.gamma)


@dataclass(frozen=True)
class EDM:
    """w = snr + 1 / sigma_data^2: lambda(sigma) of Karras et al. 2022, table 1.

    With ``sigma_data`` = 1, the unit variance of model units, this is the unweighted error of velocity.
    """

    sigma_data: float = 1.0

    def __post_init__(self) -> None:
        _positive(sigma_data=self.sigma_data)

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = (c^2 + s^2 / sigma_data^2) / s^2."""
        cos, sin = cos_sin(level)
        return Factors(0, -2, cos.square() + (sin / self.sigma_data).square())


@dataclass(frozen=True)
class Sigmoid:
    """w = snr sigmoid(bias - 2 lambda): a sigmoid weighting of the error of eps (Hoogeboom et al. 2024, SiD2).

    Equal to soft-min-snr with gamma = exp(bias).  SiD2 integrates over the log-SNR, which is
    ``{name: over-log-snr, base: sigmoid}``.
    ``bias``: in [-30, 30].
    """

    bias: float = 0.0

    def __post_init__(self) -> None:
        if not abs(self.bias) <= 30:
            raise ValueError(f"bias must lie between -30 and 30, not {self.bias}")

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w of soft-min-snr with gamma = exp(bias)."""
        return SoftMinSNR(math.exp(self.bias)).factors(level, setting)


@dataclass(frozen=True)
class SigmaSqrt:
    """w = 1 / t^2: the unweighted error of flow (sigma_sqrt in training scripts for Esser et al. 2024)."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = (c + s)^2 / s^2."""
        return Factors(0, -2, _sum(level).square())


@dataclass(frozen=True)
class CosMap:
    """w = pi(t) / t^2, pi(t) = 2 / (pi (1 - 2t + 2t^2)): CosMap on the error of flow (Esser et al. 2024, eq. 21).

    Equivalent to sampling t with the density pi(t).  Scripts that multiply the error of x_0 by pi(t) train a different
    objective.
    """

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = 2 (c + s)^4 / (pi s^2)."""
        # 1 - 2t + 2t^2 = 1 / (c + s)^2
        return Factors(0, -2, 2 / math.pi * _sum(level) ** 4)


@dataclass(frozen=True)
class OverLogSNR:
    """w = w_base / p(lambda): the base weighting, integrated over lambda regardless of the density.

    This is the weighted loss of Kingma and Gao 2023, in which the density acts only as an importance sampler.
    ``base``: the weighting w_base.
    """

    base: Weighting = field(default_factory=Sigmoid)

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = w_base / p(lambda); raises ValueError if ``setting`` has no density."""
        if setting.log_density is None:
            raise ValueError("this weighting divides by the density of the training levels, which is not known here")
        rest = torch.exp(-setting.log_density(level)).to(level.alpha)
        return self.base.factors(level, setting) * Factors(0, 0, rest)


@dataclass(frozen=True)
class Likelihood:
    """w = snr / p(lambda): the negative ELBO in nats per dimension, up to a constant (Kingma et al. 2021, VDM).

    -log p(x_0) <= integral over lambda of |eps error|^2 + …, which is also the g(t)^2 weighting of Song et al. 2021b.
    """

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w = snr / p(lambda); raises ValueError if ``setting`` has no density."""
        return OverLogSNR(SNR()).factors(level, setting)


@dataclass(frozen=True)
class Uncertainty:
    """w = w_base exp(-u) with a learned log-variance u(theta), which is added to the loss (Karras et al. 2024, EDM2).

    After Kendall and Gal 2017.  :mod:`ptdiff.objective.loss` learns u.
    ``base``: the weighting w_base.
    """

    base: Weighting = field(default_factory=EDM)

    def factors(self, level: Level, setting: Setting) -> Factors:
        """w_base, without the factor exp(-u)."""
        return self.base.factors(level, setting)


def _sum(level: Level) -> Tensor:
    # c + s, in [1, sqrt(2)]
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
