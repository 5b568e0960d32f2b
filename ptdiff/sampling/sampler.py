"""Sampling: from addressed noise to samples in world units, in batches.

Sample i is a function of (seed, i) and the plan only, in any batch.
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
from ptdiff.denoiser.cost import Counted, calls, planned
from ptdiff.denoiser.latent_code import drawn
from ptdiff.denoiser.network import Denoiser, NetworkDenoiser, check_prediction
from ptdiff.denoiser.self_conditioning import recalling
from ptdiff.denoiser.target_level import Towards
from ptdiff.grid import SPACINGS, End, Spacing, grid
from ptdiff.guidance import CFG, GUIDANCE, Guidance
from ptdiff.guidance.threshold import THRESHOLDS, Dynamic, Threshold
from ptdiff.machine.host import exact
from ptdiff.modality.data import Condition, Data
from ptdiff.modality.ragged import mask_of, masked, padded
from ptdiff.noise import Stream, normal, uniform
from ptdiff.process import PROCESSES, Level, Process, check_reach
from ptdiff.run.config import Sampling
from ptdiff.solvers import ADAPTIVE, SOLVERS, Adaptive, Solver, State, Table, trajectory
from ptdiff.solvers.brownian import BrownianPath
from ptdiff.solvers.consistency import MultistepConsistency
from ptdiff.solvers.exponential import DDIM
from ptdiff.solvers.runge_kutta import Heun


@dataclass(frozen=True)
class Plan:
    """All settings of sampling: process, solver, grid, guidance, threshold, noise and precision.

    ``steps``: of the solver, at least 1.  ``spacing``, ``end``: see :func:`ptdiff.grid.grid`.
    ``noise``: of stochastic solvers; "path" uses one Brownian path per sample, the same for any number of steps.
    ``precision``: of the network; "auto" lets :mod:`ptdiff.sampling.autotune` decide.
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
        """The plan of a configuration; UnknownName or ValueError for wrong values."""
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
        """The compiled solver; ValueError for an adaptive solver, which has no table."""
        if isinstance(self.solver, Adaptive):
            raise ValueError("an adaptive solver chooses its own steps, so it has no table")
        return self.solver.table(self.levels())

    def cost(self, denoiser: Denoiser) -> int | None:
        """Network evaluations per sample, known before sampling; None for an adaptive solver."""
        return None if isinstance(self.solver, Adaptive) else planned(denoiser, self.table().called)


def solver(choice: Mapping[str, Any]) -> Solver | Adaptive:
    """Build a solver of ``SOLVERS`` or ``ADAPTIVE``; only those of ``SOLVERS``, which have tables, can be a ``base``.

    Raises UnknownName for an unknown name, and ValueError for a wrong option.
    """
    name = choice.get("name")
    if name in ADAPTIVE:
        return choose("solver", ADAPTIVE, choice)
    if name not in SOLVERS:
        raise unknown("solver", str(name), SOLVERS | ADAPTIVE)
    return choose("solver", SOLVERS, choice)


def prepared(model: Denoiser, plan: Plan, data: Data, weak: Denoiser | None = None) -> Denoiser:
    """``model`` with the guidance, threshold and precision of the plan; ``weak`` is a weaker model for autoguidance.

    A flow map walks from level to level with solver ddim, and to clean data with solver consistency.

    Raises ValueError if the first level of the plan is too clean to start from noise, or if the model's prediction is
    undefined there.
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
    limited = guided if plan.threshold is None else plan.threshold.limit(guided, data)
    if not isinstance(network, NetworkDenoiser) or not network.is_flow_map:
        return limited
    # other solvers take the diagonal of the map, which is a denoiser
    if isinstance(plan.solver, DDIM) and plan.solver.eta == 0:
        return Towards.next_of(limited, levels)
    return Towards.clean(limited, levels) if isinstance(plan.solver, MultistepConsistency) else limited


@dataclass(frozen=True)
class InBfloat16:
    """A denoiser whose network runs in bfloat16; samples keep their type."""

    denoiser: Denoiser

    def __call__(self, x: Tensor, level: Level, cond: Condition) -> Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            return self.denoiser(x, level, cond)


def in_arithmetic(denoiser: Denoiser, precision: str) -> Denoiser:
    """``denoiser`` in bfloat16 if ``precision`` is "bf16", else unchanged."""
    return InBfloat16(denoiser) if precision == "bf16" else denoiser


def start(plan: Plan, ids: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Noise (b, *shape) for the first level, with the standard deviation of unit-variance data, hypot(alpha, sigma)."""
    levels = plan.levels()
    return normal(plan.seed, Stream.START, ids, 0, shape) * math.hypot(float(levels.alpha[0]), float(levels.sigma[0]))


def noise(plan: Plan, table: Table, ids: Tensor, shape: tuple[int, ...]) -> Callable[[int], Tensor]:
    """A function from the number of a draw in the table to its noise (b, *shape), for samples ``ids`` (b,)."""
    if plan.noise == "path":
        # paths are computed in float64
        return BrownianPath(plan.seed, ids.to(exact(ids.device)), shape).noise(table)
    return lambda draw: normal(plan.seed, Stream.SOLVER, ids, draw, shape)


