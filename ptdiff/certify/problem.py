"""Problems with known answers: a denoiser in closed form, and the end of its probability flow.

rho = sigma / alpha.  In y = x / alpha and u = log rho the flow is dy/du = y - D(y), the same for every process, so one
reference serves all of them.  Every problem starts at rho = 5 and stops where its flow is still smooth, away from both
singular ends, so that the error of a solver is a power of the number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ptdiff.certify.certificate import Direction
from ptdiff.certify.side_by_side import ends
from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.noise import Stream, normal
from ptdiff.process import Level, Process
from ptdiff.solvers import Solver

Floats = NDArray[np.float64]
NOISIEST = 5.0
SAMPLES = 16


def _normals(count: int, shape: tuple[int, ...]) -> Tensor:
    return normal(0, Stream.START, torch.arange(count), 0, shape).double()


GAUSSIAN = Gaussian(torch.tensor([0.3, -0.2], dtype=torch.float64), torch.tensor([0.5, 1.3], dtype=torch.float64))
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=torch.float64),
    torch.tensor([0.3, 0.2, 0.4], dtype=torch.float64),
    torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
)
POINTS = Mixture.of_data(_normals(5, (2,)))


@cache
def _times(process: Process, cleanest: float) -> tuple[float, float]:
    wanted = torch.atan(torch.tensor([NOISIEST, cleanest], dtype=torch.float64))
    times = process.time(wanted)
    if not torch.allclose(process.level(times).angle, wanted, rtol=0, atol=1e-6):
        raise ValueError(f"{process} does not reach the noise-to-signal ratios {NOISIEST} and {cleanest}")
    return float(times[0]), float(times[1])


@dataclass(frozen=True)
class Problem:
    """A denoiser, the ratio rho at which its flow is compared with the exact one, and the accepted orders.

    On Gaussian data the error may fall faster than declared, because D is linear in x; on other data it may not.
    ``floor``: accuracy of the exact end.
    """

    name: str
    denoiser: Denoiser
    cleanest: float
    direction: Direction
    floor: float

    def levels(self, process: Process, steps: int) -> Level:
        """Equal steps of the process's own time, float64; ValueError for a process that does not cover the ratios."""
        first, last = _times(process, self.cleanest)
        return process.level(torch.linspace(first, last, steps + 1, dtype=torch.float64))

    def start(self, process: Process) -> Tensor:
        """x at the first level, (16, 2): the same y under every process."""
        return _normals(SAMPLES, (2,)) * self.levels(process, 1).scale[0]

    def errors(self, solver: Solver, processes: Sequence[Process], steps: int) -> list[float]:
        """Root mean square distance of y = x / alpha from the exact end of the flow, for each process."""
        tables = [solver.table(self.levels(process, steps)) for process in processes]
        found = ends(self.denoiser, [self.start(process) for process in processes], tables)
        exact = reference(self.name)
        return [
            float((end / table.levels[-1][0] - exact).square().mean().sqrt())
            for end, table in zip(found, tables, strict=True)
        ]


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("gaussian", GAUSSIAN, 0.1, "at least", 3e-13),
        Problem("mixture", MIXTURE, 0.1, "equal", 4e-12),
        # closer to the data the flow switches sharply between points
        Problem("data", POINTS, 0.5, "equal", 4e-12),
    )
}


def _gaussian_end(y: Tensor) -> Tensor:
    # the standardized state is constant along the flow
    mean, variance = GAUSSIAN.mean, GAUSSIAN.std.square()
    low = PROBLEMS["gaussian"].cleanest
    return mean + (y - mean) * torch.sqrt((variance + low**2) / (variance + NOISIEST**2))


def _flow_end(problem: Problem, y: Tensor) -> Tensor:
    # an integrator that shares no code with the solvers
    from scipy.integrate import solve_ivp

    def slope(u: float, flat: Floats) -> Floats:
        now = torch.from_numpy(flat).reshape(y.shape)
        level = Level(torch.ones((), dtype=torch.float64), torch.tensor(math.exp(u), dtype=torch.float64))
        found: Floats = (now - problem.denoiser(now, level, {})).flatten().numpy()
        return found

    span = (math.log(NOISIEST), math.log(problem.cleanest))
    found = solve_ivp(slope, span, y.flatten().numpy(), method="DOP853", rtol=1e-13, atol=1e-14)
    return torch.from_numpy(found.y[:, -1].copy()).reshape(y.shape)


@cache
def reference(name: str) -> Tensor:
    """The exact end of the flow in y, (16, 2): in closed form for the Gaussian, otherwise accurate to about 1e-12."""
    y = _normals(SAMPLES, (2,)) * math.hypot(1, NOISIEST)
    exact: dict[str, Callable[[Tensor], Tensor]] = {"gaussian": _gaussian_end}
    return exact[name](y) if name in exact else _flow_end(PROBLEMS[name], y)
