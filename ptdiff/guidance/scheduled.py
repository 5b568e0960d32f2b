"""Classifier-free guidance with a scale that depends on the level, and CFG++ as a special case.

CFG++ (Chung et al. 2024, algorithm 2) moves toward D_u + lambda (D_c - D_u) but keeps the noise eps_u of D_u:

    x_t = alpha_t (D_u + lambda (D_c - D_u)) + sigma_t (x_s - alpha_s D_u) / sigma_s

This is the DDIM step on D_u + w (D_c - D_u) with w = lambda / (1 - q), q = (alpha_s sigma_t) / (alpha_t sigma_s).  It
therefore needs the levels of the grid, and it is CFG++ only with DDIM (eta = 0) on that grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition, unconditional
from ptdiff.process import Level


@dataclass(frozen=True)
class Scheduled:
    """D_u + w (D_c - D_u) with w = scales[i] for the nearest of ``angles``; both tensors (n,)."""

    denoiser: Denoiser
    angles: Tensor
    scales: Tensor

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        given = self.denoiser(x, level, cond)
        none = unconditional(cond)
        if len(none) == len(cond):
            return given
        free = self.denoiser(x, level, none)
        nearest = (level.angle[..., None] - self.angles.to(level.angle)).abs().argmin(dim=-1)
        scale = self.scales.to(x)[nearest]
        return free + (given - free) * Level(scale, scale).like(x).alpha

    def calls_at(self, level: tuple[float, float]) -> int:
        """Twice the calls of the denoiser, with a condition."""
        return 2 * calls(self.denoiser, level)


def plus_plus(denoiser: Denoiser, levels: Level, scale: float) -> Scheduled:
    """CFG++ for DDIM on ``levels`` (n + 1,), noisiest first; ``scale`` is the paper's lambda, in [0, 1].

    Raises ValueError for a scale out of range and for levels whose noise does not fall.
    """
    if not 0 <= scale <= 1:
        raise ValueError(f"the scale of CFG++ must lie in [0, 1], not {scale}")
    q = (levels.alpha[:-1] * levels.sigma[1:]) / (levels.alpha[1:] * levels.sigma[:-1])
    if not bool((q < 1).all()):
        raise ValueError("levels must be noisiest first, with strictly falling sigma / alpha")
    return Scheduled(denoiser, torch.atan2(levels.sigma[:-1], levels.alpha[:-1]), scale / (1 - q))
