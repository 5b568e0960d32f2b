"""A trace turns a solver written in the terms of its paper into the stages of a table.

Everything a deterministic solver handles is a linear form: weights on x after some steps, and on the estimates D_0,
D_1, … by number of the call.  A solver combines forms (points, noise estimates, slopes) and evaluates some of them; the
trace records the stages.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ptdiff.solvers.runge_kutta import RK4, Euler, Kutta3, Midpoint
from ptdiff.solvers.table import Pair, Stage, Table, closed


class Form(NamedTuple):
    """The linear form sum at[i] * (x after i steps) + sum on[i] * D_i."""

    at: dict[int, float]
    on: dict[int, float]


class Node(NamedTuple):
    """A quantity and the level at which it was evaluated."""

    level: Pair
    value: Form


_BY_ORDER = {1: Euler.tableau, 2: Midpoint.tableau, 3: Kutta3.tableau, 4: RK4.tableau}


class Trace:
    """The stages recorded so far; starts with a call at the first level."""

    def __init__(self, level: Pair) -> None:
        self._stages = [Stage(1.0, level=level)]
        self._steps = 0
        self.newest = Form({}, {0: 1.0})

    @property
    def x(self) -> Form:
        """The current x."""
        return Form({self._steps: 1.0}, {})

    def sum(self, *terms: tuple[float, Form]) -> Form:
        """Combine forms with the given weights."""
        at, on = dict[int, float](), dict[int, float]()
        for factor, form in terms:
            for total, weights in ((at, form.at), (on, form.on)):
                for i, value in weights.items():
                    total[i] = total.get(i, 0.0) + factor * value
        return Form(at, on)

    def evaluate(self, point: Form, level: Pair, advance: bool = True) -> Form:
        """Call the denoiser at ``point`` and return the form of the new estimate; x moves there if ``advance``."""
        calls = len(self._stages)
        mix = _newest_first(point.on, calls - 1)
        keep, *back = _newest_first(point.at, self._steps) or (0.0,)
        self._stages.append(Stage(keep, mix, level=level, advance=advance, back=tuple(back)))
        self._steps += advance
        self.newest = Form({}, {calls: 1.0})
        return self.newest

    def table(self, levels: tuple[Pair, ...]) -> Table:
        """The table of the recorded stages."""
        return closed(self._stages, levels)


def _newest_first(weights: dict[int, float], newest: int) -> tuple[float, ...]:
    return tuple(weights.get(i, 0.0) for i in range(newest, min(weights, default=newest + 1) - 1, -1))


def epsilon(trace: Trace, x: Form, x0: Form, level: Pair) -> Form:
    """The noise in x implied by an estimate of its data."""
    return trace.sum((1 / level[1], x), (-level[0] / level[1], x0))


def ddim(trace: Trace, x: Form, s: Pair, t: Pair, x0: Form) -> Form:
    """The DDIM step from x at s to t with one estimate of x_0; finite out of pure noise and into the clean level."""
    keep = t[1] / s[1]
    return trace.sum((keep, x), (t[0] - keep * s[0], x0))


def runge_kutta(trace: Trace, x: Form, s: Pair, t: Pair, order: int) -> Form:
    """One Runge-Kutta step of order 1 to 4 in the angle theta, finite out of pure noise, with order - 1 new calls.

    y = x / r follows dy/dtheta = (cos(theta) y - D) / sin(theta).  The newest estimate must be the one at s.
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
