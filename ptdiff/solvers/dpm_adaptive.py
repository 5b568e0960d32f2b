"""DPM-Solver-12 and -23, the adaptive exponential integrators of DPM-Solver (Lu et al. 2022, algorithms 1-2, app. C).

lambda = log(alpha / sigma), and a step from s to t has h = lambda_t - lambda_s.  F is the interpolated quantity, scaled
by a; x is scaled by b.  With g as below, both forms share one formula:

    form   F                                   a       b       g
    eps    E[eps | x] = (x - alpha D) / sigma  sigma   alpha    h    DPM-Solver
    x0     D = E[x_0 | x]                      alpha   sigma   -h    DPM-Solver++

    order 1   x_t = (b_t / b_s) x_s - a_t (e^g - 1) F_s
    order 2   order 1 - a_t / (2 r) (e^g - 1) (F_1 - F_s)                        F_1 at lambda_s + r h, r = 1/2
    order 3   order 1 - a_t / r_2 ((e^g - 1) / g - 1) (F_2 - F_s)                r_1 = 1/3, r_2 = 2/3
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ptdiff.process import Level
from ptdiff.solvers.adaptive import Adaptive, Estimate, wide
from ptdiff.solvers.table import Pair


@dataclass(frozen=True)
class DPMAdaptive(Adaptive):
    """Adaptive DPM-Solver-12 or -23 (Lu et al. 2022): a step size per sample.

    A step costs ``degree`` calls, and a repeated attempt one less.
    ``degree``: 2 estimates the error of order 2 by order 1, 3 that of order 3 by order 2.
    ``form``: the interpolated quantity, noise ("eps") or data ("x0").
    For ``rtol``, ``atol``, ``pid``, ``first`` and ``limit`` see :class:`ptdiff.solvers.adaptive.Adaptive`.
    """

    rtol: float = 0.05
    atol: float = 0.0078
    degree: Literal[2, 3] = 3
    form: Literal["eps", "x0"] = "eps"

    @property
    def order(self) -> int:
        """Order of the propagated solution: ``degree``."""
        return self.degree

    def position(self, level: Pair) -> float:
        """lambda at a level; minus infinity for pure noise."""
        alpha, sigma = level
        return math.log(alpha / sigma) if alpha > 0 else -math.inf

    def level(self, u: Tensor) -> Level:
        """The level at lambda = u with alpha^2 + sigma^2 = 1, float64."""
        # unlike the sigmoid, exponential and root round alike at every place of a batch
        return Level(1 / torch.sqrt(1 + torch.exp(-2 * u)), 1 / torch.sqrt(1 + torch.exp(2 * u)))

    def attempt(
        self, estimate: Estimate, y: Tensor, x0: Tensor, u: Tensor, end: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Attempt one step; returns y at the end, the difference of the two orders, and None."""
        h = end - u
        g = h if self.form == "eps" else -h
        b, held = self._scales(u)[1], self._held(y, x0, u)

        def first_order(r: float) -> tuple[Tensor, Tensor]:
            at = u + r * h if r < 1 else end
            a_at, b_at = self._scales(at)
            return at, wide(b_at / b, y) * y - wide(a_at * torch.expm1(r * g), y) * held

        def called(point: Tensor, at: Tensor) -> Tensor:
            return self._held(point, estimate(point, at), at) - held

        _, low = first_order(1)
        a = self._scales(end)[0]
        r = 1 / self.degree
        at, point = first_order(r)
        change = called(point, at)
        second = low - wide(a / (2 * r) * torch.expm1(g), y) * change
        if self.degree == 2:
            return second, second - low, None
        at, point = first_order(2 / 3)
        point = point - wide(2 * self._scales(at)[0] * (torch.expm1(g * (2 / 3)) / (g * (2 / 3)) - 1), y) * change
        third = low - wide(1.5 * a * (torch.expm1(g) / g - 1), y) * called(point, at)
        return third, third - second, None

    def _scales(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """a and b at u."""
        level = self.level(u)
        return (level.sigma, level.alpha) if self.form == "eps" else (level.alpha, level.sigma)

    def _held(self, y: Tensor, x0: Tensor, u: Tensor) -> Tensor:
        """F at u."""
        if self.form == "x0":
            return x0
        level = self.level(u)
        return (y - wide(level.alpha, y) * x0) / wide(level.sigma, y)
