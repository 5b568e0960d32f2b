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
    """The weak order of a stochastic solver on Gaussian data under each process, by exact moments."""
    made = list(processes.values())

    def errors(cases: Sequence[int], n: int) -> list[float]:
        return [_moment_error(solver, made[i], n) for i in cases]

    for name, slope in zip(processes, slopes(errors, len(made), solver.order), strict=True):
        yield Certificate("weak order", f"{label}, {name}, gaussian", slope, solver.order, TOLERANCE)
