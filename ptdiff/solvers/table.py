"""A solver is a table: for given levels, a list of linear stages that one loop executes.

    point = keep x + sum_j mix_j D_j + noise z          D_0 the newest denoised estimate, D_1 the one before, …
    x <- point, if the stage advances                   z ~ N(0, I)
    D_0 <- denoiser(point, level), if the stage has one

The coefficients are Python floats computed once in double precision.  So the loop does no arithmetic on schedules and
never waits for the device, the cost is known before running, and on linear denoisers the table is an exact recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from ptdiff.data import Condition
from ptdiff.denoiser import Denoiser
from ptdiff.process import Level

Pair = tuple[float, float]
"""alpha and sigma as floats."""


@dataclass(frozen=True)
class Stage:
    """One row of a table.  ``level`` is where the denoiser is called on the new point; None where it is not."""

    keep: float
    mix: tuple[float, ...] = ()
    noise: float = 0.0
    level: Pair | None = None
    advance: bool = True


@dataclass(frozen=True)
class Table:
    """Stages, and the levels that x passes after each advancing stage (the first stage only calls the denoiser)."""

    stages: tuple[Stage, ...]
    levels: tuple[Pair, ...]

    @property
    def calls(self) -> int:
        """Calls of the denoiser in one run."""
        return len(self.called)

    @property
    def history(self) -> int:
        """How many of the newest estimates the stages look back on."""
        return max(1, *(len(stage.mix) for stage in self.stages))

    @property
    def called(self) -> tuple[Pair, ...]:
        """The levels at which the denoiser is called, in order."""
        return tuple(stage.level for stage in self.stages if stage.level is not None)

    @property
    def stochastic(self) -> bool:
        """Whether any stage adds noise."""
        return any(stage.noise != 0 for stage in self.stages)


@dataclass(frozen=True)
class State:
    """Where a run stands after ``step`` steps: x at ``level``, and the newest estimate of x_0 (None at the start)."""

    step: int
    level: Pair
    x: Tensor
    x0: Tensor | None


class Solver(Protocol):
    """A way to walk from noise to data, compiled to a table for given levels."""

    @property
    def order(self) -> int:
        """Order of convergence in the number of steps, towards the probability flow or, with noise, in distribution."""
        ...

    def table(self, levels: Level) -> Table:
        """The table for ``levels`` (n + 1,), noisiest first; a last sigma of zero ends with a denoising step."""
        ...


def pairs(levels: Level) -> tuple[Pair, ...]:
    """The levels as floats, checked: sigma / alpha must fall strictly from one to the next."""
    found = tuple(zip(levels.alpha.tolist(), levels.sigma.tolist(), strict=True))
    if len(found) < 2:
        raise ValueError("a table needs at least two levels")
    for (alpha, sigma), (alpha_next, sigma_next) in pairwise(found):
        if not sigma * alpha_next > sigma_next * alpha:
            raise ValueError(
                f"noise must fall from level to level, but (alpha, sigma) = ({alpha:.6g}, {sigma:.6g}) is followed by "
                f"({alpha_next:.6g}, {sigma_next:.6g})"
            )
    return found


def trajectory(
    denoiser: Denoiser,
    x: Tensor,
    table: Table,
    cond: Condition | None = None,
    noise: Callable[[int], Tensor] | None = None,
) -> Iterator[State]:
    """Walk ``x`` (b, …) through the table, yielding the state at every level, the first included.

    noise: step to standard normal numbers shaped like x; needed by tables that add noise.
    """
    if table.stochastic and noise is None:
        raise ValueError("this table adds noise: pass noise, a function from step to standard normal numbers")
    cond = {} if cond is None else cond
    # one transfer to the device for all levels of the run
    called = torch.tensor(table.called, dtype=x.dtype, device=x.device).reshape(-1, 2).unbind()
    newest: list[Tensor] = []
    calls, step = 0, -1
    for stage in table.stages:
        # products and sums are rounded one by one: a fused multiply-add rounds differently in the vectorized body of a
        # kernel and in its tail, and a sample would depend on its place in the batch
        point = x if stage.keep == 1 else x * stage.keep if stage.keep else None
        for weight, estimate in zip(stage.mix, newest, strict=False):
            if weight:
                term = estimate if weight == 1 else estimate * weight
                point = term if point is None else point + term
        if point is None:
            point = torch.zeros_like(x)
        if stage.noise and noise is not None:
            point = point + noise(step) * stage.noise
        if stage.advance:
            x, step = point, step + 1
            yield State(step, table.levels[step], x, newest[0] if newest else None)
        if stage.level is not None:
            alpha, sigma = called[calls].unbind()
            newest = [denoiser(point, Level(alpha, sigma), cond), *newest[: table.history - 1]]
            calls += 1


def solve(
    denoiser: Denoiser,
    x: Tensor,
    table: Table,
    cond: Condition | None = None,
    noise: Callable[[int], Tensor] | None = None,
) -> Tensor:
    """The end of the trajectory: x at the table's last level."""
    for state in trajectory(denoiser, x, table, cond, noise):
        x = state.x
    return x
