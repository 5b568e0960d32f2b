"""Orders of convergence: deterministic solvers towards the probability flow, stochastic ones in distribution."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ptdiff.certify.certificate import Certificate
from ptdiff.certify.ladder import slopes
from ptdiff.certify.moments import moments
from ptdiff.certify.problem import PROBLEMS, Problem
from ptdiff.process import Process
from ptdiff.solvers import Solver

TOLERANCE = 0.15
GAUSSIANS = ((0.3, 0.5), (-0.2, 1.3))
"""Mean and standard deviation of the elements whose moments are followed."""


def strong(label: str, solver: Solver, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """The order of a deterministic solver for each problem and process."""
    made = list(processes.values())
    for problem in PROBLEMS.values():

        def errors(cases: Sequence[int], n: int, problem: Problem = problem) -> list[float]:
            return problem.errors(solver, [made[i] for i in cases], n)

        for name, slope in zip(processes, slopes(errors, len(made), solver.order), strict=True):
            subject = f"{label}, {name}, {problem.name}"
            yield Certificate("order", subject, slope, solver.order, TOLERANCE, problem.direction)


MANY, BIAS = 256, 0.25
"""Steps, and the greatest error of the moments, of solvers whose error does not go away."""
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


def _moment_error(solver: Solver, process: Process, steps: int) -> float:
    """Distance of mean and variance at the end to those of the data at that level, for x / alpha."""
    table = solver.table(PROBLEMS["gaussian"].levels(process, steps))
    alpha, sigma = table.levels[-1]
    square = 0.0
    for mean, std in GAUSSIANS:
        found, variance = moments(table, mean, std)
        square += (found / alpha - mean) ** 2 + ((variance - sigma**2) / alpha**2 - std**2) ** 2
    return math.sqrt(square)


def weak(label: str, solver: Solver, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """The weak order of a stochastic solver on Gaussian data under each process, by exact moments.

    A solver that declares order 0 keeps a bias however many steps it takes: then that is certified to stay small.
    """
    made = list(processes.values())

    def errors(cases: Sequence[int], n: int) -> list[float]:
        return [_moment_error(solver, made[i], n) for i in cases]

    if solver.order == 0:
        for name, bias in zip(processes, errors(range(len(made)), MANY), strict=True):
            yield Certificate("bias", f"{label}, {name}, gaussian", bias, 0.0, BIAS, "at most")
        return
    for name, slope in zip(processes, slopes(errors, len(made), solver.order), strict=True):
        yield Certificate("weak order", f"{label}, {name}, gaussian", slope, solver.order, TOLERANCE)
