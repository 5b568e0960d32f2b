"""Cost: the number of network evaluations per sample, computed before a run and counted during it.

A wrapper (guidance, inverse problems) that evaluates its denoiser more than once, or differentiates it, reports this:

    calls_at(level) -> int      evaluations for one call at the level (alpha, sigma); a gradient counts as one more

A denoiser without ``calls_at`` costs one evaluation.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition
from ptdiff.process import Level


def calls(denoiser: Denoiser, level: tuple[float, float]) -> int:
    """Number of network evaluations in one call of ``denoiser`` at the level (alpha, sigma)."""
    found = getattr(denoiser, "calls_at", None)
    return 1 if found is None else int(found(level))


def planned(denoiser: Denoiser, levels: Iterable[tuple[float, float]]) -> int:
    """Number of network evaluations in calls at all ``levels``, for example ``planned(guided, table.called)``."""
    return sum(calls(denoiser, level) for level in levels)


class Counted:
    """A denoiser that counts the rows it is evaluated on: ``rows / samples`` is the cost of one sample.

    A gradient through it counts its rows once more.
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
