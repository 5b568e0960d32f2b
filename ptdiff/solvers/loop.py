"""The sampler loop: executes the stages of a table, from noise to data."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition
from ptdiff.process import Level
from ptdiff.solvers.table import Numbers, State, Table, _Row


def differentiable(wanted: bool) -> torch.set_grad_enabled:
    """Return a context that keeps the autograd graph if ``wanted`` and if the caller's mode keeps it."""
    return torch.set_grad_enabled(wanted and torch.is_grad_enabled())


@dataclass(frozen=True)
class Call:
    """A call of the denoiser that a table asks for: E[x_0 | x] at a point ``x`` (b, …) and a ``level``."""

    x: Tensor
    level: Level


def stages(
    x: Tensor, table: Table, noise: Numbers | None = None, *, gradients: bool = False
) -> Generator[State | Call, Tensor, None]:
    """Execute the stages of a table on ``x`` (b, …) without a denoiser.

    Yields a State at every level, the first included, and a Call wherever an estimate is needed, which must be sent
    back.  ``noise``, ``gradients``, errors: see :func:`trajectory`, which is this loop with a denoiser.
    """
    if table.stochastic and noise is None:
        raise ValueError(
            "this solver adds noise: pass noise, a function from the number of a draw to its random numbers"
        )
    history, memory = table.history, table.memory
    past: list[Tensor] = []
    newest: list[Tensor] = []
    held: dict[int, Tensor] = {}
    step = -1
    for row in table.rows(x.dtype, x.device):
        with differentiable(gradients):
            point = _point(row, x, past, newest)
            if noise is not None:
                for k, weight in row.noise:
                    if k not in held:
                        held[k] = noise(k).to(x)
                    point = point + held[k] * weight
        # yielded outside of any context, which would reach into the caller's loop
        if row.advance:
            if memory:
                past.insert(0, x)
                del past[memory:]
            x, step = point, step + 1
            held.clear()
            yield State(step, table.levels[step], x, newest[0] if newest else None)
        if row.level is not None:
            newest.insert(0, (yield Call(point, row.level)))
            del newest[history:]


def trajectory(
    denoiser: Denoiser,
    x: Tensor,
    table: Table,
    cond: Condition | None = None,
    noise: Numbers | None = None,
    *,
    gradients: bool = False,
) -> Iterator[State]:
    """Integrate ``x`` (b, …) through the table, yielding the state at every level, the first included.

    ``noise`` is required by tables that add noise; ValueError without it.
    ``gradients``: keep the autograd graph, whose memory grows with every call of the denoiser.
    """
    cond = {} if cond is None else cond
    walk = stages(x, table, noise, gradients=gradients)
    found = next(walk, None)
    while found is not None:
        if isinstance(found, State):
            yield found
            found = next(walk, None)
        else:
            with differentiable(gradients):
                estimate = denoiser(found.x, found.level, cond)
            try:
                found = walk.send(estimate)
            except StopIteration:
                return


def _point(row: _Row, x: Tensor, past: list[Tensor], newest: list[Tensor]) -> Tensor:
    """The weighted sum of a stage: of x, earlier points and estimates."""
    point, owned = None, False
    # products and sums are rounded separately: a fused multiply-add rounds differently in the vectorized body of a
    # kernel and in its tail, so that a sample would depend on its place in the batch
    for source, weight in row.products:
        term = newest[source] if source >= 0 else x if source == -1 else past[-2 - source]
        if weight is not None:
            term = term * weight
        if point is None:
            point, owned = term, weight is not None
        elif owned:
            point.add_(term)
        else:
            point, owned = point + term, True
    return torch.zeros_like(x) if point is None else point


def solve(
    denoiser: Denoiser,
    x: Tensor,
    table: Table,
    cond: Condition | None = None,
    noise: Numbers | None = None,
    *,
    gradients: bool = False,
) -> Tensor:
    """Integrate ``x`` (b, …) through the table and return x at its last level.

    No autograd graph is kept unless ``gradients``.
    """
    for state in trajectory(denoiser, x, table, cond, noise, gradients=gradients):
        x = state.x
    return x
