"""Singlestep methods: a step uses levels inside itself and nothing before (Lu et al. 2022, DPM-Solver).

    DPM-Solver-2, DPM-Solver++(2S)    a call at lambda_s + r1 h, then m_0 and m_1 = m_0 / 2
    DPM-Solver-3, DPM-Solver++(3S)    calls at lambda_s + r1 h and + r2 h, then m_0 and the exact m_1

in the formulas of multistep.py: each inner point is an exponential step with the nodes known so far.  Inner levels have
alpha^2 + sigma^2 = 1 for every process, because E[x_0|x] does not depend on the scale.  Out of pure noise, where lambda
= -infinity has no inner levels, a step is a Runge-Kutta step in the angle.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

from ptdiff.process import Level
from ptdiff.solvers.multistep import Estimate, exponential, kernel, log_snr, read
from ptdiff.solvers.table import Pair, Table, pairs
from ptdiff.solvers.trace import Form, Node, Trace, ddim, epsilon, runge_kutta


def between(s: Pair, t: Pair, r: float) -> Pair:
    """The level at lambda_s + r h, with alpha^2 + sigma^2 = 1."""
    angle = math.atan(math.exp(-(1 - r) * log_snr(s) - r * log_snr(t)))
    return math.cos(angle), math.sin(angle)


@dataclass(frozen=True)
class _Singlestep(ABC):
    @property
    @abstractmethod
    def order(self) -> int:
        """Order of convergence."""
        ...

    @abstractmethod
    def step(self, trace: Trace, s: Pair, t: Pair) -> Form:
        """x at t, from x at s and inner calls."""

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        trace = Trace(found[0])
        for s, t in pairwise(found):
            if t[1] == 0:
                point = ddim(trace, trace.x, s, t, trace.newest)
            elif s[0] == 0:
                point = runge_kutta(trace, trace.x, s, t, self.order)
            else:
                point = self.step(trace, s, t)
            trace.evaluate(point, t)
        return trace.table(found)


def second(trace: Trace, x: Form, s: Pair, t: Pair, nodes: list[Node], estimate: Estimate) -> Form:
    """x at t by the second-order update."""
    m = kernel(s, t, estimate, 1)[0]
    return exponential(trace, x, s, t, nodes, estimate, [m, m / 2])


@dataclass(frozen=True)
class _Two(_Singlestep):
    r1: float = 0.5

    kind: ClassVar[Estimate]

    def __post_init__(self) -> None:
        if not 0 < self.r1 <= 1:
            raise ValueError(f"r1 must lie in (0, 1], not {self.r1}")

    @property
    def order(self) -> int:
        return 2

    def step(self, trace: Trace, s: Pair, t: Pair) -> Form:
        x, first = trace.x, read(trace, self.kind, trace.x, trace.newest, s)
        u = between(s, t, self.r1)
        point = exponential(trace, x, s, u, [first], self.kind)
        inside = read(trace, self.kind, point, trace.evaluate(point, u, advance=False), u)
        return second(trace, x, s, t, [first, inside], self.kind)


@dataclass(frozen=True)
class _Three(_Singlestep):
    r1: float = 1 / 3
    r2: float = 2 / 3

    kind: ClassVar[Estimate]

    def __post_init__(self) -> None:
        if not 0 < self.r1 < self.r2 <= 1:
            raise ValueError(f"r1 and r2 must satisfy 0 < r1 < r2 <= 1, not r1 = {self.r1} and r2 = {self.r2}")

    @property
    def order(self) -> int:
        return 3

    def step(self, trace: Trace, s: Pair, t: Pair) -> Form:
        x, first = trace.x, read(trace, self.kind, trace.x, trace.newest, s)
        nodes = [first]
        for r in (self.r1, self.r2):
            u = between(s, t, r)
            point = exponential(trace, x, s, u, nodes, self.kind)
            inside = read(trace, self.kind, point, trace.evaluate(point, u, advance=False), u)
            nodes = [first, inside]
        return exponential(trace, x, s, t, nodes, self.kind)


@dataclass(frozen=True)
class DPMpp2S(_Two):
    """DPM-Solver++(2S): singlestep of order 2, two calls per step (Lu et al. 2022, DPM-Solver++, algorithm 1)."""

    kind = "x0"


@dataclass(frozen=True)
class DPMpp3S(_Three):
    """DPM-Solver++(3S): singlestep of order 3, three calls per step (Lu et al. 2022, DPM-Solver++)."""

    kind = "x0"


@dataclass(frozen=True)
class DPMSolver2S(_Two):
    """DPM-Solver-2: singlestep of order 2, two calls per step (Lu et al. 2022, DPM-Solver, algorithm 1)."""

    kind = "eps"


@dataclass(frozen=True)
class DPMSolver3S(_Three):
    """DPM-Solver-3: singlestep of order 3, three calls per step (Lu et al. 2022, DPM-Solver, algorithm 2)."""

    kind = "eps"


@dataclass(frozen=True)
class DPM2(_Singlestep):
    """DPM-2: slope at the geometric mean of rho = sigma / alpha, two calls per step (Karras et al. 2022)."""

    @property
    def order(self) -> int:
        """Order of convergence."""
        return 2

    def step(self, trace: Trace, s: Pair, t: Pair) -> Form:
        """x at t by the noise estimated at the middle of log rho."""
        x, u = trace.x, between(s, t, 0.5)
        point = ddim(trace, x, s, u, trace.newest)
        slope = epsilon(trace, point, trace.evaluate(point, u, advance=False), u)
        return trace.sum((t[0] / s[0], x), (t[1] - t[0] * s[1] / s[0], slope))
