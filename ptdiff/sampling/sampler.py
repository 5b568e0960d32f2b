"""Sampling: addressed noise in, samples in world units out, a batch at a time.

Sample i is a function of (seed, i) and the plan alone, whatever batch it is drawn in.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from ptdiff.choices import choose, unknown
from ptdiff.denoiser.cost import Counted, planned
from ptdiff.denoiser.latent_code import drawn
from ptdiff.denoiser.network import Denoiser, NetworkDenoiser, check_prediction
from ptdiff.denoiser.self_conditioning import recalling
from ptdiff.grid import SPACINGS, End, Spacing, grid
from ptdiff.guidance import CFG, GUIDANCE, Guidance
from ptdiff.guidance.threshold import THRESHOLDS, Threshold
from ptdiff.machine.host import exact
from ptdiff.modality.data import Condition, Data
from ptdiff.noise import Stream, normal
from ptdiff.process import PROCESSES, Level, Process, check_reach
from ptdiff.run.config import Sampling
from ptdiff.solvers import ADAPTIVE, SOLVERS, Adaptive, Solver, State, Table, trajectory
from ptdiff.solvers.brownian import Path
from ptdiff.solvers.runge_kutta import Heun


@dataclass(frozen=True)
class Plan:
    """How samples are drawn: under which process, by which solver over which grid, guided and limited how.

    noise: of stochastic solvers; "path" is one Brownian path a sample, the same for any number of steps.
    precision: the arithmetic of the network; "auto" is for :mod:`ptdiff.sampling.autotune` to settle.
    """

    process: Process
    solver: Solver | Adaptive = field(default_factory=Heun)
    steps: int = 20
    spacing: Spacing | str = "uniform"
    end: End = "zero"
    guidance: Guidance = field(default_factory=CFG)
    threshold: Threshold | None = None
    noise: Literal["path", "independent"] = "path"
    seed: int = 0
    precision: Literal["auto", "32", "bf16"] = "32"

    @staticmethod
    def chosen(process: Mapping[str, Any], sampling: Sampling, seed: int = 0) -> Plan:
        """The plan that a configuration names; UnknownName and ValueError say what is wrong with it."""
        limits = sampling.threshold
        return Plan(
            process=choose("process", PROCESSES, process),
            solver=solver(sampling.solver),
            steps=sampling.steps,
            spacing=choose("spacing", SPACINGS, sampling.spacing),
            end=sampling.end,
            guidance=choose("guidance", GUIDANCE, sampling.guidance),
            threshold=None if limits is None else choose("threshold", THRESHOLDS, limits),
            noise=sampling.noise,
            seed=seed,
            precision=sampling.precision,
        )

    def levels(self) -> Level:
        """The grid, noisiest level first."""
        return grid(self.process, self.steps, self.spacing, self.end)

    def table(self) -> Table:
        """The compiled solver; ValueError for an adaptive one, which has none."""
        if isinstance(self.solver, Adaptive):
            raise ValueError("an adaptive solver chooses its own steps: it has no table")
        return self.solver.table(self.levels())

    def cost(self, denoiser: Denoiser) -> int | None:
        """Evaluations of the network for each sample, known before; None where an adaptive solver decides."""
        return None if isinstance(self.solver, Adaptive) else planned(denoiser, self.table().called)


def solver(choice: Mapping[str, Any]) -> Solver | Adaptive:
    """A solver of either catalog; only those of ``SOLVERS``, which have tables, can be another's ``base``."""
    name = choice.get("name")
    if name in ADAPTIVE:
        return choose("solver", ADAPTIVE, choice)
    if name not in SOLVERS:
        raise unknown("solver", str(name), [*SOLVERS, *ADAPTIVE])
    return choose("solver", SOLVERS, choice)


