"""Weights that stay finite: numbers of the form c^a s^b g, with g positive and finite at both ends.

c = alpha / r, s = sigma / r: cosine and sine of a level's angle.
w: weight of the error of x_0.   y: what the network predicts, D - x_0 = out (y - target).

A network is trained on the error of its own output y, whose weight is w out^2.  Every w of ptdiff.objective.weighting
and every out^2 has the form above.  A product adds the exponents, so nothing cancels, and it is infinite at an end only
where a sum of exponents is negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ptdiff.process import Level

LogDensity = Callable[[Level], Tensor]
"""log p(lambda) of the levels that are trained on."""


@dataclass(frozen=True)
class Factors:
    """The number c^cos s^sin rest at some levels."""

    cos: float
    sin: float
    rest: Tensor | float

    def __mul__(self, other: Factors) -> Factors:
        return Factors(self.cos + other.cos, self.sin + other.sin, self.rest * other.rest)

    def at(self, level: Level) -> Tensor:
        """The number, in the shape of the level; infinite where it has no finite value."""
        number = torch.ones_like(level.alpha) * self.rest
        for base, exponent in ((level.alpha, self.cos), (level.sigma, self.sin)):
            if exponent != 0:
                number = number * torch.pow(base / level.scale, exponent)
        return number


@dataclass(frozen=True)
class Setting:
    """What a weighting may depend on besides the level."""

    prediction: str
    log_density: LogDensity | None = None


def cos_sin(level: Level) -> tuple[Tensor, Tensor]:
    """c and s, in the shape of the level."""
    return level.alpha / level.scale, level.sigma / level.scale


def out_squared(level: Level, prediction: str) -> Factors:
    """The square of d x_0 / d y of a prediction (ptdiff.denoiser.network)."""
    match prediction:
        case "x0":
            return Factors(0, 0, 1.0)
        case "eps":
            return Factors(-2, 2, 1.0)
        case "velocity":
            return Factors(0, 2, 1.0)
        case "flow":
            return Factors(0, 2, (level.scale / (level.alpha + level.sigma)).square())
    raise ValueError(f"no prediction is called {prediction!r}")


class Weighting(Protocol):
    """w for the error of x_0 at a level, as factors."""

    def factors(self, level: Level, setting: Setting) -> Factors: ...
