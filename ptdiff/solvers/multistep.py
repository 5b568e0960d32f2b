"""Exponential multistep methods: one call a step, earlier estimates are interpolated.

s -> t is a step, h = lambda_t - lambda_s, lambda = log(alpha / sigma).  The probability flow, its linear part solved:

    x0    x_t = (sigma_t / sigma_s) x_s + alpha_t h int_0^1 exp(-h (1 - x)) D dx
    eps   x_t = (alpha_t / alpha_s) x_s - sigma_t h int_0^1 exp(h (1 - x)) eps dx         x = (lambda - lambda_s) / h

with D, or eps = (x - alpha D) / sigma, the polynomial in lambda through the newest estimates.  A method is how many it
uses and by which moments of the kernel it weighs the powers of x: the exact ones, m_k, make exponential
Adams-Bashforth; DPM-Solver approximates m_1 by m_0 / 2 where it uses two estimates.

The first step has one estimate only.  start="low" begins with lower orders, as the papers do, which leaves a global
error of order 2 at best; start="rk" makes steps by a Runge-Kutta method in the angle until there are estimates enough.
The step into a clean level is x = alpha D.  Pure noise lies at lambda = -infinity, where nothing is interpolated.
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
    """What was found at a point: D, or the noise that it means."""
    return Node(level, x0 if estimate == "x0" else epsilon(trace, point, x0, level))


def log_snr(level: Pair) -> float:
    """lambda = log(alpha / sigma), half the log-SNR; infinite at both ends."""
    alpha, sigma = level
    return math.log(alpha / sigma) if alpha and sigma else math.copysign(math.inf, alpha - sigma)


def weights(s: Pair, t: Pair, nodes: Sequence[Pair], estimate: Estimate, moments: Sequence[float] = ()) -> list[float]:
    """What the estimates at ``nodes`` add to x_t by the formulas above; moments by default the exact ones."""
    start, h = log_snr(s), log_snr(t) - log_snr(s)
    moments = moments or kernel(s, t, estimate, len(nodes))
    factor = t[0] * h if estimate == "x0" else -t[1] * h
    return [factor * w for w in interpolation([(log_snr(node) - start) / h for node in nodes], moments)]


def kernel(s: Pair, t: Pair, estimate: Estimate, count: int) -> list[float]:
    """The moments m_0, m_1, … of the formulas above."""
    h = log_snr(t) - log_snr(s)
    return exponential_moments(h if estimate == "x0" else -h, count)


def exponential(
    trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node], estimate: Estimate, moments: Sequence[float] = ()
) -> Form:
    """x at t from x at s and what was found at ``nodes``."""
    keep = t[1] / s[1] if estimate == "x0" else t[0] / s[0]
    found = weights(s, t, [node.level for node in nodes], estimate, moments)
    return trace.sum((keep, x), *((w, node.value) for w, node in zip(found, nodes, strict=True)))


@dataclass(frozen=True)
class Multistep(ABC):
    """The loop that multistep methods share: start-up, one call a step, the last step."""

    start: Start = "low"

    @property
    @abstractmethod
    def depth(self) -> int:
        """How many estimates a step uses."""

    @property
    def accuracy(self) -> int:
        """The global order with estimates enough from the start."""
        return self.depth

    @property
    def order(self) -> int:
        return self.accuracy if self.start == "rk" else min(self.accuracy, 2)

    def most(self, left: int) -> int:
        """How many estimates a step may use, with ``left`` steps to go, itself included."""
        return self.depth

    @abstractmethod
    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        """x at t, from x at s and one to ``depth`` nodes, newest first."""

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        """What the step interpolates, at x as it stands."""
        return Node(level, x0)

    def usable(self, level: Pair) -> bool:
        """Whether a step may look back on this level."""
        return level[0] > 0

    def correct(self, trace: Trace, s: Pair, t: Pair, nodes: Sequence[Node], new: Node) -> Form:
        """x at t once more, after the step from ``nodes`` and a call there; as it stands without a corrector."""
        return trace.x

    def table(self, levels: Level) -> Table:
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
    """Exponential Adams-Bashforth of order 1 to 4, exact in lambda (Hochbruck and Ostermann 2010)."""

    start: Start = "rk"
    points: int = 3
    estimate: Estimate = "x0"

    def __post_init__(self) -> None:
        if not 1 <= self.points <= 4:
            raise ValueError(f"points must lie in 1 … 4, not {self.points}")

    @property
    def depth(self) -> int:
        return self.points

    def read(self, trace: Trace, x0: Form, level: Pair) -> Node:
        return read(trace, self.estimate, trace.x, x0, level)

    def step(self, trace: Trace, x: Form, s: Pair, t: Pair, nodes: Sequence[Node]) -> Form:
        return exponential(trace, x, s, t, nodes, self.estimate)


@dataclass(frozen=True)
class _DPMSolver(Multistep):
    """The multistep updates of DPM-Solver and DPM-Solver++, as they were published.

    Two estimates enter with m_1 = m_0 / 2; three with m_0, m_1 and m_2 / 2.  The published code weighs the divided
    difference of second order, half the second derivative, as if it were the whole: three estimates give order 2.
    ExpAB of three points is of order 3.  lower_order_final: two estimates in the last step but one, one in the last.
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
    """DPM-Solver++(2M) (Lu et al. 2022, DPM-Solver++, algorithm 2): D is extrapolated from two calls."""

    kind = "x0"
    uses = 2


@dataclass(frozen=True)
class DPMpp3M(_DPMSolver):
    """DPM-Solver++(3M) as published, with three estimates of x_0; its order is 2, exp-ab has the weights of order 3."""

    kind = "x0"
    uses = 3


@dataclass(frozen=True)
class DPMSolver2M(_DPMSolver):
    """DPM-Solver, multistep, with two estimates of the noise (Lu et al. 2022, DPM-Solver)."""

    kind = "eps"
    uses = 2


@dataclass(frozen=True)
class DPMSolver3M(_DPMSolver):
    """DPM-Solver, multistep, as published, with three estimates of the noise; its order is 2, as of dpm++3m."""

    kind = "eps"
    uses = 3
