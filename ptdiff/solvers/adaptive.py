"""Adaptive solvers: every sample has its own step size and is no longer evaluated once it has arrived.

    u        position of a sample: the solver's own variable, strictly monotonic in the noise
    y        the sample, scaled to unit variance: x / hypot(alpha, sigma)
    ratio    estimated error of a step over the tolerance: the root mean square over the elements of
             error / (atol + rtol max(|y|, |y_new|)); a step with a ratio of at most 1 is accepted

With e_n = 1 / ratio_n and a controller (p, i, d), the next step is longer by the factor

    0.9 e_n^((p+i+d)/k) e_{n-1}^(-(p+2d)/k) e_{n-2}^(d/k),   clipped to [1/5, 5],

for an error estimate of order k (Hairer and Wanner 1996, section IV.2; Soederlind 2003).

Nothing is shared across the batch: if the denoiser treats samples independently, bit for bit, so does the solver.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.grid import RATIO_MIN
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import masked, per_element
from ptdiff.process import Level
from ptdiff.solvers.loop import differentiable
from ptdiff.solvers.table import Pair, State, pairs

Estimate = Callable[[Tensor, Tensor], Tensor]
"""One denoiser call: maps y (b, …) and u (b,) to E[x_0 | y]."""


@dataclass(frozen=True)
class Adaptive(ABC):
    """A solver with error control and a step size for every sample.

    ``rtol``, ``atol``: relative and absolute tolerance of one step.
    ``pid``: coefficients (p, i, d) of the step-size controller.
    ``first``: length of the first step, as a fraction of the interval in u, in (0, 1].
    ``limit``: number of denoiser calls per sample after which the run fails.
    """

    rtol: float = 1e-3
    atol: float = 1e-3
    pid: tuple[float, float, float] = (0.4, 0.3, 0.0)
    first: float = 0.05
    limit: int = 1000

    def __post_init__(self) -> None:
        if not (0 <= self.rtol < math.inf and 0 < self.atol < math.inf):
            raise ValueError(f"rtol must be at least 0 and atol above 0, both finite, not {self.rtol} and {self.atol}")
        if not (all(math.isfinite(part) for part in self.pid) and sum(self.pid) > 0):
            raise ValueError(f"pid must be finite with a positive sum, not {self.pid}")
        if not 0 < self.first <= 1:
            raise ValueError(f"first must lie in (0, 1], not {self.first}")
        if self.limit < 1:
            raise ValueError(f"limit must be at least 1, not {self.limit}")

    @property
    @abstractmethod
    def order(self) -> int:
        """Order of the propagated solution and of the error estimate of one step."""

    @abstractmethod
    def position(self, level: Pair) -> float:
        """u at a noise level; infinite for pure noise if the solver cannot start there."""

    @abstractmethod
    def level(self, u: Tensor) -> Level:
        """The level at u with alpha^2 + sigma^2 = 1, float64."""

    @abstractmethod
    def attempt(
        self, estimate: Estimate, y: Tensor, x0: Tensor, u: Tensor, end: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Attempt one step of y (b, …) from ``u`` to ``end``, both (b,) float64; ``x0`` is the estimate at ``u``.

        Returns y at ``end``, its estimated error, and the estimate at ``end``, or None if the step did not compute it.
        """

    def trajectory(
        self,
        denoiser: Denoiser,
        x: Tensor,
        levels: Level,
        cond: Condition | None = None,
        *,
        gradients: bool = False,
    ) -> Iterator[State]:
        """Integrate ``x`` (b, …) from the first of ``levels`` to the last; the levels in between are ignored.

        If the last sigma is zero, a denoising step from sigma / alpha = 0.002 ends the run.  Yields the start, a state
        after every round of attempts, and the end.  In between, samples stand at different levels: the state reports
        the level of the least advanced sample, and all samples have unit variance.  Use these states for pictures, not
        for computation.

        gradients: keep the autograd graph, whose memory grows with every call of the denoiser.

        Raises ValueError, naming the sample, if an estimate is not finite or ``limit`` calls do not suffice.
        """
        found = pairs(levels)
        start, last = found[0], found[-1]
        yield State(0, start, x, None)
        goal = (1.0, RATIO_MIN) if last[1] == 0 else last
        if start[1] * goal[0] <= goal[1] * start[0]:
            goal = start
        with differentiable(gradients):
            batch = _Batch(self, denoiser, x / math.hypot(*start), {} if cond is None else cond)
            batch.enter(start, self.position(goal))
        rounds = 0
        while batch.moving():
            with differentiable(gradients):
                batch.attempt()
            rounds += 1
            yield State(rounds, batch.least_advanced(), batch.y, batch.x0)
        if last[1] == 0:
            with differentiable(gradients):
                x0 = batch.estimates()
                x = x0 * last[0]
            yield State(rounds + 1, last, x, x0)
        else:
            with differentiable(gradients):
                x = batch.y * math.hypot(*last)
            yield State(rounds + 1, last, x, batch.x0)


@dataclass
class _Pace:
    """Progress of one sample: u, step, 1 / ratio of the newest accepted steps, calls, and whether x0 belongs to u."""

    u: float
    step: float
    past: tuple[float, ...] = ()
    calls: int = 0
    known: bool = False

    def end(self, goal: float) -> float:
        """End of the next step; a step that almost reaches the goal is stretched to it."""
        return goal if abs(self.step) * 1.01 >= abs(goal - self.u) else self.u + self.step

    def judge(self, ratio: float, end: float, solver: Adaptive) -> bool:
        """Return True if the step to ``end`` is accepted, and set the next step."""
        p, i, d = solver.pid
        newest = 1 / max(ratio, 1e-8)
        before, earlier = (*self.past, newest, newest)[:2]
        factor = newest ** (p + i + d) * before ** -(p + 2 * d) * earlier**d
        factor = 0.9 * factor ** (1 / solver.order)
        self.step = (end - self.u) * min(max(factor, 0.2), 5.0 if ratio <= 1 else 0.9)
        if ratio <= 1:
            self.u, self.past = end, (newest, before)
        return ratio <= 1


