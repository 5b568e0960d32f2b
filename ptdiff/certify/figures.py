"""Figures for choosing a solver: its error for a given number of denoiser calls, over the full range of noise.

flow error     root mean square distance from the exact end of the probability flow, for the mixture; None for solvers
               that add noise, which do not follow the flow
moment error   error of mean and standard deviation at the end, in standard deviations of the data, exact; the root mean
               square over the normal distributions of ptdiff.certify.orders
"""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptdiff.certify.moments import moments
from ptdiff.certify.orders import GAUSSIANS
from ptdiff.certify.problem import MIXTURE, SAMPLES, Floats
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import PROCESSES, Level
from ptdiff.solvers import SOLVERS, Solver, Table, solve

BUDGETS = (10, 20, 40)
UNDER = ("flow", "ve")
_CLEAN = 1e-4


def within(solver: Solver, process: str, calls: int) -> Table | None:
    """The table with the most steps that costs at most ``calls``; None if one step costs more or is refused."""
    for steps in range(calls, 0, -1):
        try:
            table = solver.table(grid(PROCESSES[process](), steps))
        except ValueError:
            continue
        if table.calls <= calls:
            return table
    return None


def _start() -> Tensor:
    return normal(0, Stream.START, torch.arange(SAMPLES), 0, (2,)).double()


@cache
def _exact(process: str) -> Tensor:
    """The clean end of the flow from x = hypot(alpha, sigma) z: w = x / r over the angle, by DOP853, then E[x_0|x]."""
    from scipy.integrate import solve_ivp

    first = float(PROCESSES[process]().level(torch.ones((), dtype=torch.float64)).angle)

    def level(angle: float) -> Level:
        theta = torch.tensor(angle, dtype=torch.float64)
        return Level(torch.cos(theta), torch.sin(theta))

    def slope(angle: float, flat: Floats) -> Floats:
        w = torch.from_numpy(flat).reshape(SAMPLES, 2)
        found: Floats = ((math.cos(angle) * w - MIXTURE(w, level(angle), {})) / math.sin(angle)).flatten().numpy()
        return found

    start = _start().flatten().numpy().astype(np.float64)
    walked = solve_ivp(slope, (first, _CLEAN), start, method="DOP853", rtol=1e-10, atol=1e-11)
    return MIXTURE(torch.from_numpy(walked.y[:, -1].copy()).reshape(SAMPLES, 2), level(_CLEAN), {})


def _flow_error(table: Table, process: str) -> float:
    x = _start() * math.hypot(*table.levels[0])
    return float((solve(MIXTURE, x, table) - _exact(process)).square().sum(dim=1).mean().sqrt())


def _moment_error(table: Table) -> float:
    found = [(moments(table, mean, std), mean, std) for mean, std in GAUSSIANS]
    squares = [((m - mean) ** 2 + (math.sqrt(v) - std) ** 2) / std**2 for (m, v), mean, std in found]
    return math.sqrt(sum(squares) / len(squares))


def figures(name: str) -> dict[str, Any]:
    """The figures of one catalog entry, with its defaults, for the page of solvers."""
    solver = SOLVERS[name]()
    few, more = (solver.table(grid(PROCESSES["ve"](), n)).calls for n in (10, 20))
    found: dict[str, Any] = {"name": name, "order": solver.order, "calls a step": (more - few) / 10}
    noisy = solver.table(grid(PROCESSES["ve"](), 10)).stochastic
    found["stochastic"] = noisy
    found["options"] = [field.name for field in dataclasses.fields(solver)]  # type: ignore[arg-type]
    for process in UNDER:
        tables = {calls: within(solver, process, calls) for calls in BUDGETS}
        found[f"flow error, {process}"] = {
            calls: None if table is None or noisy else _flow_error(table, process) for calls, table in tables.items()
        }
        found[f"moment error, {process}"] = {
            calls: None if table is None else _moment_error(table) for calls, table in tables.items()
        }
    return found
