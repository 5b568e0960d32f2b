"""A solver is a table: for given levels, a list of linear stages that one loop executes.

    point = keep x + sum_i back_i x_i + sum_j mix_j D_j + sum_k noise_k z_k
    x <- point, if the stage advances                         x_0 is x one step earlier, D_0 the newest estimate
    D_0 <- denoiser(point, level), if the stage has one       z_k ~ N(0, I), independent

The coefficients are Python floats computed once in double precision.  So the loop does no arithmetic on schedules and
never waits for the device, the cost is known before running, and for linear denoisers the table is an exact recursion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ptdiff.process import Level

Pair = tuple[float, float]
"""alpha and sigma as floats."""

Numbers = Callable[[int], Tensor]
"""Maps k to the random numbers of ``table.draws[k]``, shaped like x."""


@dataclass(frozen=True)
class Draw:
    """Standard normal numbers z: equal draws are the same numbers, different draws are independent.

    Without ``fresh``, a draw is the increment of the Brownian path from the noisier level ``start`` to the cleaner
    ``end``, in units of its standard deviation; the intervals of one table must not overlap.  Time is the SNR (alpha /
    sigma)^2, in which the noise of the reverse SDE has independent increments.  With ``fresh``, the numbers belong to
    no path (noise added again, or that of a corrector); the integer distinguishes draws at the same levels.
    """

    start: Pair
    end: Pair
    fresh: int | None = None

    @property
    def span(self) -> tuple[float, float]:
        """SNR at ``start`` and ``end``; infinite at a clean level."""
        first, last = ((alpha / sigma) ** 2 if sigma > 0 else float("inf") for alpha, sigma in (self.start, self.end))
        return first, last


@dataclass(frozen=True)
class Stage:
    """One row of a table.

    ``keep``: weight of x.  ``mix``: weights of the estimates, newest first.  ``noise``: draws with their weights.
    ``level``: level of the denoiser call at the new point; None for no call.
    ``advance``: x moves to the new point.
    ``back``: weights of earlier x, newest first; needed by methods that store noise estimates.
    """

    keep: float
    mix: tuple[float, ...] = ()
    noise: tuple[tuple[Draw, float], ...] = ()
    level: Pair | None = None
    advance: bool = True
    back: tuple[float, ...] = ()

    @property
    def products(self) -> list[tuple[int, float]]:
        """Pairs of place and weight: place j for D_j, -1 for x, -2 - i for x_i."""
        weights = (*reversed(self.back), self.keep, *self.mix)
        return [(j, w) for j, w in enumerate(weights, -1 - len(self.back)) if w]


class _Row(NamedTuple):
    """A stage with its weights as tensors; None stands for a weight of one."""

    products: tuple[tuple[int, Tensor | None], ...]
    noise: tuple[tuple[int, Tensor], ...]
    level: Level | None
    advance: bool


@dataclass(frozen=True)
class Table:
    """Stages, and the level of x after each advancing stage; the first stage only calls the denoiser."""

    stages: tuple[Stage, ...]
    levels: tuple[Pair, ...]

    @property
    def calls(self) -> int:
        """Number of denoiser calls in one run."""
        return len(self.called)

    @property
    def history(self) -> int:
        """Number of the newest estimates that the stages use."""
        return max(1, *(len(stage.mix) for stage in self.stages))

    @property
    def memory(self) -> int:
        """Number of earlier points that the stages use."""
        return max(len(stage.back) for stage in self.stages)

    @property
    def called(self) -> tuple[Pair, ...]:
        """Levels at which the denoiser is called, in order."""
        return tuple(stage.level for stage in self.stages if stage.level is not None)

    @property
    def draws(self) -> tuple[Draw, ...]:
        """Distinct draws in the order of their first use."""
        return tuple(dict.fromkeys(draw for stage in self.stages for draw, weight in stage.noise if weight))

    @property
    def stochastic(self) -> bool:
        """True if any stage adds noise."""
        return any(weight for stage in self.stages for _, weight in stage.noise)

    def rows(self, dtype: torch.dtype, device: torch.device) -> tuple[_Row, ...]:
        """The stages with tensors for numbers, weights on the host and levels on the device; made once and kept."""
        if torch.compiler.is_compiling():
            return self._rows(dtype, device)
        if (dtype, device) not in self._made:
            # a later run may differentiate, so these tensors must not be inference tensors
            with torch.inference_mode(False):
                self._made[dtype, device] = self._rows(dtype, device)
        return self._made[dtype, device]

    @cached_property
    def _made(self) -> dict[tuple[torch.dtype, torch.device], tuple[_Row, ...]]:
        return {}

    def _rows(self, dtype: torch.dtype, device: torch.device) -> tuple[_Row, ...]:
        called = torch.tensor(self.called, dtype=dtype, device=device).reshape(-1, 2)
        levels = iter([Level(pair[0], pair[1], host) for pair, host in zip(called, self.called, strict=True)])
        index = {draw: k for k, draw in enumerate(self.draws)}

        def number(value: float) -> Tensor:
            return torch.tensor(value, dtype=dtype)

        return tuple(
            _Row(
                tuple((j, None if w == 1 else number(w)) for j, w in stage.products),
                tuple((index[draw], number(w)) for draw, w in stage.noise if w),
                None if stage.level is None else next(levels),
                stage.advance,
            )
            for stage in self.stages
        )


class State(NamedTuple):
    """State of a run after ``step`` steps: x at ``level``, and the newest estimate of x_0 (None at the start).

    ``mask``: the elements (b, n) of sets of different sizes; x is zero elsewhere.  None for samples of one shape.
    """

    step: int
    level: Pair
    x: Tensor
    x0: Tensor | None
    mask: Tensor | None = None


class Solver(Protocol):
    """A method that integrates from noise to data, compiled to a table for given levels."""

    @property
    def order(self) -> int:
        """Order of convergence in the number of steps: to the probability flow or, with noise, in distribution.

        0 if the limit is not the distribution of the data.
        """
        ...

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first; a last sigma of zero ends with a denoising step."""
        ...


def pairs(levels: Level) -> tuple[Pair, ...]:
    """The levels as floats; ValueError unless sigma / alpha falls strictly from one to the next."""
    found = tuple(zip(levels.alpha.tolist(), levels.sigma.tolist(), strict=True))
    if len(found) < 2:
        raise ValueError(f"a table needs at least two levels, not {len(found)}")
    for (alpha, sigma), (alpha_next, sigma_next) in pairwise(found):
        if not sigma * alpha_next > sigma_next * alpha:
            raise ValueError(
                f"noise must fall from level to level, but (alpha, sigma) = ({alpha:.6g}, {sigma:.6g}) is followed by "
                f"({alpha_next:.6g}, {sigma_next:.6g})"
            )
    return found


def closed(stages: list[Stage], levels: tuple[Pair, ...]) -> Table:
    """Table of ``stages`` without a call at the last level, where nothing would use it."""
    return Table((*stages[:-1], replace(stages[-1], level=None)), levels)
