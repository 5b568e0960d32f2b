"""The best time grid for a model, a solver and a number of steps, compared with the common ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Unpack

import torch
from torch import Tensor

from ptdiff.denoiser.cost import Counted
from ptdiff.grid import grid
from ptdiff.grid.published import Given
from ptdiff.modality.data import Condition
from ptdiff.model.loaded import Model, Say
from ptdiff.noise import Stream, normal
from ptdiff.process import Level
from ptdiff.sampling.optimal_grid import COMMON
from ptdiff.sampling.optimal_grid import optimize as search
from ptdiff.sampling.options import Options
from ptdiff.sampling.sampler import Plan, prepared, spread_labels
from ptdiff.solvers import Adaptive, Solver, solve
from ptdiff.solvers.runge_kutta import RK4

FINE = 100
"""Steps of the reference solution, by the classical Runge-Kutta method."""


@dataclass(frozen=True)
class BestGrid:
    """An optimized spacing, compared with common ones.

    ``spacing``: the optimized spacing.
    ``plan``: the plan of sampling for which it was optimized.
    ``gaps``: distances from the exact end of the flow by name of the spacing, "optimized" first; root mean square
    in model units, on other samples than the fitted ones.
    ``calls``: total number of network evaluations.
    """

    spacing: Given
    plan: Plan
    gaps: Mapping[str, float]
    calls: int


def optimize(
    model: Model,
    n: int = 64,
    *,
    points: int | None = None,
    candidates: int = 24,
    rounds: int = 5,
    seed: int = 0,
    say: Say | None = None,
    **options: Unpack[Options],
) -> BestGrid:
    """Find the grid on which a solver ends nearest to the exact flow for ``n`` samples; 8 steps unless given.

    ``points``: of each sample of a set.  ``candidates``, ``rounds``: see
    :func:`ptdiff.sampling.optimal_grid.optimize`.  ``say``: called with a line about the work.
    ``options``: see :class:`ptdiff.sampling.options.Options`.  Raises ValueError for an adaptive solver.
    """
    options["steps"] = options.get("steps") or 8
    plan = model.planned(seed, **options)
    solver, steps = plan.solver, plan.steps
    if isinstance(solver, Adaptive):
        raise ValueError("an adaptive solver chooses its own steps and has no grid to optimize: choose another solver")
    shape, network = model.shape(points), Counted(model.denoiser)
    denoiser = prepared(network, plan, model.data)

    def batch(first: int) -> tuple[Tensor, Condition]:
        ids = torch.arange(first, first + n, device=model.device)
        return normal(seed, Stream.START, ids, 0, shape), spread_labels(ids, len(model.data.classes))

    noise, cond = batch(0)
    if say is not None:
        say(f"fitting the grid of {steps} steps to {n} samples")
    levels = search(denoiser, noise, plan.process, solver, steps, cond, candidates, rounds)
    spacing = Given(tuple(plan.process.time(levels.angle[:-1]).tolist()), "time")
    # on other samples than the fitted ones
    noise, cond = batch(n)

    def end(by: Solver, levels: Level) -> Tensor:
        with torch.inference_mode():
            return solve(denoiser, noise * float(levels.scale[0]), by.table(levels), cond)

    # equal steps of log-SNR, because equal steps of time end far from clean data under some processes
    exact = end(RK4(), grid(plan.process, FINE, "log-snr"))
    visited = {"optimized": levels} | {name: grid(plan.process, steps, name) for name in COMMON}
    gaps = {
        name: float((end(solver, at) - exact).flatten(1).square().mean(dim=1).sqrt().mean())
        for name, at in visited.items()
    }
    return BestGrid(spacing, plan, gaps, network.rows)
