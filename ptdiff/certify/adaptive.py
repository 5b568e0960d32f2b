"""Adaptive solvers: the final error is of the size of the tolerance of a step, for every process and problem."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ptdiff.certify.certificate import Certificate
from ptdiff.certify.problem import PROBLEMS, Problem, reference
from ptdiff.process import Process
from ptdiff.solvers import Adaptive

ALLOWED = (1e-3, 1e-5)
FACTOR = 5.0
"""Limit of the final error, in units of the tolerance of one step: the errors of steps add up."""


def _error(solver: Adaptive, problem: Problem, process: Process, allowed: float) -> float:
    levels, x = problem.levels(process, 1), problem.start(process)
    walk = replace(solver, rtol=allowed, atol=allowed).trajectory(problem.denoiser, x, levels)
    end = deque(walk, maxlen=1)[0].x / levels.alpha[-1]
    return float((end - reference(problem.name)).square().mean().sqrt())


def certify(label: str, solver: Adaptive, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """Certificates of the final error over the tolerance of a step: similar for a loose and a tight tolerance."""
    for problem in PROBLEMS.values():
        for name, process in processes.items():
            for allowed in ALLOWED:
                subject = f"{label}, {name}, {problem.name}, tolerance {allowed:g}"
                error = _error(solver, problem, process, allowed) / allowed
                yield Certificate("adaptive error", subject, error, 0.0, FACTOR, "at most")
