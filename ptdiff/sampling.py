"""Sampling: addressed noise in, samples in world units out, a batch at a time.

Sample i is a function of (seed, i) and the plan alone, whatever batch it is drawn in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ptdiff.data import Condition, Data
from ptdiff.denoiser import Denoiser, NetworkDenoiser, check_prediction
from ptdiff.grid import SPACINGS, grid
from ptdiff.guidance import ClassifierFree
from ptdiff.names import unknown
from ptdiff.noise import Stream, normal
from ptdiff.process import Level, Process
from ptdiff.solvers import Solver, State, Table, trajectory
from ptdiff.solvers.runge_kutta import Heun


@dataclass(frozen=True)
class Plan:
    """How samples are drawn: under which process, by which solver over which grid, guided how strongly."""

    process: Process
    solver: Solver = field(default_factory=Heun)
    steps: int = 20
    spacing: str = "uniform"
    guidance: float = 1.0
    seed: int = 0

    def table(self) -> Table:
        """The compiled solver; UnknownName for a spacing that is none."""
        if self.spacing not in SPACINGS:
            raise unknown("spacing", self.spacing, SPACINGS)
        return self.solver.table(grid(self.process, self.steps, self.spacing))


def start(plan: Plan, table: Table, ids: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Noise (b, *shape) at the table's first level, as wide as unit-variance data is there: hypot(alpha, sigma)."""
    alpha, sigma = table.levels[0]
    return normal(plan.seed, Stream.START, ids, 0, shape) * math.hypot(alpha, sigma)


@torch.inference_mode()
def walk(denoiser: Denoiser, plan: Plan, ids: Tensor, shape: tuple[int, ...], cond: Condition) -> Iterator[State]:
    """All states of samples ``ids`` (b,), in model units, from noise to data; the caller may stop or keep any of
    them."""
    table = plan.table()
    if isinstance(denoiser, NetworkDenoiser):
        alpha, sigma = table.levels[0]
        check_prediction(denoiser.prediction, Level(torch.tensor(alpha), torch.tensor(sigma)))
    guided = denoiser if plan.guidance == 1 else ClassifierFree(denoiser, plan.guidance)

    def noise(draw: int) -> Tensor:
        return normal(plan.seed, Stream.SOLVER, ids, draw, shape)

    yield from trajectory(guided, start(plan, table, ids, shape), table, cond, noise)


def shown(state: State, data: Data) -> Tensor:
    """A state's x in world units, brought to unit variance first, so that every process shows the same picture."""
    alpha, sigma = state.level
    return data.world(state.x / math.hypot(alpha, sigma))


def draw(denoiser: Denoiser, data: Data, plan: Plan, ids: Tensor, cond: Condition, shape: tuple[int, ...]) -> Tensor:
    """Samples ``ids`` (b, *shape) in world units."""
    end = deque(walk(denoiser, plan, ids, shape, cond), maxlen=1)
    return data.world(end[0].x)


def spread_labels(ids: Tensor, classes: int) -> Condition:
    """Each class in turn by id; the empty mapping for data without classes."""
    return {"label": torch.remainder(ids, classes)} if classes else {}
