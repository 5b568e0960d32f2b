"""Inversion: from data to the noise that a deterministic solver would make it from.

The probability flow does not change when data and noise change places: with alpha' = sigma, sigma' = alpha and the
estimate of the noise in the place of that of the data,

    E[eps | x] = (x - alpha E[x_0 | x]) / sigma,

falling noise becomes rising noise.  So every solver, table or adaptive, inverts as it stands: it "denoises" the data
towards the noise.  For DDIM this is DDIM inversion (Song et al. 2021, section 4.3).

The inverse of a method is another method of the same order: encode, then decode, returns the data up to the error of
the two.  :func:`invert_exactly` solves each step of a one-step solver for its start instead.
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
from ptdiff.solvers.table import Pair, Solver, State, Table, pairs, solve, trajectory


@dataclass(frozen=True)
class Exchanged:
    """The denoiser with data and noise in each other's place: E[eps | x], at levels with alpha and sigma swapped."""

    denoiser: Denoiser

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        real = Level(level.sigma, level.alpha)
        wide = real.like(x)
        return (x - wide.alpha * self.denoiser(x, real, cond)) / wide.sigma

    def calls_at(self, level: Pair) -> int:
        """As many evaluations as the denoiser needs at the level that is meant."""
        found = getattr(self.denoiser, "calls_at", None)
        return 1 if found is None else int(found((level[1], level[0])))


def rising(levels: Level) -> Level:
    """The grid for :class:`Exchanged`: the noisy ones of ``levels``, the last one first, alpha and sigma swapped."""
    noisy = levels.sigma > 0
    return Level(levels.sigma[noisy].flip(0), levels.alpha[noisy].flip(0))


def inversion(
    denoiser: Denoiser, x0: Tensor, solver: Solver | Adaptive, levels: Level, cond: Condition | None = None
) -> Iterator[State]:
    """The states of data x0 (b, …) on its way from the last noisy level to the first; ``x0`` of a state is E[eps | x].

    ``levels`` is the grid that samples, noisiest first.  A grid that ends clean starts at alpha x0, where data with a
    density is up to an error of sigma^2: let the last noisy level be small, or see :func:`invert_exactly`.  A grid
    that ends at a noisy level takes x0 for what lies there.

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
    """The end of :func:`inversion`: noise (b, …) at the first of ``levels``, of standard deviation about r there."""
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
    """The noise from which a one-step solver makes exactly x0 (b, …), the denoising step of a clean end included.

    Every step y_t = F(y_s), with y = x / r, is solved for its start by iterating y_s <- y_s + (y_t - F(y_s)) until the
    largest element of a sample changes by no more than ``tolerance``; a sample that is there stays as it is.

    Raises ValueError for solvers that add noise or look back beyond a step, and where a step cannot be solved in
    ``limit`` iterations: where steps are too long, or data has no density, different noise ends in the same data.
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
    """Whether the solver's table is the tables of its steps one after another, so that no step looks back."""
    steps = [solver.table(_both(s, t)) for s, t in pairwise(pairs(levels))]
    rows = [(stage.keep, stage.mix, stage.back) for stage in solver.table(levels).stages[1:]]
    return rows == [(stage.keep, stage.mix, stage.back) for step in steps for stage in step.stages[1:]]


def slerp(start: Tensor, end: Tensor, weight: float | Tensor) -> Tensor:
    """Spherical interpolation of noise (Shoemake 1985), each sample as one vector: weight 0 is start, 1 is end.

    start and end (b, …), weight a number or (b,).  The norm goes evenly from the one to the other, so that noise stays
    as wide as noise is; opposite vectors have no shortest way and give whatever rounding decides.
    """
    shape = (-1, *(1,) * (start.ndim - 1))
    w = torch.as_tensor(weight, dtype=start.dtype, device=start.device).reshape(shape)
    first, second = (v.flatten(1).norm(dim=1).reshape(shape) for v in (start, end))
    one, two = start / first, end / second
    # the angle between unit vectors without loss of digits where it is small (Kahan)
    angle = 2 * torch.atan2((one - two).flatten(1).norm(dim=1), (one + two).flatten(1).norm(dim=1)).reshape(shape)
    # sin(w a) / sin(a) -> w as a -> 0
    parts = [torch.where(angle > 0, torch.sin(part * angle) / torch.sin(angle), part) for part in (1 - w, w)]
    blend: Tensor = (parts[0] * one + parts[1] * two) * (first * (1 - w) + second * w)
    return blend
