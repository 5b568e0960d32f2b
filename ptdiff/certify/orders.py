"""Orders of convergence: deterministic solvers to the probability flow, stochastic ones in distribution."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ptdiff.certify.biased import variance
from ptdiff.certify.certificate import Certificate, Direction
from ptdiff.certify.ladder import slopes
from ptdiff.certify.moments import moments
from ptdiff.certify.problem import PROBLEMS, Problem
from ptdiff.process import Process
from ptdiff.solvers import Solver
from ptdiff.solvers.table import pairs

TOLERANCE = 0.15
GAUSSIANS = ((0.3, 0.5), (-0.2, 1.3))
"""Mean and standard deviation of the Gaussian elements whose moments are tracked."""

TRANSIENT = {
    "dpm-solver-3m": ("mixture",),
    "exp-ab start=low": ("mixture",),
    "deis start=low": ("mixture",),
    "ab start=low": ("data",),
    "unipc-2 points=3": ("mixture", "data"),
    "unipc-2 points=3 variant=bh1": ("mixture", "data"),
    "unipc-2 points=3 estimate=eps": ("mixture", "data"),
}
"""Multistep methods with a first step of low order whose error is so small that a term of higher order still dominates
after thousands of steps: slopes measured in 2048 steps lie between the two orders."""


def strong(label: str, solver: Solver, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """The order of a deterministic solver for each problem and process.

    On the problems of TRANSIENT a method may exceed its declared order.
    """
    made = list(processes.values())
    for problem in PROBLEMS.values():
        direction: Direction = "at least" if problem.name in TRANSIENT.get(label, ()) else problem.direction

        def errors(cases: Sequence[int], n: int, problem: Problem = problem) -> list[float]:
            return problem.errors(solver, [made[i] for i in cases], n)

        found = slopes(errors, len(made), solver.order, above=direction == "at least", floor=problem.floor)
        for name, slope in zip(processes, found, strict=True):
            subject = f"{label}, {name}, {problem.name}"
            yield Certificate("order", subject, slope, solver.order, TOLERANCE, direction)


MANY, BIAS, SPREAD = 256, 0.05, 1e-3
"""Steps of biased solvers, largest error of their mean, and largest relative error of their variance."""
PUBLISHED = {
    "euler": 1,
    "midpoint": 2,
    "heun": 2,
    "ralston": 2,
    "kutta3": 3,
    "ralston3": 3,
    "rk4": 4,
    "runge-kutta": 4,
}
"""Published orders of the methods that derive theirs from their coefficients."""


def published(name: str, solver: Solver) -> Iterator[Certificate]:
    """Certify that the order a solver derives from its coefficients is the published one."""
    if name in PUBLISHED:
        yield Certificate("published order", name, solver.order, PUBLISHED[name], 0.0)


def _moment_errors(solver: Solver, process: Process, steps: int) -> tuple[float, float]:
    """Errors of mean and variance of x / alpha at the end, relative to those of the data at that level."""
    table = solver.table(PROBLEMS["gaussian"].levels(process, steps))
    (alpha, sigma), means, variances = table.levels[-1], 0.0, 0.0
    for mean, std in GAUSSIANS:
        found, spread = moments(table, mean, std)
        means += (found / alpha - mean) ** 2
        variances += ((spread - sigma**2) / alpha**2 - std**2) ** 2
    return math.sqrt(means), math.sqrt(variances)


def _variance_error(solver: Solver, process: Process, steps: int) -> float:
    """Largest relative error of the final variance, compared with the one the solver's docstring implies."""
    levels = PROBLEMS["gaussian"].levels(process, steps)
    table, walked = solver.table(levels), pairs(levels)
    ratios = (moments(table, mean, std)[1] / variance(solver, walked, std) for mean, std in GAUSSIANS)
    return max(abs(ratio - 1) for ratio in ratios)


def weak(label: str, solver: Solver, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """The weak order of a stochastic solver on Gaussian data under each process, by exact moments.

    A solver that declares order 0 samples another distribution on purpose, for any number of steps; its mean is
    certified, and its variance by a recursion from its formula.
    """
    made = list(processes.values())

    def errors(cases: Sequence[int], n: int) -> list[float]:
        return [math.hypot(*_moment_errors(solver, made[i], n)) for i in cases]

    if solver.order == 0:
        for name, process in processes.items():
            bias, _ = _moment_errors(solver, process, MANY)
            yield Certificate("mean without an order", f"{label}, {name}, gaussian", bias, 0.0, BIAS, "at most")
            gap = _variance_error(solver, process, MANY)
            yield Certificate("variance without an order", f"{label}, {name}, gaussian", gap, 0.0, SPREAD, "at most")
        return
    for name, slope in zip(processes, slopes(errors, len(made), solver.order), strict=True):
        yield Certificate("weak order", f"{label}, {name}, gaussian", slope, solver.order, TOLERANCE)