class _Batch:
    """The samples of a batch: y, the newest estimates, and the progress of each."""

    def __init__(self, solver: Adaptive, denoiser: Denoiser, y: Tensor, cond: Condition) -> None:
        self.solver, self.denoiser, self.cond = solver, denoiser, cond
        self.y, self.x0 = y, torch.zeros_like(y)

    def enter(self, start: Pair, goal: float) -> None:
        """Start at the first level; leave pure noise, if the solver cannot start there, by a step with constant x0.

        The error of that step is proportional to (alpha / sigma)^2 at its end, which is chosen to use a tenth of the
        tolerance.
        """
        solver, self.goal = self.solver, goal
        leave = not math.isfinite(solver.position(start))
        if leave:
            zero = self.y.new_zeros(len(self.y))
            x0 = self.denoiser(self.y, Level(zero, zero + 1), self.cond)
            angle = math.atan(1 / math.sqrt(0.1 * (solver.rtol + solver.atol)))
            start = math.cos(angle), math.sin(angle)
            self.y = self.y * start[1] + x0 * start[0]
        u = solver.position(start)
        self.paces = [_Pace(u, solver.first * (goal - u), calls=int(leave)) for _ in self.y]

    def moving(self) -> list[int]:
        """Indices of the samples that have not arrived."""
        return [i for i, pace in enumerate(self.paces) if pace.u != self.goal]

    def least_advanced(self) -> Pair:
        """Level of the sample that is farthest from the goal."""
        u = max((pace.u for pace in self.paces), key=lambda u: abs(u - self.goal))
        level = self.solver.level(torch.tensor(u, dtype=torch.float64))
        return float(level.alpha), float(level.sigma)

    def estimates(self) -> Tensor:
        """E[x_0 | y] for every sample; calls the denoiser for those samples whose estimate is not known yet."""
        rows = [i for i, pace in enumerate(self.paces) if not pace.known]
        if rows:
            u = torch.tensor([self.paces[i].u for i in rows], dtype=torch.float64)
            self.x0 = self._put(self.x0, rows, self._call(rows, _rows(self.y, rows), u))
        for i in rows:
            self.paces[i].known = True
        return self.x0

    def attempt(self) -> None:
        """Make one attempt for every sample that has not arrived."""
        rows, solver = self.moving(), self.solver
        ends = [self.paces[i].end(self.goal) for i in rows]
        u, end = (torch.tensor(v, dtype=torch.float64) for v in ([self.paces[i].u for i in rows], ends))
        y, x0 = _rows(self.y, rows), _rows(self.estimates(), rows)
        reached, error, newest = solver.attempt(lambda at, v: self._call(rows, at, v), y, x0, u, end)
        allowed = solver.atol + solver.rtol * torch.maximum(y.abs(), reached.abs())
        mask = self.cond["mask"][torch.tensor(rows, device=y.device)] if "mask" in self.cond else None
        ratios = per_element(_mean(masked((error / allowed).square(), mask)), mask).sqrt().tolist()
        taken = []
        for k, (i, ratio) in enumerate(zip(rows, ratios, strict=True)):
            pace = self.paces[i]
            if not math.isfinite(ratio):
                raise ValueError(f"sample {i} of the batch: the estimate is not finite after {pace.calls} calls")
            if pace.judge(ratio, ends[k], solver):
                pace.known = newest is not None
                taken.append(k)
            if pace.u != self.goal and pace.calls >= solver.limit:
                raise ValueError(
                    f"sample {i} of the batch is not done after {pace.calls} calls: raise limit, rtol or atol"
                )
        if taken:
            found = [rows[k] for k in taken]
            self.y = self._put(self.y, found, _rows(reached, taken))
            if newest is not None:
                self.x0 = self._put(self.x0, found, _rows(newest, taken))

    def _call(self, rows: list[int], y: Tensor, u: Tensor) -> Tensor:
        for i in rows:
            self.paces[i].calls += 1
        level = self.solver.level(u)
        cond = {name: _rows(value, rows) for name, value in self.cond.items()}
        return self.denoiser(y, Level(level.alpha.to(y), level.sigma.to(y)), cond)

    @staticmethod
    def _put(into: Tensor, rows: list[int], values: Tensor) -> Tensor:
        if len(rows) == len(into):
            return values
        return into.index_copy(0, torch.tensor(rows, device=into.device), values)


def _rows(of: Tensor, rows: list[int]) -> Tensor:
    return of if len(rows) == len(of) else of[torch.tensor(rows, device=of.device)]


def _mean(values: Tensor) -> Tensor:
    """Mean over all axes but the first, by halving: the result of a reduction kernel may depend on the batch size."""
    values = values.flatten(1)
    count = values.shape[1]
    while values.shape[1] > 1:
        half = values.shape[1] // 2
        values = torch.cat([values[:, :half] + values[:, half : 2 * half], values[:, 2 * half :]], dim=1)
    return values[:, 0] / count


def wide(value: Tensor, x: Tensor) -> Tensor:
    """``value`` (b,) in the dtype of ``x``, with trailing axes that broadcast against ``x`` (b, …)."""
    return value.to(x).reshape(-1, *(1,) * (x.ndim - 1))
