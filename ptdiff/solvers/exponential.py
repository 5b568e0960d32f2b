"""DDIM and DDPM: the linear part of the flow is solved exactly, with E[x_0|x] constant over a step.

A step leads from the noisier level s to t; lambda = log(alpha / sigma), h = lambda_t - lambda_s, and

    q = exp(-h) = (sigma_t alpha_s) / (alpha_t sigma_s)          0 if t is clean or s is pure noise
    x_t = (sigma_t / sigma_s) x_s + alpha_t (1 - q) D            for D constant over the step

which is DDIM.  Written with q instead of h, every coefficient is finite at both ends of every process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ptdiff.process import Level
from ptdiff.solvers.table import Draw, Pair, Stage, Table, closed, pairs


def _decay(s: Pair, t: Pair) -> float:
    return (t[1] * s[0]) / (t[0] * s[1])


@dataclass(frozen=True)
class DDIM:
    """DDIM: eta 0 follows the probability flow, eta 1 is DDPM's ancestral step (Song et al. 2021).

    ``eta``: factor of the standard deviation of the posterior q(x_t | x_s, x_0), DDPM's "lower" variance, in [0, 1]
    (eq. 12 and 16).
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], not {self.eta}")

    @property
    def order(self) -> int:
        """Order of convergence; weak if eta is above 0."""
        return 1

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first: one call per step."""
        found = pairs(levels)
        stages = [Stage(keep=1.0, level=found[0])]
        for s, t in pairwise(found):
            std = self.eta * t[1] * math.sqrt(max(0.0, 1 - _decay(s, t) ** 2))
            # x_t = alpha_t D + sqrt(sigma_t^2 - std^2) eps + std z,  eps = (x_s - alpha_s D) / sigma_s
            keep = math.sqrt(max(0.0, t[1] ** 2 - std**2)) / s[1]
            stages.append(Stage(keep, (t[0] - keep * s[0],), noise=((Draw(s, t), std),) if std else (), level=t))
        return closed(stages, found)


@dataclass(frozen=True)
class DDPM:
    """DDPM's ancestral sampler with a choice of the variance (Ho et al. 2020, algorithm 2).

    The mean is that of the posterior q(x_t | x_s, x_0); the step to clean data adds no noise.
    ``variance``: "lower" is the posterior variance beta-tilde, right for data that is a single point; "upper" is beta,
    right for data of unit variance (section 3.2).
    ``scale``: factor of the standard deviation in every step.
    ``decay``: fades the noise out.  With u the fraction of the steps that remain, 1 before the first, "exponential"
    multiplies by exp(-5 (1 - u)) and "sigmoid" by 1 / (1 + exp(-10 (u - 1/2))).
    """

    variance: Literal["lower", "upper"] = "lower"
    scale: float = 1.0
    decay: Literal["none", "exponential", "sigmoid"] = "none"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale >= 0):
            raise ValueError(f"scale must be finite and at least 0, not {self.scale}")

    @property
    def order(self) -> int:
        """Weak order; 0 with another scale or a decay, whose limit for many steps is not the data."""
        return 1 if self.scale == 1 and self.decay == "none" else 0

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first: one call and one draw per step."""
        found = pairs(levels)
        stages = [Stage(keep=1.0, level=found[0])]
        steps = len(found) - 1
        for i, (s, t) in enumerate(pairwise(found)):
            keep = _decay(s, t) * t[1] / s[1]
            std = self.scale * self._fade(1 - i / steps) * self._std(s, t) if t[1] > 0 else 0.0
            stages.append(Stage(keep, (t[0] - keep * s[0],), noise=((Draw(s, t), std),) if std else (), level=t))
        return closed(stages, found)

    def _std(self, s: Pair, t: Pair) -> float:
        if self.variance == "lower":
            return t[1] * math.sqrt(max(0.0, 1 - _decay(s, t) ** 2))
        # the variance of x_t given x_s for unit Gaussian data, equal to beta if alpha^2 + sigma^2 = 1
        r_s, r_t = math.hypot(*s), math.hypot(*t)
        return r_t * math.sqrt(max(0.0, 1 - (s[0] * r_t / (t[0] * r_s)) ** 2))

    def _fade(self, left: float) -> float:
        if self.decay == "exponential":
            return math.exp(-5 * (1 - left))
        return 1 / (1 + math.exp(-10 * (left - 0.5))) if self.decay == "sigmoid" else 1.0
