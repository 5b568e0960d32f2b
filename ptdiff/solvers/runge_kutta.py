"""Explicit Runge-Kutta methods on the probability flow, in a chart.

A chart writes the flow as an ordinary differential equation for y = x / scale in a variable u that measures the noise:

    dy/du = p(u) y + q(u) D(x)                                  D = E[x_0 | x]

    chart   u                        scale           p        q            straight if
    noise   sigma / alpha            alpha           1/u      -1/u         eps is constant (EDM's Euler and Heun)
    flow    sigma / (alpha + sigma)  alpha + sigma   1/u      -1/u         eps - x_0 is constant (rectified flow)
    angle   atan2(sigma, alpha)      r               cot u    -1/sin u     the data is a unit Gaussian (TrigFlow)
    log     log(sigma / alpha)       alpha           1        -1           never; all scales have equal weight

The trajectories are the same for every process; a process only determines the levels at which the steps end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from ptdiff.process import Level
from ptdiff.solvers.table import Pair, Stage, Table, closed, pairs
from ptdiff.solvers.tableau import Tableau

Chart = Literal["angle", "flow", "noise", "log"]


def _position(chart: Chart, level: Pair) -> tuple[float, float]:
    """u and scale at a level; ValueError for pure noise in the charts noise and log."""
    alpha, sigma = level
    if chart == "angle":
        return math.atan2(sigma, alpha), math.hypot(alpha, sigma)
    if chart == "flow":
        return sigma / (alpha + sigma), alpha + sigma
    if alpha == 0:
        raise ValueError(f"the {chart} chart cannot start at pure noise (alpha = 0): use chart=angle or chart=flow")
    return (math.log(sigma / alpha) if chart == "log" else sigma / alpha), alpha


def _level(chart: Chart, u: float) -> Pair:
    """The level at u with scale 1."""
    if chart == "angle":
        return math.cos(u), math.sin(u)
    if chart == "flow":
        return 1 - u, u
    return 1.0, (math.exp(u) if chart == "log" else u)


def _slope(chart: Chart, u: float) -> tuple[float, float]:
    """p(u) and q(u)."""
    if chart == "angle":
        return math.cos(u) / math.sin(u), -1 / math.sin(u)
    return (1.0, -1.0) if chart == "log" else (1 / u, -1 / u)


@dataclass(frozen=True)
class _RungeKutta:
    """A method with its own tableau."""

    chart: Chart = "angle"

    tableau: ClassVar[Tableau]

    @property
    def order(self) -> int:
        """Order of convergence, from the order conditions of the tableau."""
        return self.tableau.order

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        stages = [Stage(keep=1.0, level=found[0])]
        for s, t in pairwise(found):
            if t[1] == 0:
                # the flow is singular at sigma = 0; its limit is the posterior mean
                stages.append(Stage(0.0, (t[0],)))
            else:
                stages.extend(self._step(s, t))
        return closed(stages, found)

    def _step(self, s: Pair, t: Pair) -> list[Stage]:
        (u, scale), (u_end, scale_end) = _position(self.chart, s), _position(self.chart, t)
        h = u_end - u
        # k_i = slope at node i as a combination of y and of D_0 … D_i: (weight of y, weights of D, oldest first)
        slopes: list[tuple[float, list[float]]] = []
        stages = []
        for row, c in zip(((), *self.tableau.inner), self.tableau.nodes, strict=True):
            on_y, on_d = self._advance(slopes, row, h)
            node = u + c * h
            if row:
                stages.append(Stage(on_y / scale, tuple(reversed(on_d)), level=_level(self.chart, node), advance=False))
            p, q = _slope(self.chart, node)
            slopes.append((p * on_y, [*(p * d for d in on_d), q]))
        on_y, on_d = self._advance(slopes, self.tableau.outer, h)
        mix = tuple(scale_end * d for d in reversed(on_d))
        return [*stages, Stage(scale_end * on_y / scale, mix, level=t)]

    @staticmethod
    def _advance(
        slopes: list[tuple[float, list[float]]], weights: tuple[float, ...], h: float
    ) -> tuple[float, list[float]]:
        """y + h sum_i weights_i k_i, as (weight of y, weights of D, oldest first)."""
        on_y, on_d = 1.0, [0.0] * len(slopes)
        for weight, (k_y, k_d) in zip(weights, slopes, strict=True):
            on_y += h * weight * k_y
            for j, value in enumerate(k_d):
                on_d[j] += h * weight * value
        return on_y, on_d


@dataclass(frozen=True)
class Euler(_RungeKutta):
    """Euler's method: one call per step."""

    tableau = Tableau((), (1.0,))


@dataclass(frozen=True)
class Midpoint(_RungeKutta):
    """Explicit midpoint method: two calls per step."""

    tableau = Tableau(((1 / 2,),), (0.0, 1.0))


@dataclass(frozen=True)
class Heun(_RungeKutta):
    """Heun's method, the trapezoidal rule: two calls per step, one in the last (Karras et al. 2022, algorithm 1)."""

    tableau = Tableau(((1.0,),), (1 / 2, 1 / 2))


@dataclass(frozen=True)
class Ralston(_RungeKutta):
    """Ralston's second-order method, of smallest error bound (Ralston 1962): two calls per step, one in the last."""

    tableau = Tableau(((2 / 3,),), (1 / 4, 3 / 4))


@dataclass(frozen=True)
class Kutta3(_RungeKutta):
    """Kutta's third-order method, Simpson's rule for integrals (Kutta 1901): three calls per step, one in the last."""

    tableau = Tableau(((1 / 2,), (-1.0, 2.0)), (1 / 6, 2 / 3, 1 / 6))


@dataclass(frozen=True)
class Ralston3(_RungeKutta):
    """Ralston's third-order method (Bogacki and Shampine 1989): three calls per step, one in the last."""

    tableau = Tableau(((1 / 2,), (0.0, 3 / 4)), (2 / 9, 1 / 3, 4 / 9))


@dataclass(frozen=True)
class RK4(_RungeKutta):
    """Classical fourth-order Runge-Kutta method: four calls per step, one in the last."""

    tableau = Tableau(((1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))


@dataclass(frozen=True)
class RungeKutta(_RungeKutta):
    """Explicit Runge-Kutta with a tableau of your own; by default Kutta's 3/8 rule.

    ``inner``: rows of the tableau below the diagonal.  ``outer``: weights.  The nodes are the row sums and must lie in
    [0, 1]; the order is derived from the order conditions, up to 6.
    """

    inner: tuple[tuple[float, ...], ...] = ((1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0))
    outer: tuple[float, ...] = (1 / 8, 3 / 8, 3 / 8, 1 / 8)

    def __post_init__(self) -> None:
        Tableau(self.inner, self.outer)

    @property
    def tableau(self) -> Tableau:  # type: ignore[override]
        """The tableau of ``inner`` and ``outer``."""
        return Tableau(self.inner, self.outer)
