"""SEEDS: exponential Runge-Kutta methods for the reverse SDE (Gonzalez et al. 2023), in noise prediction.

For a step s -> t, rho = sigma / alpha, lambda = -log rho, y = x / alpha and F = (y - D) / rho.  The reverse SDE is

    dy = 2 F d rho + noise,    and for F constant    y_t = y_s - 2 (rho_s - rho_t) F + sqrt(rho_s^2 - rho_t^2) z

which is SEEDS-1.  SEEDS-2 and 3 evaluate F at inner levels, at equal steps of lambda.  All stages of a step see one
Brownian path: the noise of its first part enters each of them.  It is the path of :mod:`ptdiff.solvers.stochastic` in
another time, rho^2 there and 1 / rho^2 here, so that the normalized increments agree as steps get shorter.

Out of pure noise and into the clean level, where a coefficient is infinite or the estimate exact, all methods take the
step of DDPM.

The methods are explicit.  If the data is small compared to the noise, a step of length h in lambda multiplies the noise
in y by a factor that should be exp(-2 h).  If the factor exceeds exp(-h), the noise grows relative to its level from
step to step, without bound.  This happens if h exceeds

    log 3 = 1.099 for SEEDS-1,     2 log(3/2) = 0.811 for SEEDS-2,     1.237 for SEEDS-3
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from ptdiff.process import Level
from ptdiff.solvers.ancestral import between, decay
from ptdiff.solvers.stochastic import sde_step
from ptdiff.solvers.table import Draw, Pair, Stage, Table, closed, pairs

Form = dict[int | Draw, float]
"""A number of the step: its weights on y_s (key -1), on the estimates of the step by number, and on draws."""


def _sum(*terms: tuple[float, Mapping[int | Draw, float]]) -> Form:
    total: Form = {}
    for factor, form in terms:
        for key, value in form.items():
            total[key] = total.get(key, 0.0) + factor * value
    return total


def _path(levels: tuple[Pair, ...]) -> Form:
    # noise in y from the first to the last of the levels, one term per interval
    return {Draw(a, b): math.sqrt((a[1] / a[0]) ** 2 - (b[1] / b[0]) ** 2) for a, b in pairwise(levels)}


@dataclass(frozen=True)
class SEEDS1:
    """SEEDS-1: noise prediction held constant, one call per step (Gonzalez et al. 2023)."""

    shares: ClassVar[tuple[float, ...]] = ()

    @property
    def order(self) -> int:
        """Weak order of convergence."""
        return 1

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        stages = [Stage(1.0, level=found[0])]
        for s, t in pairwise(found):
            stages += self._step(s, t) if decay(s, t) > 0 else [sde_step(s, t, 1.0)]
        return closed(stages, found)

    def _step(self, s: Pair, t: Pair) -> list[Stage]:
        marks = (s, *(between(s, t, share) for share in self.shares), t)
        h = -math.log(decay(s, t))
        stages: list[Stage] = []
        point: Form = {-1: 1.0}
        slopes: list[Form] = []
        for i, (start, end) in enumerate(pairwise(marks)):
            slopes.append(_sum((start[0] / start[1], point), (-start[0] / start[1], {i: 1.0})))
            ratio, share = end[1] / end[0], (*self.shares, 1.0)[i]
            weights = (-2 * ratio * w for w in self._weights(i, share * h))
            point = _sum((1.0, {-1: 1.0}), (1.0, _path(marks[: i + 2])), *zip(weights, slopes, strict=True))
            mix = tuple(end[0] * point.get(k, 0.0) for k in range(i, -1, -1))
            noise = tuple((draw, end[0] * weight) for draw, weight in point.items() if isinstance(draw, Draw))
            stages.append(Stage(end[0] / s[0] * point[-1], mix, noise, end, advance=end is t))
        return stages

    def _weights(self, stage: int, h: float) -> tuple[float, ...]:
        """Weights of F_0 … F_stage in units of -2 rho; ``h`` is the length from the step's start to the stage's end."""
        return (math.expm1(h),)


@dataclass(frozen=True)
class SEEDS2(SEEDS1):
    """SEEDS-2: noise prediction at the middle of lambda, two calls per step (Gonzalez et al. 2023).

    Diverges if steps of lambda are longer than 0.81 at high noise.  A grid evenly spaced in lambda from rho = 500 to
    0.002 needs 16 steps; for unit data the result has a standard deviation of 1.4 with 16 steps, 6.5 with 12 and 170
    with 8.
    """

    shares = (0.5,)

    @property
    def order(self) -> int:
        """Weak order as measured; the paper proves 1."""
        return 2

    def _weights(self, stage: int, h: float) -> tuple[float, ...]:
        return (*(0.0,) * stage, math.expm1(h))


@dataclass(frozen=True)
class SEEDS3(SEEDS1):
    """SEEDS-3: noise prediction at thirds of lambda, three calls per step (Gonzalez et al. 2023).

    Diverges if steps of lambda are longer than 1.24 at high noise.  A grid evenly spaced in lambda from rho = 500 to
    0.002 needs 10 steps; for unit data the result has a standard deviation of 1.7 with 10 steps, 25 with 8 and 310 with
    6.
    """

    shares = (1 / 3, 2 / 3)

    @property
    def order(self) -> int:
        """Weak order as measured; the paper proves 1."""
        return 2

    def _weights(self, stage: int, h: float) -> tuple[float, ...]:
        # F is linear in lambda through F_0 and the newest F, at 1/2 of the length in stage 1 and at 2/3 in stage 2
        at = (1.0, 1 / 2, 2 / 3)[stage]
        late = (math.expm1(h) / h - 1) / at if stage else 0.0
        return (math.expm1(h) - late, *(0.0,) * (stage - 1), late) if stage else (math.expm1(h),)
