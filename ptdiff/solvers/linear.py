"""Linear multistep methods on the probability flow in a chart, and methods that transfer an averaged noise estimate.

Adams-Bashforth.  In a chart (runge_kutta.py) the flow is dy/du = f with y = x / scale; f is interpolated by a
polynomial in u through its newest values and integrated exactly for any spacing, so the method has its full order on
every grid.

PNDM.  x_t = transfer(x_s, e) is the DDIM step with the noise e, and e averages the newest noise estimates with the
Adams-Bashforth weights for equal steps.  Its order is at most 2 unless rho = sigma / alpha is equally spaced.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from ptdiff.process import Level
from ptdiff.solvers.multistep import Multistep, Start
from ptdiff.solvers.runge_kutta import Chart
from ptdiff.solvers.table import Pair, Table, pairs
from ptdiff.solvers.trace import Form, Node, Trace, ddim, epsilon
from ptdiff.solvers.weights import interpolation, uniform_moments


def _chart(chart: Chart, level: Pair) -> tuple[float, float, float, float]:
    """u, scale, and the weights of x and D in f, at a level where the chart is finite."""
    alpha, sigma = level
    if chart == "angle":
        r = math.hypot(alpha, sigma)
        return math.atan2(sigma, alpha), r, alpha / (sigma * r), -r / sigma
    if chart == "flow":
        total = alpha + sigma
        return sigma / total, total, 1 / sigma, -total / sigma
    if chart == "noise":
        return sigma / alpha, alpha, 1 / sigma, -alpha / sigma
    return math.log(sigma / alpha), alpha, 1 / alpha, -1.0


def _points(points: int) -> None:
    if not 1 <= points <= 4:
        raise ValueError(f"points must lie in [1, 4], not {points}")


@dataclass(frozen=True)
class AdamsBashforth(Multistep):
    """Adams-Bashforth in a chart, with exact weights for any spacing: one call per step.

    ``points``: number of slopes that a step interpolates, 1 to 4; also the order.
    ``chart``: variable of integration.
    ``start``: see :mod:`ptdiff.solvers.multistep`.
    """

    start: Start = "rk"
    points: int = 3
    chart: Chart = "angle"

    def __post_init__(self) -> None:
        _points(self.points)

    @property
    def depth(self) -> int:
        """Number of slopes that a step uses: ``points``."""
        return self.points

    def usable(self, level: Pair) -> bool:
        """Return True if the chart is finite at this level."""
        return level[0] > 0 or self.chart in ("angle", "flow")

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        """The slope f at the current x."""
        _, _, on_x, on_d = _chart(self.chart, level)
        return Node(level, trace.sum((on_x, trace.x), (on_d, x0)))

    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        """x at t by the integral of the polynomial through the slopes at ``nodes``."""
        (u, scale, *_), (u_end, scale_end, *_) = _chart(self.chart, s), _chart(self.chart, t)
        h = u_end - u
        where = [(_chart(self.chart, node.level)[0] - u) / h for node in nodes]
        weights = interpolation(where, uniform_moments(len(nodes)))
        slopes = ((scale_end * h * w, node.value) for w, node in zip(weights, nodes, strict=True))
        return trace.sum((scale_end / scale, x), *slopes)


@dataclass(frozen=True)
class LMS(AdamsBashforth):
    """Linear multistep of order 4 in rho = sigma / alpha (k-diffusion's lms)."""

    points: int = 4
    chart: Chart = "noise"


@dataclass(frozen=True)
class IPNDMv(LMS):
    """iPNDM for variable steps: transfer with exact weights in rho, the same method as lms."""


def transfer(trace: Trace, x: Form, s: Pair, t: Pair, *noise: tuple[float, Form]) -> Form:
    """The DDIM step with the weighted sum of ``noise``; alpha_s must be positive (Liu et al. 2022, eq. 11)."""
    gain = t[1] - t[0] * s[1] / s[0]
    return trace.sum((t[0] / s[0], x), *((gain * w, e) for w, e in noise))


@dataclass(frozen=True)
class IPNDM(Multistep):
    """iPNDM: PNDM started with lower orders, one call per step (Zhang and Chen 2023, section 3.2).

    ``points``: number of noise estimates that a step averages, 1 to 4.  ``start``: see :mod:`ptdiff.solvers.multistep`.
    """

    points: int = 4

    def __post_init__(self) -> None:
        _points(self.points)

    @property
    def depth(self) -> int:
        """Number of estimates that a step uses: ``points``."""
        return self.points

    @property
    def accuracy(self) -> int:
        """Global order on an arbitrary grid: at most 2, because the weights assume equal steps of rho."""
        return min(self.points, 2)

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        """The noise estimate at the current x."""
        return Node(level, epsilon(trace, trace.x, x0, level))

    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        """x at t by the transfer with the weighted noise estimates."""
        count = len(nodes)
        weights = interpolation([float(-j) for j in range(count)], uniform_moments(count))
        return transfer(trace, x, s, t, *((w, node.value) for w, node in zip(weights, nodes, strict=True)))


@dataclass(frozen=True)
class PNDM:
    """PNDM: three pseudo Runge-Kutta steps of four calls, then four-point multistep (Liu et al. 2022, algorithm 2).

    ``begin``: "prk" starts as in the paper.  "plms" starts as Stable Diffusion does, without Runge-Kutta: the first
    step is made twice, the second time with the mean of the noise at both ends.
    """

    begin: Literal["prk", "plms"] = "prk"

    @property
    def order(self) -> int:
        """Order of convergence on an arbitrary grid."""
        return 2

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        trace, history = Trace(found[0]), list[Form]()
        for s, t in pairwise(found):
            x = trace.x
            if s[0] == 0 or t[1] == 0:
                trace.evaluate(ddim(trace, x, s, t, trace.newest), t)
                continue
            history = [epsilon(trace, x, trace.newest, s), *history][:4]
            if self.begin == "prk" and len(history) < 4:
                noise = self._runge_kutta(trace, s, t, history[0])
            elif self.begin == "plms" and len(history) == 1:
                point = transfer(trace, x, s, t, (1.0, history[0]))
                end = epsilon(trace, point, trace.evaluate(point, t, advance=False), t)
                noise = [(0.5, history[0]), (0.5, end)]
            else:
                count = len(history)
                weights = interpolation([float(-j) for j in range(count)], uniform_moments(count))
                noise = list(zip(weights, history, strict=True))
            trace.evaluate(transfer(trace, x, s, t, *noise), t)
        return trace.table(found)

    @staticmethod
    def _runge_kutta(trace: Trace, s: Pair, t: Pair, first: Form) -> list[tuple[float, Form]]:
        # the levels of the paper's half time steps, here the mean of the angles
        angle = (math.atan2(s[1], s[0]) + math.atan2(t[1], t[0])) / 2
        middle = math.cos(angle), math.sin(angle)
        found = [first]
        for u in (middle, middle, t):
            point = transfer(trace, trace.x, s, u, (1.0, found[-1]))
            found.append(epsilon(trace, point, trace.evaluate(point, u, advance=False), u))
        return list(zip((1 / 6, 1 / 3, 1 / 3, 1 / 6), found, strict=True))
