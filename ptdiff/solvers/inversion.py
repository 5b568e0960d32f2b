"""Inversion: from data to the noise from which a deterministic solver would produce it.

The probability flow is symmetric in data and noise: with alpha' = sigma, sigma' = alpha and the noise estimate in place
of the data estimate,

    E[eps | x] = (x - alpha E[x_0 | x]) / sigma,

falling noise becomes rising noise.  So every solver, table or adaptive, inverts without change: it "denoises" the data
toward the noise.  With DDIM this is DDIM inversion (Song et al. 2021, section 4.3).

The inverse of a method is another method of the same order, so encoding and decoding return the data up to the error of
both.  :func:`invert_exactly` instead solves each step of a one-step solver for its starting point.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition
from ptdiff.process import Level
from ptdiff.solvers.adaptive import Adaptive
from ptdiff.solvers.loop import solve, trajectory
from ptdiff.solvers.table import Pair, Solver, State, Table, pairs


@dataclass(frozen=True)
class Exchanged:
    """The denoiser with data and noise exchanged: E[eps | x], at levels with alpha and sigma swapped."""

    denoiser: Denoiser

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        real = Level(level.sigma, level.alpha)
        wide = real.like(x)
        return (x - wide.alpha * self.denoiser(x, real, cond)) / wide.sigma

    def calls_at(self, level: Pair) -> int:
        """Number of evaluations that the denoiser needs at the unswapped level."""
        found = getattr(self.denoiser, "calls_at", None)
        return 1 if found is None else int(found((level[1], level[0])))


def rising(levels: Level) -> Level:
    """Grid for :class:`Exchanged`: the noisy levels of ``levels`` in reverse order, with alpha and sigma swapped."""
    noisy = levels.sigma > 0
    return Level(levels.sigma[noisy].flip(0), levels.alpha[noisy].flip(0))


def inversion(
    denoiser: Denoiser, x0: Tensor, solver: Solver | Adaptive, levels: Level, cond: Condition | None = None
) -> Iterator[State]:
    """Yield the states of data ``x0`` (b, …) from the last noisy level to the first; ``x0`` of a state is E[eps | x].

    ``levels`` is the sampling grid, noisiest first.  If it ends at the clean level, inversion starts from alpha x0 at
    the last noisy level, with an error of order sigma^2 for data that has a density: keep the last noisy level small,
    or use :func:`invert_exactly`.  If it ends at a noisy level, ``x0`` is taken as the sample at that level.

    Raises ValueError for a solver that adds noise.
    """
    back = rising(levels)
    x = x0 if float(levels.sigma[-1]) > 0 else x0 * float(back.sigma[0])
    states = (
        solver.trajectory(Exchanged(denoiser), x, back, cond)
        if isinstance(solver, Adaptive)
        else trajectory(Exchanged(denoiser), x, _deterministic(solver.table(back)), cond)
    )
    for state in states:
        yield state._replace(level=(state.level[1], state.level[0]))


def invert(
    denoiser: Denoiser, x0: Tensor, solver: Solver | Adaptive, levels: Level, cond: Condition | None = None
) -> Tensor:
    """Encode data ``x0`` (b, …) as noise (b, …) at the first of ``levels``: the end of :func:`inversion`.

    The standard deviation of the result is about r = hypot(alpha, sigma) of that level.
    """
    for state in inversion(denoiser, x0, solver, levels, cond):
        x0 = state.x
    return x0


def invert_exactly(
    denoiser: Denoiser,
    x0: Tensor,
    solver: Solver,
    levels: Level,
    cond: Condition | None = None,
    tolerance: float = 1e-6,
    limit: int = 100,
) -> Tensor:
    """Find the noise from which a one-step solver produces ``x0`` (b, …) exactly, including a final denoising step.

    Every step y_t = F(y_s), with y = x / r, is solved for its start by iterating y_s <- y_s + (y_t - F(y_s)) until no
    element of a sample changes by more than ``tolerance``; samples that have converged are left unchanged.

    Raises ValueError for solvers that add noise or are not one-step methods, and if a step is not solved in ``limit``
    iterations.  That happens if steps are too long or the data has no density, so that different noise ends in the same
    data.
    """
    found = pairs(levels)
    _deterministic(solver.table(levels))
    if not is_one_step(solver, levels):
        raise ValueError(f"only a one-step solver can be inverted exactly, not {solver}")
    y = x0 / math.hypot(*found[-1])
    for s, t in reversed([*pairwise(found)]):
        table, target = solver.table(_both(s, t)), y
        for _ in range(limit):
            gap = target - solve(denoiser, y * math.hypot(*s), table, cond) / math.hypot(*t)
            open_ = ~(gap.abs().flatten(1).amax(dim=1) <= tolerance)
            if not bool(open_.any()):
                break
            y = torch.where(open_.reshape(-1, *(1,) * (y.ndim - 1)), y + gap, y)
        else:
            worst = int(open_.nonzero()[0])
            raise ValueError(
                f"sample {worst} of the batch: the step from (alpha, sigma) = ({s[0]:.4g}, {s[1]:.4g}) to "
                f"({t[0]:.4g}, {t[1]:.4g}) has no inverse after {limit} iterations: take more steps"
            )
    return y * math.hypot(*found[0])


def _both(s: Pair, t: Pair) -> Level:
    alpha, sigma = torch.tensor([s, t], dtype=torch.float64).unbind(1)
    return Level(alpha, sigma)


def _deterministic(table: Table) -> Table:
    if table.stochastic:
        raise ValueError("a solver that adds noise has no inverse")
    return table


def is_one_step(solver: Solver, levels: Level) -> bool:
    """Return True if the solver's table is the concatenation of the tables of its steps, so that no step looks back."""
    steps = [solver.table(_both(s, t)) for s, t in pairwise(pairs(levels))]
    rows = [(stage.keep, stage.mix, stage.back) for stage in solver.table(levels).stages[1:]]
    return rows == [(stage.keep, stage.mix, stage.back) for step in steps for stage in step.stages[1:]]


def slerp(start: Tensor, end: Tensor, weight: float | Tensor) -> Tensor:
    """Interpolate noise spherically, each sample as one vector: weight 0 is ``start``, 1 is ``end`` (Shoemake 1985).

    ``start`` and ``end`` are (b, …), ``weight`` is a number or (b,).  The norm is interpolated linearly, so noise keeps
    its standard deviation.  Opposite vectors have no unique shortest path; rounding decides which one is taken.
    """
    shape = (-1, *(1,) * (start.ndim - 1))
    w = torch.as_tensor(weight, dtype=start.dtype, device=start.device).reshape(shape)
    first, second = (v.flatten(1).norm(dim=1).reshape(shape) for v in (start, end))
    one, two = start / first, end / second
    # the angle between unit vectors, accurate for small angles (Kahan)
    angle = 2 * torch.atan2((one - two).flatten(1).norm(dim=1), (one + two).flatten(1).norm(dim=1)).reshape(shape)
    # sin(w a) / sin(a) -> w as a -> 0
    parts = [torch.where(angle > 0, torch.sin(part * angle) / torch.sin(angle), part) for part in (1 - w, w)]
    blend: Tensor = (parts[0] * one + parts[1] * two) * (first * (1 - w) + second * w)
    return blend
