"""Exponential integrators: the linear part of the probability flow is solved exactly, E[x_0|x] is interpolated.

s -> t is one step, from the noisier level s; lambda = log(alpha / sigma), h = lambda_t - lambda_s, and

    q = exp(-h) = (sigma_t alpha_s) / (alpha_t sigma_s)          0 when t is clean or s is pure noise
    x_t = (sigma_t / sigma_s) x_s + alpha_t (1 - q) D            for D constant over the step

which is DDIM.  Written with q instead of h, every coefficient is finite at both ends of every process.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from ptdiff.process import Level
from ptdiff.solvers.table import Draw, Pair, Stage, Table, closed, pairs


def _decay(s: Pair, t: Pair) -> float:
    return (t[1] * s[0]) / (t[0] * s[1])


@dataclass(frozen=True)
class DDIM:
    """DDIM (Song et al. 2021, eq. 12 and 16): eta = 0 follows the probability flow, eta = 1 is DDPM's ancestral step.

    eta scales the standard deviation of the posterior q(x_t | x_s, x_0), the "lower" variance of DDPM, as in the paper.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], not {self.eta}")

    @property
    def order(self) -> int:
        return 1

    def table(self, levels: Level) -> Table:
        found = pairs(levels)
        stages = [Stage(keep=1.0, level=found[0])]
        for s, t in pairwise(found):
            std = self.eta * t[1] * math.sqrt(max(0.0, 1 - _decay(s, t) ** 2))
            # x_t = alpha_t D + sqrt(sigma_t^2 - std^2) eps + std z,  eps = (x_s - alpha_s D) / sigma_s
            keep = math.sqrt(max(0.0, t[1] ** 2 - std**2)) / s[1]
            stages.append(Stage(keep, (t[0] - keep * s[0],), noise=((Draw(s, t), std),) if std else (), level=t))
        return closed(stages, found)


@dataclass(frozen=True)
class DDPM(DDIM):
    """DDIM with eta = 1: the ancestral sampler of DDPM (Ho et al. 2020, algorithm 2, posterior variance)."""

    eta: float = 1.0


@dataclass(frozen=True)
class DPMpp2M:
    """DPM-Solver++(2M) (Lu et al. 2022, algorithm 2): D is extrapolated linearly in lambda from the last two calls."""

    @property
    def order(self) -> int:
        return 2

    def table(self, levels: Level) -> Table:
        found = pairs(levels)
        stages = [Stage(keep=1.0, level=found[0])]
        before = None
        for s, t in pairwise(found):
            q = _decay(s, t)
            step = -math.log(q) if q > 0 else math.inf
            # into the clean level, and after an infinite step out of pure noise, extrapolation has no meaning
            bend = step / (2 * before) if before is not None and math.isfinite(step) else 0.0
            weight = t[0] * (1 - q)
            mix = (weight * (1 + bend), -weight * bend) if bend else (weight,)
            stages.append(Stage(t[1] / s[1], mix, level=t))
            before = step
        return closed(stages, found)
