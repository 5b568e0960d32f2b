"""Exponential multistep methods: one call per step, with earlier estimates interpolated.

For a step s -> t, h = lambda_t - lambda_s and lambda = log(alpha / sigma).  With its linear part solved, the
probability flow is

    x0    x_t = (sigma_t / sigma_s) x_s + alpha_t h int_0^1 exp(-h (1 - x)) D dx
    eps   x_t = (alpha_t / alpha_s) x_s - sigma_t h int_0^1 exp(h (1 - x)) eps dx         x = (lambda - lambda_s) / h

where D, or eps = (x - alpha D) / sigma, is the polynomial in lambda through the newest estimates.  Methods differ in
the number of estimates and in the moments of the kernel that weight the powers of x: the exact moments m_k give
exponential Adams-Bashforth; DPM-Solver approximates m_1 by m_0 / 2 for two estimates.

The first step has only one estimate.  ``start="low"`` begins with lower orders, as the papers do, which limits the
global order to 2; ``start="rk"`` takes Runge-Kutta steps in the angle until there are enough estimates.  The step into
a clean level is x = alpha D.  Pure noise lies at lambda = -infinity, where nothing can be interpolated.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

from ptdiff.process import Level
from ptdiff.solvers.table import Pair, Table, pairs
from ptdiff.solvers.trace import Form, Node, Trace, ddim, epsilon, runge_kutta
from ptdiff.solvers.weights import exponential_moments, interpolation

Start = Literal["rk", "low"]
Estimate = Literal["x0", "eps"]


def read(trace: Trace, estimate: Estimate, point: Form, x0: Form, level: Pair) -> Node:
    """The quantity that a method interpolates, D or the noise it implies, at a point."""
    return Node(level, x0 if estimate == "x0" else epsilon(trace, point, x0, level))


def log_snr(level: Pair) -> float:
    """lambda = log(alpha / sigma), half the log-SNR; infinite at clean levels and at pure noise."""
    alpha, sigma = level
    return math.log(alpha / sigma) if alpha and sigma else math.copysign(math.inf, alpha - sigma)


def weights(s: Pair, t: Pair, nodes: Sequence[Pair], estimate: Estimate, moments: Sequence[float] = ()) -> list[float]:
    """Weights in x_t of the estimates at ``nodes``, by the formulas above; ``moments`` default to the exact ones."""
    start, h = log_snr(s), log_snr(t) - log_snr(s)
    moments = moments or kernel(s, t, estimate, len(nodes))
    factor = t[0] * h if estimate == "x0" else -t[1] * h
    return [factor * w for w in interpolation([(log_snr(node) - start) / h for node in nodes], moments)]


def kernel(s: Pair, t: Pair, estimate: Estimate, count: int) -> list[float]:
    """The first ``count`` moments m_0, m_1, … of the formulas above."""
    h = log_snr(t) - log_snr(s)
    return exponential_moments(h if estimate == "x0" else -h, count)


def exponential(
    trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node], estimate: Estimate, moments: Sequence[float] = ()
) -> Form:
    """x at t from x at s and the estimates at ``nodes``."""
    keep = t[1] / s[1] if estimate == "x0" else t[0] / s[0]
    found = weights(s, t, [node.level for node in nodes], estimate, moments)
    return trace.sum((keep, x), *((w, node.value) for w, node in zip(found, nodes, strict=True)))


@dataclass(frozen=True)
class Multistep(ABC):
    """The loop shared by multistep methods: start-up, one call per step, the last step.

    ``start``: "low" begins with lower orders, "rk" with Runge-Kutta steps.
    """

    start: Start = "low"

    @property
    @abstractmethod
    def depth(self) -> int:
        """Number of estimates that a step uses."""

    @property
    def accuracy(self) -> int:
        """Global order with enough estimates from the first step on."""
        return self.depth

    @property
    def order(self) -> int:
        """Global order: ``accuracy``, limited to 2 with ``start="low"``."""
        return self.accuracy if self.start == "rk" else min(self.accuracy, 2)

    def most(self, left: int) -> int:
        """Number of estimates that a step may use with ``left`` steps remaining, itself included."""
        return self.depth

    @abstractmethod
    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        """x at t, from x at s and between one and ``depth`` nodes, newest first."""

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        """The quantity that the step interpolates, at the current x."""
        return Node(level, x0)

    def usable(self, level: Pair) -> bool:
        """Return True if a step may look back on this level."""
        return level[0] > 0

    def correct(self, trace: Trace, s: Pair, t: Pair, nodes: Sequence[Node], new: Node) -> Form:
        """Corrected x at t, after the step from ``nodes`` and a call there; without a corrector, x unchanged."""
        return trace.x

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        trace = Trace(found[0])
        x = trace.x
        nodes = [self.read(trace, trace.newest, found[0])] if self.usable(found[0]) else []
        for left, (s, t) in zip(range(len(found) - 1, 0, -1), pairwise(found), strict=True):
            used = nodes[: self.most(left)]
            enough = len(nodes) == self.depth or self.start == "low"
            stepped = bool(used) and enough and t[1] > 0
            if stepped:
                point = self.step(trace, x, s, t, used)
            elif enough or t[1] == 0:
                point = ddim(trace, x, s, t, trace.newest)
            else:
                point = runge_kutta(trace, x, s, t, min(self.accuracy, 4))
            trace.evaluate(point, t)
            if t[1] > 0:
                new = self.read(trace, trace.newest, t)
                x = self.correct(trace, s, t, used, new) if stepped else trace.x
                nodes = [new, *nodes][: self.depth]
        return trace.table(found)


@dataclass(frozen=True)
class ExpAB(Multistep):
    """Exponential Adams-Bashforth, exact in lambda: one call per step (Hochbruck and Ostermann 2010).

    ``points``: number of estimates that a step interpolates, 1 to 4; also the order.
    ``estimate``: the interpolated quantity, data ("x0") or noise ("eps").
    ``start``: "rk" or "low", see :mod:`ptdiff.solvers.multistep`.
    """

    start: Start = "rk"
    points: int = 3
    estimate: Estimate = "x0"

    def __post_init__(self) -> None:
        if not 1 <= self.points <= 4:
            raise ValueError(f"points must lie in [1, 4], not {self.points}")

    @property
    def depth(self) -> int:
        """Number of estimates that a step uses: ``points``."""
        return self.points

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        """The data or noise estimate at the current x."""
        return read(trace, self.estimate, trace.x, x0, level)

    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        """x at t, with exact moments."""
        return exponential(trace, x, s, t, nodes, self.estimate)


@dataclass(frozen=True)
class _DPMSolver(Multistep):
    """The multistep updates of DPM-Solver and DPM-Solver++, as published.

    Two estimates are weighted with m_1 = m_0 / 2, three with m_0, m_1 and m_2 / 2.  The published code takes the second
    divided difference, which is half the second derivative, for the whole, so three estimates still give order 2; ExpAB
    with three points has order 3.  ``lower_order_final``: two estimates in the second to last step, one in the last.
    """

    lower_order_final: bool = False

    kind: ClassVar[Estimate]
    uses: ClassVar[int]

    @property
    def depth(self) -> int:
        return self.uses

    def most(self, left: int) -> int:
        return min(self.depth, left) if self.lower_order_final else self.depth

    @property
    def accuracy(self) -> int:
        return 2

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        return read(trace, self.kind, trace.x, x0, level)

    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        moments = kernel(s, t, self.kind, 3)
        moments = [moments[0], moments[1], moments[2] / 2] if len(nodes) == 3 else [moments[0], moments[0] / 2]
        return exponential(trace, x, s, t, nodes, self.kind, moments)


@dataclass(frozen=True)
class DPMpp2M(_DPMSolver):
    """DPM-Solver++(2M): D extrapolated from two calls (Lu et al. 2022, DPM-Solver++, algorithm 2)."""

    kind = "x0"
    uses = 2


@dataclass(frozen=True)
class DPMpp3M(_DPMSolver):
    """DPM-Solver++(3M) as published, from three estimates of x_0: order 2, where exp-ab has order 3."""

    kind = "x0"
    uses = 3


@dataclass(frozen=True)
class DPMSolver2M(_DPMSolver):
    """Multistep DPM-Solver from two noise estimates (Lu et al. 2022, DPM-Solver)."""

    kind = "eps"
    uses = 2


@dataclass(frozen=True)
class DPMSolver3M(_DPMSolver):
    """Multistep DPM-Solver as published, from three noise estimates: order 2, like dpm++3m."""

    kind = "eps"
    uses = 3
