"""Time grids optimized for a denoiser, a solver and a number of steps, by dynamic programming and descent.

    x_i     the flow at candidate level i, from a teacher that visits all candidates
    c_ij    the error of one solver step from x_i to level j, at unit variance, because the flow of unit-variance data
            carries errors at that scale to the end unchanged

1.  Find the path of ``steps`` steps with the smallest sum of c_ij (Chen et al. 2024, "On the trajectory regularity of
    ODE-based diffusion sampling", GITS, section 4).  As there, DDIM stands in for multistep solvers.
2.  Local errors can cancel, which their sizes do not show.  Therefore take the path or common spacing that ends nearest
    to the teacher, and move its levels to neighboring candidates while that error falls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.grid import grid
from ptdiff.modality.data import Condition
from ptdiff.process import Level, Process
from ptdiff.solvers.exponential import DDIM
from ptdiff.solvers.inversion import is_one_step
from ptdiff.solvers.loop import solve, trajectory
from ptdiff.solvers.runge_kutta import RK4
from ptdiff.solvers.table import Solver

COMMON = ("uniform", "log-snr", "karras")


@torch.no_grad()
def optimize(
    denoiser: Denoiser,
    noise: Tensor,
    process: Process,
    solver: Solver,
    steps: int,
    cond: Condition | None = None,
    candidates: int = 40,
    rounds: int = 20,
) -> Level:
    """Find the levels (steps + 1,), float64, noisiest first, with which the solver ends nearest to the exact flow.

    ``noise``: standard normal (b, …); too few samples overfit, some hundreds do not.  ``cond``: their condition.
    ``candidates``: number of levels to choose from, in addition to those of the common spacings.
    ``rounds``: maximum number of rounds of descent; 0 returns the path of local errors.

    Calls the denoiser about candidates^2 / 2 times the calls of one step, then 2 rounds steps^2 times.

    Raises ValueError for a solver that adds noise, and for fewer than two steps.
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2 to optimize a grid, not {steps}")
    teacher = _Teacher.of(denoiser, noise, process, steps, candidates, {} if cond is None else cond)
    if solver.table(teacher.levels).stochastic:
        raise ValueError("a grid can only be optimized for a solver that adds no noise: choose heun, ddim, dpm++2m …")
    local = solver if is_one_step(solver, grid(process, steps)) else DDIM()
    paths = [shortest(teacher.costs(local), steps)]
    if rounds:
        paths += [teacher.nearest(grid(process, steps, name)) for name in COMMON]
    path = min(paths, key=lambda path: teacher.error(solver, path))
    best = teacher.error(solver, path)
    for _ in range(rounds):
        moved = False
        for k in range(1, steps):
            for place in (path[k] - 1, path[k] + 1):
                if path[k - 1] < place < path[k + 1]:
                    tried = [*path[:k], place, *path[k + 1 :]]
                    error = teacher.error(solver, tried)
                    if error < best:
                        path, best, moved = tried, error, True
        if not moved:
            break
    return teacher.grid(path)


def shortest(costs: Tensor, steps: int) -> list[int]:
    """The path of ``steps`` steps from the first to the last node with the smallest total cost, by dynamic programming.

    ``costs``: (m, m); costs[i, j] is that of the step from i to j, used for i < j.  Raises ValueError unless
    1 <= steps < m.

    >>> shortest(torch.tensor([[0.0, 1.0, 9.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]), 2)
    [0, 1, 2]
    """
    count = len(costs)
    if not 1 <= steps < count:
        raise ValueError(f"{steps} steps need more than {count} levels to choose from")
    ahead = torch.where(torch.ones_like(costs).triu(1) > 0, costs, torch.inf)
    total, before = ahead[0], []
    for _ in range(steps - 1):
        total, best = (total[:, None] + ahead).min(dim=0)
        before.append(best)
    path = [count - 1]
    for best in reversed(before):
        path.append(int(best[path[-1]]))
    return [0, *reversed(path)]


@dataclass(frozen=True)
class _Teacher:
    """The flow x (m, b, …) at all candidate levels, the last one clean, and the estimates x0 at the noisy ones."""

    denoiser: Denoiser
    cond: Condition
    levels: Level
    x: Tensor
    x0: Tensor

    @staticmethod
    def of(
        denoiser: Denoiser, noise: Tensor, process: Process, steps: int, candidates: int, cond: Condition
    ) -> _Teacher:
        """Follow the flow from ``noise`` through all candidate levels."""
        angles = torch.cat([grid(process, steps, name).angle[:-1] for name in COMMON])
        low, high = process.level(process.time(torch.stack([angles.min(), angles.max()]))).angle.tolist()
        even = torch.linspace(math.sqrt(high), math.sqrt(low), candidates, dtype=torch.float64).square()
        times = process.time(torch.cat([even, angles])).sort(descending=True).values
        times[0] = 1.0
        # keeps one of several times that differ only by rounding
        times = times[torch.cat([times.new_ones(1, dtype=torch.bool), times.diff() < -1e-6])]
        level = process.level(times)
        levels = Level(
            torch.cat([level.alpha, level.alpha.new_ones(1)]), torch.cat([level.sigma, level.sigma.new_zeros(1)])
        )
        start = noise * float(levels.scale[0])
        states = list(trajectory(denoiser, start, RK4().table(levels), cond))
        x = torch.stack([state.x for state in states])
        x0 = [
            denoiser(at, Level(a, s), cond)
            for at, a, s in zip(x[:-1], levels.alpha.to(x), levels.sigma.to(x), strict=False)
        ]
        return _Teacher(denoiser, cond, levels, x, torch.stack(x0))

    def grid(self, path: list[int]) -> Level:
        """The candidate levels with these indices."""
        return Level(self.levels.alpha[path], self.levels.sigma[path])

    def nearest(self, grid: Level) -> list[int]:
        """The path through the candidates nearest to the levels of a grid, one for each."""
        gaps = (self.levels.angle[None, :] - grid.angle[:, None]).abs()
        path = gaps.argmin(dim=1).tolist()
        return [0, *path[1:]]

    def error(self, solver: Solver, path: list[int]) -> float:
        """The distance from the teacher at the end, averaged over samples."""
        end = solve(self.denoiser, self.x[0], solver.table(self.grid(path)), self.cond)
        return float((end - self.x[-1]).flatten(1).norm(dim=1).mean())

    def costs(self, solver: Solver) -> Tensor:
        """c (m, m); the first call of each step is already known."""
        count, scale = len(self.x), self.levels.scale.tolist()
        found = torch.zeros(count, count, dtype=torch.float64)
        for i in range(count - 1):
            for j in range(i + 1, count):
                end = solve(self._from(i), self.x[i], solver.table(self.grid([i, j])), self.cond)
                found[i, j] = (end - self.x[j]).flatten(1).norm(dim=1).mean() / scale[j]
        return found

    def _from(self, i: int) -> Denoiser:
        known: list[Tensor] = [self.x0[i]]

        def denoiser(x: Tensor, level: Level, cond: Condition, /) -> Tensor:
            return known.pop() if known else self.denoiser(x, level, cond)

        return denoiser
