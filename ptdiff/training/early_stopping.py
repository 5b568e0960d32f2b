"""Early stopping: a copy of the averaged weights of the best validation, and the number of validations since."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ptdiff.modality.data import Data
from ptdiff.run.config import Training


class Best:
    """The best averaged weights so far; a loss is better if it is lower by more than ``min_delta``."""

    def __init__(self, patience: int, min_delta: float) -> None:
        self.patience, self.min_delta = patience, min_delta
        self.loss, self.step, self.stale = math.inf, 0, 0
        self.weights: dict[str, Tensor] = {}

    @property
    def given_up(self) -> bool:
        """True if ``patience`` validations in a row were no better."""
        return self.stale >= self.patience

    def see(self, loss: float | None, step: int, weights: Mapping[str, Tensor]) -> None:
        """Record a validation; a loss of None stands for one that is not finite, and is never better."""
        if loss is not None and loss < self.loss - self.min_delta:
            self.loss, self.step, self.stale = loss, step, 0
            self.weights = {name: value.clone() for name, value in weights.items()}
        else:
            self.stale += 1

    def facts(self) -> dict[str, Any]:
        """Everything except the weights, as JSON values."""
        return {"loss": self.loss if self.weights else None, "step": self.step, "stale": self.stale}

    def load(self, facts: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        """Restore the state of a checkpoint."""
        self.loss = math.inf if facts["loss"] is None else float(facts["loss"])
        self.step, self.stale = int(facts["step"]), int(facts["stale"])
        self.weights = {name: value.clone() for name, value in weights.items()}


def best_of(plan: Training, data: Data) -> Best | None:
    """The early stopping of a configuration, None without patience; ValueError if there is nothing to validate on."""
    if plan.patience is None:
        return None
    if plan.validations == 0 or data.val is None or len(data.val) == 0:
        raise ValueError("training.patience needs held-out samples and training.validations")
    return Best(plan.patience, plan.min_delta)