@dataclass(frozen=True)
class Masked:
    """A denoiser whose estimates are zero outside the elements of sets, ``cond["mask"]`` (b, n)."""

    denoiser: Denoiser

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        return masked(self.denoiser(x, level, cond), cond.get("mask"))

    def calls_at(self, level: tuple[float, float]) -> int:
        """Number of evaluations of the denoiser."""
        return calls(self.denoiser, level)


def _check_sizes(plan: Plan) -> None:
    """Raise ValueError for settings that compare the elements of a sample with each other, padding included."""
    if isinstance(plan.threshold, Dynamic) or bool(getattr(plan.guidance, "phi", 0.0)):
        name = "threshold dynamic" if isinstance(plan.threshold, Dynamic) else "guidance with phi"
        raise ValueError(f"{name} is not defined for sets of different sizes: give the number of elements, or leave it")


@torch.inference_mode()
def walk(denoiser: Denoiser, plan: Plan, ids: Tensor, shape: tuple[int, ...], cond: Condition) -> Iterator[State]:
    """Iterate over all states of samples ``ids`` (b,) in model units, from noise to data; the caller may stop early.

    ``denoiser`` is used as it is; see :func:`prepared`.  A network with a latent code gets one from its prior.  A
    network with self-conditioning gets its last estimate, except from adaptive solvers, which may reject steps.

    ``cond["mask"]``, bool (b, shape[0]), are the elements of sets of different sizes: x and noise are zero elsewhere.
    """
    mask = cond.get("mask")
    if mask is not None:
        _check_sizes(plan)
        for state in _walk(Masked(denoiser), plan, ids, shape, cond):
            yield state._replace(mask=mask)
        return
    yield from _walk(denoiser, plan, ids, shape, cond)


def _walk(denoiser: Denoiser, plan: Plan, ids: Tensor, shape: tuple[int, ...], cond: Condition) -> Iterator[State]:
    mask = cond.get("mask")
    x, cond = masked(start(plan, ids, shape), mask), drawn(denoiser, cond, plan.seed, ids)
    if isinstance(plan.solver, Adaptive):
        yield from plan.solver.trajectory(denoiser, x, plan.levels(), cond)
    else:
        table = plan.table()
        numbers = noise(plan, table, ids, shape)
        yield from trajectory(recalling(denoiser), x, table, cond, lambda draw: masked(numbers(draw), mask))


def shown(state: State, data: Data) -> Tensor:
    """The x of a state in world units, scaled to unit variance first, so that all processes look the same."""
    alpha, sigma = state.level
    return padded(data.world(state.x / math.hypot(alpha, sigma)), state.mask)


def finished(state: State, data: Data) -> Tensor:
    """The x of a last state in world units; at a noisy level, noise of width sigma / alpha remains.

    Padding is NaN.
    """
    return padded(data.world(state.x if state.level[0] == 1 else state.x / state.level[0]), state.mask)


def draw(model: Denoiser, data: Data, plan: Plan, ids: Tensor, cond: Condition, shape: tuple[int, ...]) -> Tensor:
    """Generate samples ``ids`` (b, *shape) in world units, without postprocessing."""
    end = deque(walk(prepared(model, plan, data), plan, ids, shape, cond), maxlen=1)
    return finished(end[0], data)


def drawn_sizes(
    data: Data, ids: Tensor, seed: int, points: tuple[int, int] | None = None, labels: Tensor | None = None
) -> Tensor:
    """Numbers of elements (b,) of the sets ``ids`` (b,), a function of seed and id.

    ``points``: lowest and highest number, each in between equally likely; default: as in the training data, for a set
    with a label in ``labels`` (b,) as in its class.
    """
    u = uniform(seed, Stream.SIZE, ids, 0).to(exact(ids.device))
    if points is not None:
        low, high = points
        return low + (u * (high - low + 1)).long().clamp(max=high - low)
    rows = torch.tensor(data.sizes, device=u.device)
    weight = rows[:, 2].double().expand(len(ids), -1)
    if labels is not None:
        own = weight * (rows[:, 1] == labels.to(u.device)[:, None])
        weight = torch.where((labels.to(u.device) >= 0)[:, None] & (own.sum(1, keepdim=True) > 0), own, weight)
    share = weight.cumsum(dim=1) / weight.sum(dim=1, keepdim=True)
    return rows[(share < u[:, None]).sum(dim=1).clamp(max=len(rows) - 1), 0].to(ids.device)


def usual(data: Data, ids: Tensor, seed: int = 0) -> Condition:
    """The condition of samples ``ids`` (b,) if nothing is asked for: each class in turn, and sizes as in the data."""
    cond = dict(spread_labels(ids, len(data.classes)))
    if data.sizes:
        cond["mask"] = mask_of(drawn_sizes(data, ids, seed, labels=cond.get("label")), data.shape[0])
    return cond


def spread_labels(ids: Tensor, classes: int) -> Condition:
    """The condition with each class in turn by id, (b,); empty for data without classes."""
    return {"label": torch.remainder(ids, classes)} if classes else {}
