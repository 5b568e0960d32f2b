"""Classifier guidance: the gradient of log p(y | x) at a noise level shifts the estimate of the denoiser.

E[x_0 | x, y] = E[x_0 | x] + sigma^2 / alpha  grad_x log p(y | x)            (Dhariwal and Nichol 2021, section 4)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.posterior import pullback
from ptdiff.modality.data import Condition
from ptdiff.process import Level

Classifier = Callable[[Tensor, Level, Condition], Tensor]
"""Maps x (b, …), its level and condition to log p(y | x), (b,), up to a constant; differentiable in x."""


@dataclass(frozen=True)
class ClassifierGuided:
    """D + w sigma^2 / alpha grad log p(y | x), at the cost of one denoiser call and one gradient of the classifier.

    ``scale``: the guidance scale w.  At alpha = 0 the classifier sees only noise, and the estimate is unchanged.
    """

    denoiser: Denoiser
    classifier: Classifier
    scale: float = 1.0

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        found, pull = pullback(self.classifier, x, level, cond)
        wide = level.like(x)
        known = wide.alpha > 0
        factor = self.scale * wide.sigma.square() / torch.where(known, wide.alpha, 1)
        shift = torch.where(known, pull(torch.ones_like(found)) * factor, 0)
        return self.denoiser(x, level, cond) + shift

    def calls_at(self, level: tuple[float, float]) -> int:
        """Calls of the denoiser; the classifier is another network and not counted."""
        return calls(self.denoiser, level)
