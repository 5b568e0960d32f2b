"""Explicit Runge-Kutta methods on the probability flow, in a chart.

A chart writes the flow as an ordinary differential equation for y = x / scale in a variable u that measures the noise:

    dy/du = p(u) y + q(u) D(x)                                  D = E[x_0 | x]

    chart   u                        scale           p        q            straight when
    noise   sigma / alpha            alpha           1/u      -1/u         eps is constant (EDM's Euler and Heun)
    flow    sigma / (alpha + sigma)  alpha + sigma   1/u      -1/u         eps - x_0 is constant (rectified flow's
    Euler)
    angle   atan2(sigma, alpha)      r               cot u    -1/sin u     the data is a unit Gaussian (TrigFlow)

The trajectories are the same for every process; a process only says at which levels the steps end.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from ptdiff.process import Level
from ptdiff.solvers.table import Pair, Stage, Table, closed, pairs

Chart = Literal["angle", "flow", "noise"]


def _position(chart: Chart, level: Pair) -> tuple[float, float]:
    """u and scale at a level."""
    alpha, sigma = level
    if chart == "angle":
        return math.atan2(sigma, alpha), math.hypot(alpha, sigma)
    if chart == "flow":
        return sigma / (alpha + sigma), alpha + sigma
    if alpha == 0:
        raise ValueError("the noise chart cannot start at pure noise (alpha = 0): use chart=angle or chart=flow")
    return sigma / alpha, alpha


def _level(chart: Chart, u: float) -> Pair:
    """The level at u with scale 1."""
    if chart == "angle":
        return math.cos(u), math.sin(u)
    return (1 - u, u) if chart == "flow" else (1.0, u)


def _slope(chart: Chart, u: float) -> tuple[float, float]:
    """p(u) and q(u)."""
    return (math.cos(u) / math.sin(u), -1 / math.sin(u)) if chart == "angle" else (1 / u, -1 / u)


@dataclass(frozen=True)
class _RungeKutta:
    """A Butcher tableau: ``inner`` are the rows below the diagonal, ``outer`` the weights; nodes are the row sums."""

    chart: Chart = "angle"

    inner: ClassVar[tuple[tuple[float, ...], ...]]
    outer: ClassVar[tuple[float, ...]]
    declared: ClassVar[int]

    @property
    def order(self) -> int:
        return self.declared

    def table(self, levels: Level) -> Table:
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
        for row in ((), *self.inner):
            on_y, on_d = self._advance(slopes, row, h)
            node = u + sum(row) * h
            if row:
                stages.append(Stage(on_y / scale, tuple(reversed(on_d)), level=_level(self.chart, node), advance=False))
            p, q = _slope(self.chart, node)
            slopes.append((p * on_y, [*(p * d for d in on_d), q]))
        on_y, on_d = self._advance(slopes, self.outer, h)
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
    """Euler: one call a step."""

    inner = ()
    outer = (1.0,)
    declared = 1


@dataclass(frozen=True)
class Midpoint(_RungeKutta):
    """The explicit midpoint rule: two calls a step."""

    inner = ((0.5,),)
    outer = (0.0, 1.0)
    declared = 2


@dataclass(frozen=True)
class Heun(_RungeKutta):
    """Heun, the trapezoidal rule (Karras et al. 2022, algorithm 1): two calls a step, one for the last."""

    inner = ((1.0,),)
    outer = (0.5, 0.5)
    declared = 2


@dataclass(frozen=True)
class RK4(_RungeKutta):
    """The classical Runge-Kutta method: four calls a step, one for the last."""

    inner = ((0.5,), (0.0, 0.5), (0.0, 0.0, 1.0))
    outer = (1 / 6, 1 / 3, 1 / 3, 1 / 6)
    declared = 4
