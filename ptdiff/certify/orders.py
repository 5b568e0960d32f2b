"""Orders of convergence: how fast the error of a deterministic solver falls with the number of steps.

    slope = log2(error(n) / error(2 n))                     for n doubled until the slope has settled

An order is asymptotic: at first a slope may lie above it (a method of order 3 behind a first step of order 1 begins
with 3 and ends with 2) or below.  So one pair of errors is not believed; two slopes in a row have to agree.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from ptdiff.certify.certificate import Certificate
from ptdiff.certify.problem import PROBLEMS, Problem
from ptdiff.process import Process
from ptdiff.solvers import Solver

TOLERANCE = 0.15
SETTLED = 0.06
FLOOR = 3e-12
"""Errors below are rounding and those of the reference."""
FIRST = {1: 64, 2: 40, 3: 32, 4: 24}
MOST = 2048


def _slope(errors: Sequence[float]) -> float | None:
    """The slope that has settled; None where it takes more steps to say."""
    if not math.isfinite(errors[-1]):
        return math.nan
    slopes = [math.log2(coarse / fine) for coarse, fine in pairwise(errors) if fine >= FLOOR]
    if errors[-1] < FLOOR:
        return slopes[-1] if slopes else math.inf
    settled = len(slopes) > 1 and abs(slopes[-1] - slopes[-2]) < SETTLED
    return slopes[-1] if settled else None


def orders(solver: Solver, problem: Problem, processes: Sequence[Process]) -> list[float]:
    """The measured order under each process: infinite where the solver is exact, else the last slope."""
    ladders: list[list[float]] = [[] for _ in processes]
    found: list[float | None] = [None for _ in processes]
    n = FIRST.get(solver.order, 16)
    while n <= MOST and None in found:
        open_ = [i for i, slope in enumerate(found) if slope is None]
        for i, error in zip(open_, problem.errors(solver, [processes[i] for i in open_], n), strict=True):
            ladders[i].append(error)
            found[i] = _slope(ladders[i])
        n *= 2
    return [
        math.log2(ladder[-2] / ladder[-1]) if slope is None else slope
        for slope, ladder in zip(found, ladders, strict=True)
    ]


def certify(label: str, solver: Solver, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """One certificate for each problem and process."""
    for problem in PROBLEMS.values():
        for name, slope in zip(processes, orders(solver, problem, list(processes.values())), strict=True):
            subject = f"{label}, {name}, {problem.name}"
            yield Certificate("order", subject, slope, solver.order, TOLERANCE, problem.direction)
