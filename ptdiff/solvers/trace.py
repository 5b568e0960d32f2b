"""A trace turns a solver written in its paper's terms into the stages of a table.

Everything a deterministic solver handles is a linear form: a weight on x, as it stood after some step, and weights on
the estimates D_0, D_1, … by number of the call.  A solver combines forms (points, noise estimates, slopes), evaluates
some of them, and the trace writes the stages.

A table remembers earlier estimates but only the newest x.  An older x in a form is therefore expressed by the newest:
x_after = keep x_before + mix D gives x_before = (x_after - mix D) / keep.  Data prediction never needs it; the history
of a noise prediction, eps_j = (x_j - alpha_j D_j) / sigma_j, does, and its weights trail off over earlier estimates as
the method's own memory does.  Weights below double precision of the largest one are dropped.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ptdiff.solvers.runge_kutta import RK4, Euler, Kutta3, Midpoint
from ptdiff.solvers.table import Pair, Stage, Table, closed

_NEGLIGIBLE = 2.0**-60


class Form(NamedTuple):
    """weight * (x after ``step`` steps) + sum of on[i] * D_i."""

    step: int
    weight: float
    on: dict[int, float]


class Node(NamedTuple):
    """Where a quantity was evaluated, and the quantity."""

    level: Pair
    value: Form


_BY_ORDER = {1: Euler.tableau, 2: Midpoint.tableau, 3: Kutta3.tableau, 4: RK4.tableau}


class Trace:
    """The stages written so far; starts with a call at the first level."""

    def __init__(self, level: Pair) -> None:
        self._stages = [Stage(1.0, level=level)]
        self._moves: list[Form] = []
        self.newest = Form(0, 0.0, {0: 1.0})

    @property
    def x(self) -> Form:
        """x as it stands."""
        return Form(len(self._moves), 1.0, {})

    def sum(self, *terms: tuple[float, Form]) -> Form:
        """The combination of forms with these weights."""
        weight, on = 0.0, dict[int, float]()
        for factor, form in terms:
            if factor:
                now = self._now(form)
                weight += factor * now.weight
                for i, value in now.on.items():
                    on[i] = on.get(i, 0.0) + factor * value
        return Form(len(self._moves), weight, on)

    def _now(self, form: Form) -> Form:
        step, weight, on = form
        if weight:
            for move in self._moves[step:]:
                weight /= move.weight
                on = dict(on)
                for i, value in move.on.items():
                    on[i] = on.get(i, 0.0) - weight * value
                floor = _NEGLIGIBLE * max(map(abs, on.values()), default=0.0)
                on = {i: value for i, value in on.items() if abs(value) > floor}
        return Form(len(self._moves), weight, on)

    def evaluate(self, point: Form, level: Pair, advance: bool = True) -> Form:
        """Call the denoiser at ``point``, which x moves to if it advances; the form of the new estimate."""
        calls = len(self._stages)
        oldest = min(point.on, default=calls)
        mix = tuple(point.on.get(i, 0.0) for i in range(calls - 1, oldest - 1, -1))
        self._stages.append(Stage(point.weight, mix, level=level, advance=advance))
        if advance:
            self._moves.append(point)
        self.newest = Form(len(self._moves), 0.0, {calls: 1.0})
        return self.newest

    def table(self, levels: tuple[Pair, ...]) -> Table:
        """The table of what was written."""
        return closed(self._stages, levels)


def epsilon(trace: Trace, x: Form, x0: Form, level: Pair) -> Form:
    """The noise in x by an estimate of its data."""
    return trace.sum((1 / level[1], x), (-level[0] / level[1], x0))


def ddim(trace: Trace, x: Form, s: Pair, t: Pair, x0: Form) -> Form:
    """From x at s to t with one estimate of x_0 (DDIM); finite from pure noise and into the clean level."""
    keep = t[1] / s[1]
    return trace.sum((keep, x), (t[0] - keep * s[0], x0))


def runge_kutta(trace: Trace, x: Form, s: Pair, t: Pair, order: int) -> Form:
    """One Runge-Kutta step of order 1 to 4 in the angle theta, finite out of pure noise; order - 1 new calls.

    y = x / r follows dy/dtheta = (cos(theta) y - D) / sin(theta).  The newest estimate must be that at s.
    """
    tableau, slopes = _BY_ORDER[order], list[Form]()
    u, r = math.atan2(s[1], s[0]), math.hypot(*t)
    h = math.atan2(t[1], t[0]) - u
    y = trace.sum((1 / math.hypot(*s), x))
    for row, c in zip(((), *tableau.inner), tableau.nodes, strict=True):
        sine, cosine = math.sin(u + c * h), math.cos(u + c * h)
        point = trace.sum((1.0, y), *((h * a, slope) for a, slope in zip(row, slopes, strict=True)))
        x0 = trace.evaluate(point, (cosine, sine), advance=False) if row else trace.newest
        slopes.append(trace.sum((cosine / sine, point), (-1 / sine, x0)))
    return trace.sum((r, y), *((r * h * b, slope) for b, slope in zip(tableau.outer, slopes, strict=True)))
