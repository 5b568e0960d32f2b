"""Weights that stay finite: numbers of the form c^a s^b g, with g positive and finite at both ends.

c = alpha / r, s = sigma / r: cosine and sine of a level's angle, with r = hypot(alpha, sigma).
w: weight of the error of x_0.   y: output of the network, D - x_0 = out (y - target).

A network is trained on the error of its own output y, whose weight is w out^2.  Every w of
:mod:`ptdiff.objective.weighting` and every out^2 has the form above.  A product adds the exponents, so there is no
0 * inf, and it is infinite at an end only if a sum of exponents is negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ptdiff.process import Level

LogDensity = Callable[[Level], Tensor]
"""Maps a level to log p(lambda), the log density of the training levels over lambda = log(alpha / sigma)."""


@dataclass(frozen=True)
class Factors:
    """The weight c^cos s^sin rest at a level."""

    cos: float
    sin: float
    rest: Tensor | float

    def __mul__(self, other: Factors) -> Factors:
        return Factors(self.cos + other.cos, self.sin + other.sin, self.rest * other.rest)

    def at(self, level: Level) -> Tensor:
        """The weight, in the shape of the level; infinite at an end with a negative exponent."""
        number = torch.ones_like(level.alpha) * self.rest
        for base, exponent in ((level.alpha, self.cos), (level.sigma, self.sin)):
            if exponent != 0:
                number = number * torch.pow(base / level.scale, exponent)
        return number


@dataclass(frozen=True)
class Setting:
    """Inputs of a weighting besides the level.

    ``prediction``: a name in :data:`ptdiff.denoiser.network.PREDICTIONS`.
    ``log_density``: log density of the training levels; None if it is not known.
    """

    prediction: str
    log_density: LogDensity | None = None


def cos_sin(level: Level) -> tuple[Tensor, Tensor]:
    """Cosine c and sine s of the level's angle, each in the shape of the level."""
    return level.alpha / level.scale, level.sigma / level.scale


def out_squared(level: Level, prediction: str) -> Factors:
    """Square of out = d x_0 / d y for a prediction (:mod:`ptdiff.denoiser.network`); ValueError for an unknown name."""
    match prediction:
        case "x0":
            return Factors(0, 0, 1.0)
        case "eps":
            return Factors(-2, 2, 1.0)
        case "velocity":
            return Factors(0, 2, 1.0)
        case "flow":
            return Factors(0, 2, (level.scale / (level.alpha + level.sigma)).square())
    raise ValueError(f"unknown prediction {prediction!r}: choose from x0, eps, velocity, flow")


class Weighting(Protocol):
    """A weighting of the error of x_0 over noise levels."""

    def factors(self, level: Level, setting: Setting) -> Factors:
        """The weight w of the squared error of x_0 at ``level``, () or (b,), as factors."""
        ...
