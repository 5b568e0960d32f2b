"""Cost: how often the network is evaluated for one sample, counted before a run and while it runs.

A wrapper (guidance, inverse problems) that evaluates its denoiser more than once, or differentiates it, says so:

    calls_at(level) -> int      evaluations for one call at the level (alpha, sigma); a gradient counts as one more

Anything without ``calls_at`` costs one.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition
from ptdiff.process import Level


def calls(denoiser: Denoiser, level: tuple[float, float]) -> int:
    """Evaluations of the network by one call of ``denoiser`` at (alpha, sigma)."""
    found = getattr(denoiser, "calls_at", None)
    return 1 if found is None else int(found(level))


def planned(denoiser: Denoiser, levels: Iterable[tuple[float, float]]) -> int:
    """Evaluations of the network by calls at ``levels``: ``planned(guided, table.called)``."""
    return sum(calls(denoiser, level) for level in levels)


class Counted:
    """A denoiser that counts the rows it was evaluated on: ``rows / samples`` is the cost of one sample.

    A gradient taken through it counts its rows once more.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        self.denoiser = denoiser
        self.rows = 0

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        self.rows += len(x)
        estimate = self.denoiser(x, level, cond)
        if torch.is_grad_enabled() and estimate.requires_grad:
            estimate.register_hook(self._backward)  # type: ignore[no-untyped-call]
        return estimate

    def _backward(self, gradient: Tensor) -> None:
        self.rows += len(gradient)
