"""Signs of divergence while the gradients are still finite: loss or weights far above their own history."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from torch import Tensor

from ptdiff.training.sharded import whole

WINDOW = 20
"""Number of steps over which losses are compared: the first of a run, and the last."""

LOSS_FACTOR, NORM_FACTOR = 10.0, 100.0
"""Ratio of the loss to that of the first steps, and of the norm of the weights to the first one, that is divergence.

A fresh network predicts zero, which is hard to do ten times worse than; the norm of weights grows by about ten in the
longest runs."""


class History:
    """Losses and the norm of the weights at the beginning of a run, and its last losses.

    Medians, because single batches may have far larger losses under steep weightings.
    """

    def __init__(self) -> None:
        self.first: list[float] = []
        self.last: list[float] = []
        self.norm: float | None = None

    def see(self, losses: Iterable[float]) -> None:
        """Add the mean losses of further steps; those that are not finite belong to skipped steps and do not count."""
        for loss in losses:
            if math.isfinite(loss):
                if len(self.first) < WINDOW:
                    self.first.append(abs(loss))
                self.last = [*self.last[1 - WINDOW :], abs(loss)]

    def loss_limit(self) -> float:
        """The loss above which a run has diverged; infinite without a history."""
        if len(self.first) < WINDOW:
            return math.inf
        # the first loss is that of a network before any step, so the others cannot hide a divergence in the first ones
        return LOSS_FACTOR * min(median(self.first), LOSS_FACTOR * self.first[0])

    def problem(self, weights: Sequence[Tensor], steps: int = WINDOW) -> str | None:
        """A sign of divergence in the last ``steps`` losses or in the weights, in words; None if there is none.

        All ranks must call this together if the weights are sharded.
        """
        norm = weight_norm(weights)
        recent = self.last[-steps:]
        if len(recent) == steps and (loss := median(recent)) > self.loss_limit():
            return f"the loss is {loss:.3g}, but was {median(self.first):.3g} at first"
        if not math.isfinite(norm):
            return "some weights are not finite"
        if self.norm is None:
            self.norm = norm
        if norm > NORM_FACTOR * max(self.norm, 1.0):
            return f"the norm of the weights is {norm:.3g}, but was {self.norm:.3g} at first"
        return None

    def facts(self) -> dict[str, Any]:
        """The history as JSON values."""
        return {"first": self.first, "last": self.last, "norm": self.norm}

    def load(self, facts: Mapping[str, Any] | None) -> None:
        """Restore the history of a checkpoint; None is one of an earlier version, from which the history begins."""
        facts = facts or {}
        self.first, self.last = list(facts.get("first", [])), list(facts.get("last", []))
        self.norm = facts.get("norm")


def weight_norm(weights: Sequence[Tensor]) -> float:
    """Euclidean norm of all weights together; all ranks must call this together if they are sharded."""
    if not weights:
        return 0.0
    norms = torch.stack(torch._foreach_norm([weight.detach().float() for weight in weights]))
    return float(whole(torch.linalg.vector_norm(norms)))
