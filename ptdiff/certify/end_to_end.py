"""The full range in float32, from the noisiest level of a process to its clean one: finite, on the data, and counted.

The data are points, so the end is known: every sample must land on one of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch

from ptdiff.certify.certificate import Certificate
from ptdiff.denoiser.cost import Counted
from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import Process
from ptdiff.solvers import Solver, Table, trajectory

STEPS = 40
SAMPLES = 16
CLOSE = 1e-3
POINTS = torch.tensor([[-1.0, 2.0], [1.0, 0.5]])


def _walk(table: Table) -> tuple[float, float]:
    """Distance of the worst sample from the data, infinite if a state is not finite, and denoiser calls per sample."""
    ids = torch.arange(SAMPLES)

    def noise(draw: int) -> torch.Tensor:
        return normal(0, Stream.SOLVER, ids, draw, (2,))

    counted = Counted(Mixture.of_data(POINTS))
    x = normal(0, Stream.START, ids, 0, (2,)) * math.hypot(*table.levels[0])
    finite = True
    for state in trajectory(counted, x, table, {}, noise):
        x, finite = state.x, finite and bool(torch.isfinite(state.x).all())
    gap = float(torch.cdist(x, POINTS).amin(dim=1).max())
    return gap if finite else math.inf, counted.rows / SAMPLES


def certify(label: str, solver: Solver, processes: Mapping[str, Process]) -> Iterator[Certificate]:
    """Certificates of the end and the calls under every process.

    For a solver that refuses pure noise (alpha = 0) with the documented message, only the refusal is certified.
    """
    for name, process in processes.items():
        subject, levels = f"{label}, {name}", grid(process, STEPS)
        try:
            table = solver.table(levels)
        except ValueError as error:
            refused = levels.alpha[0] == 0 and "pure noise" in str(error)
            yield Certificate("refuses pure noise", subject, float(refused), 1.0, 0.0)
            continue
        gap, calls = _walk(table)
        yield Certificate("end", subject, gap, 0.0, CLOSE, "at most")
        yield Certificate("calls", subject, calls, table.calls, 0.0)
