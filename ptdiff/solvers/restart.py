"""Going back up: solvers that add noise again and repeat the same levels.

From (alpha, sigma) up to the noisier (alpha', sigma'):

    x' = k x + sqrt(sigma'^2 - k^2 sigma^2) z,    k = alpha' / alpha

This is the forward process, so x' has the distribution of its level if x has.  Every pass draws new noise, and a base
that looks back on earlier estimates starts over after going up.
"""

from __future__ import annotations

import math
from collections.abc import Container, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import torch

from ptdiff.process import Level
from ptdiff.solvers.exponential import DDPM
from ptdiff.solvers.runge_kutta import Heun
from ptdiff.solvers.table import Draw, Pair, Solver, Stage, Table, pairs


def levels_of(found: Sequence[Pair]) -> Level:
    """The levels as tensors (n,), float64."""
    both = torch.tensor(found, dtype=torch.float64)
    return Level(both[:, 0], both[:, 1])


def joined(start: Pair, parts: Sequence[Table], scale: float = 1.0) -> Table:
    """One table from ``start`` through all ``parts``, with fresh noise up to the first level of the next part.

    ``scale`` multiplies the standard deviation of that noise.  A draw over a part of the path that was already used
    becomes a fresh one.
    """
    stages, passed = [Stage(1.0)], [start]
    taken: set[Draw] = set()
    reached = Draw(start, start).span[0]
    for part in parts:
        here, there = passed[-1], part.levels[0]
        names: dict[Draw, Draw] = {}
        for draw in part.draws:
            names[draw] = draw if draw.span[0] >= reached and draw not in taken else fresh(draw, taken)
            taken.add(names[draw])
        own = [
            replace(stage, noise=tuple((names[draw], weight) for draw, weight in stage.noise if weight))
            for stage in part.stages
        ]
        if here == there:
            own[0] = replace(own[0], advance=False)
            passed += part.levels[1:]
        else:
            keep = there[0] / here[0]
            std = math.sqrt(there[1] ** 2 - (keep * here[1]) ** 2)
            up = fresh(Draw(here, there), taken)
            taken.add(up)
            own[0] = replace(own[0], keep=keep, noise=((up, scale * std),))
            passed += part.levels
        stages += own
        reached = max([reached, *(draw.span[1] for draw in names.values() if draw.fresh is None)])
    return Table(tuple(stages), tuple(passed))


def fresh(draw: Draw, taken: Container[Draw]) -> Draw:
    """A draw at the same levels that is not in ``taken`` and belongs to no path."""
    number = 0
    while (found := replace(draw, fresh=number)) in taken:
        number += 1
    return found


def order_alone(base: Solver) -> int:
    """Order of a base that is restarted for every part: that of a single step, if that is lower than its own."""
    return min(base.order, base.table(levels_of([(1.0, 1.0), (1.0, 0.5)])).calls)


def takes_parts(wrapper: str, base: Solver) -> None:
    """Raise ValueError if ``base`` or a solver within it restarts or resamples, which needs a whole grid."""
    within: Solver | None = base
    while within is not None:
        if isinstance(within, Restart | Resample):
            name = type(within).__name__.lower()
            raise ValueError(
                f"{wrapper} cannot wrap {name}: its base gets the grid in parts, and {name} needs all of it"
            )
        within = getattr(within, "base", None)


def _repeats(repeats: int) -> None:
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, not {repeats}")


@dataclass(frozen=True)
class Restart:
    """Restart: from the low end of an interval back up to its high end, repeatedly (Xu et al. 2023, algorithm 1).

    ``base``: the solver between restarts.
    ``intervals``: (low, high) in rho = sigma / alpha for data of unit variance; the paper's data has standard deviation
    0.5, so rho is twice its sigma.  The restarts use the levels of the grid within them.
    ``repeats``: number of restarts in each interval, at least 1.

    Raises ValueError if the grid has fewer than two levels in an interval.
    """

    base: Solver = field(default_factory=Heun)
    intervals: tuple[tuple[float, float], ...] = ((0.1, 2.0),)
    repeats: int = 2

    def __post_init__(self) -> None:
        _repeats(self.repeats)
        takes_parts("restart", self.base)
        for low, high in self.intervals:
            if not 0 < low < high < math.inf:
                raise ValueError(f"an interval must have 0 < low < high < inf, not ({low}, {high})")

    @property
    def order(self) -> int:
        """Order of the base."""
        return self.base.order

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        ways, here = [], 0
        for low, high in sorted(self.intervals, reverse=True):
            inside = [i for i, (alpha, sigma) in enumerate(found) if low * alpha <= sigma <= high * alpha]
            if len(inside) < 2:
                raise ValueError(
                    f"the grid has fewer than two levels with sigma / alpha in [{low}, {high}]: "
                    "take more steps or a wider interval"
                )
            top, bottom = inside[0], inside[-1]
            ways += [found[here : bottom + 1], *[found[top : bottom + 1]] * self.repeats]
            here = bottom
        ways.append(found[here:])
        return joined(found[0], [self.base.table(levels_of(way)) for way in ways if len(way) > 1])


@dataclass(frozen=True)
class Resample:
    """RePaint's resampling: every few steps are repeated from fresh noise (Lugmayr et al. 2022, section 4.2).

    Steps are counted from the data, as in the paper.  Resampling lets inpainting by replacement agree with its
    surroundings.
    ``base``: the solver of each pass.  ``jump``: steps per pass, at least 1.  ``repeats``: number of passes, at least
    1.
    """

    base: Solver = field(default_factory=DDPM)
    jump: int = 5
    repeats: int = 2

    def __post_init__(self) -> None:
        _repeats(self.repeats)
        takes_parts("resample", self.base)
        if self.jump < 1:
            raise ValueError(f"jump must be at least 1, not {self.jump}")

    @property
    def order(self) -> int:
        """Order of the base when restarted after every jump: that of a single step, if that is lower.

        This is an estimate for UniPC, whose steps are corrected in the next one: with ``start="low"`` it does better,
        with "rk" worse.
        """
        return order_alone(self.base)

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        last = len(found) - 1
        ends = [0, *range(last % self.jump or self.jump, last + 1, self.jump)]
        parts: list[Table] = []
        for begin, end in pairwise(ends):
            part = self.base.table(levels_of(found[begin : end + 1]))
            # there is no way back up to the same pure noise: the first pass is made once
            parts += [part] * (self.repeats if found[begin][0] > 0 else 1)
        return joined(found[0], parts)
