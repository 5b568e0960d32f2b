"""Langevin dynamics at a noise level: annealed through the levels, or as a corrector after each step of a solver.

One step at the level (alpha, sigma), with the score (alpha D - x) / sigma^2 and a step size in units of sigma^2:

    x <- x + size / 2 (alpha D - x) + sqrt(size) sigma z

It preserves the distribution of x at this level up to a relative error of its variance of at most size / 4, and pulls x
toward it at a rate of size / 2.  The papers derive the step size from the norms of score and noise; here it is their
ratio at typical x, where the score is as long as noise over sigma, so that a step stays linear in x.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from ptdiff.process import Level
from ptdiff.solvers.restart import fresh
from ptdiff.solvers.runge_kutta import Heun
from ptdiff.solvers.table import Draw, Pair, Solver, Stage, Table, closed, pairs


def langevin_step(level: Pair, size: float, taken: set[Draw]) -> Stage:
    """Langevin step with the newest estimate, made at ``level``; the next call is at the same level.

    Its draw is not in ``taken`` and is added to it.
    """
    draw = fresh(Draw(level, level), taken)
    taken.add(draw)
    return Stage(1 - size / 2, (level[0] * size / 2,), ((draw, math.sqrt(size) * level[1]),), level)


def _check(size: float, repeats: int) -> None:
    if not 0 < size < 2:
        raise ValueError(f"the Langevin step size must lie in (0, 2) in units of sigma^2, not {size:.6g}")
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, not {repeats}")


@dataclass(frozen=True)
class Langevin:
    """Annealed Langevin dynamics with a final denoising step (Song and Ermon 2019, algorithm 1).

    ``size``: step size in units of sigma^2, in (0, 2); the paper's epsilon / sigma_L^2.
    ``repeats``: Langevin steps at each noisy level, at least 1.
    Between levels x / alpha is kept.
    """

    size: float = 0.2
    repeats: int = 5

    def __post_init__(self) -> None:
        _check(self.size, self.repeats)

    @property
    def order(self) -> int:
        """0: the bias depends on the step size, not on the number of levels."""
        return 0

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first: ``repeats`` calls and fresh draws per level."""
        found = pairs(levels)
        stages, passed = [Stage(1.0, level=found[0])], [found[0]]
        taken: set[Draw] = set()
        for i, level in enumerate(found):
            if i > 0:
                keep = level[0] / found[i - 1][0] if found[i - 1][0] > 0 else level[1] / found[i - 1][1]
                stages.append(Stage(keep, level=level) if level[1] > 0 else Stage(0.0, (level[0],)))
                passed.append(level)
            if level[1] > 0:
                stages += [langevin_step(level, self.size, taken) for _ in range(self.repeats)]
                passed += [level] * self.repeats
                if i + 1 < len(found) and found[i + 1][1] > 0:
                    # the next call is at the next level
                    stages[-1] = replace(stages[-1], level=None)
        return closed(stages, tuple(passed))


@dataclass(frozen=True)
class Corrector:
    """Langevin steps after each step of another solver: predictor-corrector (Song et al. 2021, algorithm 1).

    ``base``: the predictor; a multistep base interpolates the corrected estimates.
    ``snr``: the paper's r, which gives the step size 4 r^2.
    ``repeats``: Langevin steps after each step, at least 1.
    """

    base: Solver = field(default_factory=Heun)
    snr: float = 0.1
    repeats: int = 1

    def __post_init__(self) -> None:
        _check(4 * self.snr**2, self.repeats)

    @property
    def order(self) -> int:
        """0: the bias of the Langevin steps does not fall with the number of levels."""
        return 0

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first: each step of the base followed by Langevin steps."""
        base, size = self.base.table(levels), 4 * self.snr**2
        last_use, taken = _last_use(base), set(base.draws)
        stages: list[Stage] = []
        passed: list[Pair] = []
        calls, step = 0, 0
        # number of each call of the base among all calls, and of each of its steps among all steps
        numbers: list[int] = []
        places: list[int] = []
        newest: Pair | None = None
        for k, stage in enumerate(base.stages):
            back = _remapped(stage.back, places[:-1], len(passed) - 1)
            stages.append(replace(stage, mix=_remapped(stage.mix, numbers, calls), back=back))
            if stage.level is not None:
                numbers.append(calls)
                calls, newest = calls + 1, stage.level
            if not stage.advance:
                continue
            level = base.levels[step]
            fell = step > 0 and level[1] * passed[-1][0] < passed[-1][1] * level[0]
            passed.append(level)
            places.append(len(passed) - 1)
            step += 1
            if not (fell and level[1] > 0):
                continue
            if stage.level is None:
                stages[-1] = replace(stages[-1], level=level)
                calls += 1
            stages += [langevin_step(level, size, taken) for _ in range(self.repeats)]
            passed += [level] * self.repeats
            places[-1] = len(passed) - 1
            if newest == level and last_use.get(len(numbers) - 1, 0) > k:
                # from here on the base uses the estimate at the corrected x in place of its own
                calls += self.repeats
                numbers[-1] = calls - 1
            else:
                stages[-1] = replace(stages[-1], level=None)
                calls += self.repeats - 1
        return Table(tuple(stages), tuple(passed))


def _last_use(table: Table) -> dict[int, int]:
    """Index of the last stage that uses each call."""
    found: dict[int, int] = {}
    calls = 0
    for k, stage in enumerate(table.stages):
        found |= {calls - 1 - j: k for j, weight in enumerate(stage.mix) if weight}
        calls += stage.level is not None
    return found


def _remapped(mix: tuple[float, ...], numbers: list[int], calls: int) -> tuple[float, ...]:
    # weights are indexed by the offset from the newest call, and there are more calls now than in the base
    found = dict(zip((calls - 1 - number for number in reversed(numbers)), mix, strict=False))
    return tuple(found.get(offset, 0.0) for offset in range(max(found, default=-1) + 1))
