"""The adaptive Runge-Kutta method RK5(4)7M of Dormand and Prince (1980), "A family of embedded Runge-Kutta formulae".

It integrates the flow of :mod:`ptdiff.solvers.runge_kutta` in the two charts that are finite at pure noise, with y of
unit variance (r = hypot(alpha, sigma)):

    angle   u = atan2(sigma, alpha)        dy/du = (cos u y - D) / sin u
    flow    u = sigma / (alpha + sigma)    dw/du = (w - D) / u,              w = y hypot(1 - u, u)

The solution of order 5 is propagated, and the one of order 4 measures the error.  The seventh slope of a step is the
first slope of the next, so every step costs six calls, accepted or rejected.
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
from ptdiff.solvers.tableau import Tableau


@dataclass(frozen=True)
class Embedded(Tableau):
    """A tableau with the weights ``lower`` of a second solution; the last is that of the slope at the end."""

    lower: tuple[float, ...]


DORMAND_PRINCE = Embedded(
    (
        (1 / 5,),
        (3 / 40, 9 / 40),
        (44 / 45, -56 / 15, 32 / 9),
        (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
        (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    ),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
    (5179 / 57600, 0.0, 7571 / 16695, 393 / 640, -92097 / 339200, 187 / 2100, 1 / 40),
)


@dataclass(frozen=True)
class Dopri5(Adaptive):
    """Adaptive Dormand-Prince 5(4): a step size per sample, six calls per attempted step.

    ``chart``: variable of integration, "angle" or "flow".  For ``rtol``, ``atol``, ``pid``, ``first`` and ``limit`` see
    :class:`ptdiff.solvers.adaptive.Adaptive`.
    """

    chart: Literal["angle", "flow"] = "angle"

    @property
    def order(self) -> int:
        """Order of the propagated solution."""
        return DORMAND_PRINCE.order

    def position(self, level: Pair) -> float:
        """u of the chart at a level; finite everywhere."""
        alpha, sigma = level
        return math.atan2(sigma, alpha) if self.chart == "angle" else sigma / (alpha + sigma)

    def level(self, u: Tensor) -> Level:
        """The level at u with alpha^2 + sigma^2 = 1, float64."""
        if self.chart == "angle":
            return Level(torch.cos(u), torch.sin(u))
        return Level((1 - u) / _width(u), u / _width(u))

    def attempt(
        self, estimate: Estimate, y: Tensor, x0: Tensor, u: Tensor, end: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attempt one step; returns y at the end, the difference of the two solutions, and the estimate at the end."""
        h = wide(end - u, y)
        start = self._charted(y, u)
        slopes = [self._slope(start, x0, u)]
        rows = (*DORMAND_PRINCE.inner, DORMAND_PRINCE.outer)
        for row, node in zip(rows, (*DORMAND_PRINCE.nodes[1:], 1.0), strict=True):
            at = end if node >= 1 else u + node * (end - u)
            point = start + h * _combined(row, slopes)
            newest = estimate(self._scaled(point, at), at)
            slopes.append(self._slope(point, newest, at))
        gap = tuple(b - low for b, low in zip((*DORMAND_PRINCE.outer, 0.0), DORMAND_PRINCE.lower, strict=True))
        return self._scaled(point, end), self._scaled(h * _combined(gap, slopes), end), newest

    def _slope(self, y: Tensor, x0: Tensor, u: Tensor) -> Tensor:
        if self.chart == "angle":
            return (wide(torch.cos(u), y) * y - x0) / wide(torch.sin(u), y)
        return (y - x0) / wide(u, y)

    def _charted(self, y: Tensor, u: Tensor) -> Tensor:
        return y if self.chart == "angle" else y * wide(_width(u), y)

    def _scaled(self, y: Tensor, u: Tensor) -> Tensor:
        return y if self.chart == "angle" else y / wide(_width(u), y)


def _width(u: Tensor) -> Tensor:
    """hypot(alpha, sigma) for alpha + sigma = 1; root and squares round alike at every place of a batch."""
    return torch.sqrt((1 - u) * (1 - u) + u * u)


def _combined(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    total = slopes[0] * weights[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total = total + slope * weight
    return total
