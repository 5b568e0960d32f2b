"""Guidance as a map Denoiser -> Denoiser, so that it composes with every solver and with itself.

    D_c   the estimate to strengthen: with the condition, or of the better model
    D_u   the estimate to compare with: without the condition, or of the weaker model
    w     the guidance scale; w = 1 is no guidance (the convention of EDM2 and diffusers)
    rho   sigma / alpha

A guidance is a rule that combines the two.  ``rule.guide(denoiser)`` calls one denoiser with and without the condition,
``rule.guide(denoiser, weak)`` calls two denoisers with it (autoguidance).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition, unconditional
from ptdiff.process import Level


@dataclass(frozen=True)
class Guidance(ABC):
    """Guidance by ``scale`` for low <= rho <= high, none elsewhere (Kynkaanniemi et al. 2024).

    ``scale``: w, finite; 1 is no guidance.
    ``low``, ``high``: interval of rho for unit-variance data; None is no upper limit.  A limit stated for EDM's
    sigma_data = 0.5 is twice as large here.
    """

    scale: float = 1.0
    low: float = 0.0
    high: float | None = None

    def __post_init__(self) -> None:
        if not math.isfinite(self.scale):
            raise ValueError(f"scale must be finite, not {self.scale}")
        if not 0 <= self.low < (math.inf if self.high is None else self.high):
            raise ValueError(f"low and high must satisfy 0 <= low < high, not low={self.low}, high={self.high}")

    @abstractmethod
    def combine(self, x: Tensor, level: Level, given: Tensor, free: Tensor) -> Tensor:
        """Combine D_c = ``given`` and D_u = ``free``, both (b, …), into one estimate; ``level`` broadcasts to x."""

    def guide(self, denoiser: Denoiser, weak: Denoiser | None = None) -> Denoiser:
        """Guide ``denoiser`` by its own estimate without the condition, or by that of a weaker model with it."""
        return Guided(denoiser, self, weak)


@dataclass(frozen=True)
class Guided:
    """A denoiser and the rule that guides it: two calls instead of one.

    A single call suffices if w = 1, without a condition, and outside the interval.  For levels (b,) both estimates are
    computed and the right one is selected per sample.
    """

    denoiser: Denoiser
    rule: Guidance
    weak: Denoiser | None = None

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        rule = self.rule
        given = self.denoiser(x, level, cond)
        inside = within(level, rule.low, rule.high)
        none = unconditional(cond)
        if inside is False or rule.scale == 1 or (self.weak is None and len(none) == len(cond)):
            return given
        free = self.denoiser(x, level, none) if self.weak is None else self.weak(x, level, cond)
        guided = rule.combine(x, level.like(x), given, free)
        return guided if isinstance(inside, bool) else select(inside, guided, given)

    def calls_at(self, level: tuple[float, float]) -> int:
        """Number of evaluations for one call with a condition at (alpha, sigma)."""
        inner = calls(self.denoiser, level)
        ratio = level[1] / level[0] if level[0] else math.inf
        inside = self.rule.low <= ratio <= (math.inf if self.rule.high is None else self.rule.high)
        if not inside or self.rule.scale == 1:
            return inner
        return inner + (inner if self.weak is None else calls(self.weak, level))


def within(level: Level, low: float, high: float | None) -> bool | Tensor:
    """Return True if low <= rho <= high: a bool for a level of shape (), a tensor (b,) for one of shape (b,).

    A level with host values, as in the tables of solvers, causes no wait for the device.
    """
    if low == 0 and high is None:
        return True
    if level.host is not None:
        alpha, sigma = level.host
        return low * alpha <= sigma and (high is None or sigma <= high * alpha)
    ratio = level.sigma / level.alpha
    inside = (ratio >= low) if high is None else (ratio >= low) & (ratio <= high)
    return bool(inside) if inside.ndim == 0 and not torch.compiler.is_compiling() else inside


def select(flags: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """``one`` where ``flags`` () or (b,) are set, ``other`` elsewhere, (b, …)."""
    return torch.where(flags.reshape(flags.shape + (1,) * (one.ndim - 1) * flags.ndim), one, other)
