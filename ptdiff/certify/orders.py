"""Orders of convergence: deterministic solvers towards the probability flow, stochastic ones in distribution."""

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
"""Mean and standard deviation of the elements whose moments are followed."""

TRANSIENT = {
    "dpm-solver-3m": ("mixture",),
    "exp-ab start=low": ("mixture",),
    "deis start=low": ("mixture",),
    "ab start=low": ("data",),
    "unipc-2 points=3": ("mixture", "data"),
    "unipc-2 points=3 variant=bh1": ("mixture", "data"),
    "unipc-2 points=3 estimate=eps": ("mixture", "data"),
}
"""Multistep methods that start with a step of low order, and where a term of higher order still leads after thousands
of steps, because what the first step leaves is small: slopes measured in 2048 steps lie between the two orders."""


def strong(label: str, solver: Solver, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """The order of a deterministic solver for each problem and process.

    On the problems of TRANSIENT a method may do better than it declares.
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
"""Steps of solvers whose error does not go away, the greatest error of the mean, and relative one of the variance."""
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
"""Orders in the literature of the methods that work theirs out from their coefficients."""


def published(name: str, solver: Solver) -> Iterator[Certificate]:
    """That the order a solver works out is the published one: wrong coefficients would declare what they do reach."""
    if name in PUBLISHED:
        yield Certificate("published order", name, solver.order, PUBLISHED[name], 0.0)


def _moment_errors(solver: Solver, process: Process, steps: int) -> tuple[float, float]:
    """How far mean and variance of x / alpha at the end are from those of the data at that level."""
    table = solver.table(PROBLEMS["gaussian"].levels(process, steps))
    (alpha, sigma), means, variances = table.levels[-1], 0.0, 0.0
    for mean, std in GAUSSIANS:
        found, spread = moments(table, mean, std)
        means += (found / alpha - mean) ** 2
        variances += ((spread - sigma**2) / alpha**2 - std**2) ** 2
    return math.sqrt(means), math.sqrt(variances)


def _variance_error(solver: Solver, process: Process, steps: int) -> float:
    """How far the variance at the end is from the one that the solver's docstring says, relative, at most."""
    levels = PROBLEMS["gaussian"].levels(process, steps)
    table, walked = solver.table(levels), pairs(levels)
    ratios = (moments(table, mean, std)[1] / variance(solver, walked, std) for mean, std in GAUSSIANS)
    return max(abs(ratio - 1) for ratio in ratios)


def weak(label: str, solver: Solver, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """The weak order of a stochastic solver on Gaussian data under each process, by exact moments.

    A solver that declares order 0 samples another distribution on purpose, however many steps it takes: of that the
    mean is certified, and the variance by a recursion from its formula.
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