def prepared(model: Denoiser, plan: Plan, data: Data, weak: Denoiser | None = None) -> Denoiser:
    """``model``, guided (by ``weak``, where there is one: autoguidance) and limited as the plan says.

    ValueError where the plan's first level is too clean to start from noise, or is one that the model's prediction does
    not bear.
    """
    levels = plan.levels()
    first = Level(levels.alpha[0], levels.sigma[0])
    check_reach(first, data.spread)
    network = model.denoiser if isinstance(model, Counted) else model
    if isinstance(network, NetworkDenoiser):
        check_prediction(network.prediction, first)
    model = in_arithmetic(model, plan.precision)
    weak = None if weak is None else in_arithmetic(weak, plan.precision)
    idle = isinstance(plan.guidance, CFG) and plan.guidance.scale == 1
    guided = model if idle else plan.guidance.guide(model, weak)
    return guided if plan.threshold is None else plan.threshold.limit(guided, data)


@dataclass(frozen=True)
class InBfloat16:
    """A denoiser whose network works in bfloat16; samples stay in their own type."""

    denoiser: Denoiser

    def __call__(self, x: Tensor, level: Level, cond: Condition) -> Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return self.denoiser(x, level, cond)


def in_arithmetic(denoiser: Denoiser, precision: str) -> Denoiser:
    """``denoiser`` in that arithmetic: float32 unless it is bf16."""
    return InBfloat16(denoiser) if precision == "bf16" else denoiser


def start(plan: Plan, ids: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Noise (b, *shape) at the first level, as wide as unit-variance data is there: hypot(alpha, sigma)."""
    levels = plan.levels()
    return normal(plan.seed, Stream.START, ids, 0, shape) * math.hypot(float(levels.alpha[0]), float(levels.sigma[0]))


def noise(plan: Plan, table: Table, ids: Tensor, shape: tuple[int, ...]) -> Callable[[int], Tensor]:
    """The numbers of the table's draws for samples ``ids``."""
    if plan.noise == "path":
        # a path is followed in float64
        return Path(plan.seed, ids.to(exact(ids.device)), shape).noise(table)
    return lambda draw: normal(plan.seed, Stream.SOLVER, ids, draw, shape)


@torch.inference_mode()
def walk(denoiser: Denoiser, plan: Plan, ids: Tensor, shape: tuple[int, ...], cond: Condition) -> Iterator[State]:
    """All states of samples ``ids`` (b,), in model units, from noise to data; the caller may stop or keep any of
    them.  ``denoiser`` is taken as it is: see :func:`prepared`.

    A network that is told a code gets one of its prior, and one that reads its last estimate gets that, but from an
    adaptive solver, whose steps may be taken back.
    """
    x, cond = start(plan, ids, shape), drawn(denoiser, cond, plan.seed, ids)
    if isinstance(plan.solver, Adaptive):
        yield from plan.solver.trajectory(denoiser, x, plan.levels(), cond)
    else:
        table = plan.table()
        yield from trajectory(recalling(denoiser), x, table, cond, noise(plan, table, ids, shape))


def shown(state: State, data: Data) -> Tensor:
    """A state's x in world units, brought to unit variance first, so that every process shows the same picture."""
    alpha, sigma = state.level
    return data.world(state.x / math.hypot(alpha, sigma))


def finished(state: State, data: Data) -> Tensor:
    """A last state in world units; one that stopped at a noisy level keeps its noise, sigma / alpha."""
    return data.world(state.x if state.level[0] == 1 else state.x / state.level[0])


def draw(model: Denoiser, data: Data, plan: Plan, ids: Tensor, cond: Condition, shape: tuple[int, ...]) -> Tensor:
    """Samples ``ids`` (b, *shape) in world units."""
    end = deque(walk(prepared(model, plan, data), plan, ids, shape, cond), maxlen=1)
    return finished(end[0], data)


def spread_labels(ids: Tensor, classes: int) -> Condition:
    """Each class in turn by id; the empty mapping for data without classes."""
    return {"label": torch.remainder(ids, classes)} if classes else {}
