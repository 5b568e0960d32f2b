"""Conversions between prediction types: x0, eps, velocity, flow and score.

Each type except the score is a combination q = data_q x_0 + noise_q eps, as is x = alpha x_0 + sigma eps.  Two such
combinations, x and the source s, determine a third, the target t:

    D(q) = alpha noise_q - sigma data_q
    target = [(data_t noise_s - noise_t data_s) x + D(t) source] / D(s)

by Cramer's rule.  D is -sigma for x0, alpha for eps, r = hypot(alpha, sigma) for velocity and alpha + sigma for flow:
sums of terms of the same sign, so there is no cancellation at any level.  The score of p(x) is -E[eps | x] / sigma.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.choices import unknown
from ptdiff.denoiser.network import PREDICTIONS
from ptdiff.process import Level


@dataclass(frozen=True)
class _Combination:
    data: Tensor
    noise: Tensor
    determinant: Tensor


def _x0(level: Level) -> _Combination:
    zero = torch.zeros_like(level.alpha)
    return _Combination(zero + 1, zero, -level.sigma)


def _eps(level: Level) -> _Combination:
    zero = torch.zeros_like(level.alpha)
    return _Combination(zero, zero + 1, level.alpha)


def _velocity(level: Level) -> _Combination:
    return _Combination(-level.sigma / level.scale, level.alpha / level.scale, level.scale)


def _flow(level: Level) -> _Combination:
    one = torch.ones_like(level.alpha)
    return _Combination(-one, one, level.alpha + level.sigma)


_COMBINATIONS: dict[str, Callable[[Level], _Combination]] = {
    "x0": _x0,
    "eps": _eps,
    "velocity": _velocity,
    "flow": _flow,
}
TARGETS = (*PREDICTIONS, "score")


def convert(y: Tensor, x: Tensor, level: Level, source: str, target: str) -> Tensor:
    """Convert ``y`` (b, …), a prediction of type ``source`` at x (b, …) and level () or (b,), to type ``target``.

    ``source``, ``target``: names in TARGETS.

    Raises UnknownName for any other name, and ValueError if the source does not determine the target: x0 at sigma = 0
    does not determine the noise, eps and score at alpha = 0 do not determine the data, and the score is not defined at
    sigma = 0.
    """
    for name in (source, target):
        if name not in TARGETS:
            raise unknown("target", name, TARGETS)
    wide = level.like(x)
    if "score" in (source, target):
        if bool((level.sigma == 0).any()):
            raise ValueError("the score is not defined without noise (sigma = 0): use eps, x0, velocity or flow")
        if source == target:
            return y
        if source == "score":
            return convert(-wide.sigma * y, x, level, "eps", target)
        return -convert(y, x, level, source, "eps") / wide.sigma
    if source == target:
        return y
    given, wanted = _COMBINATIONS[source](wide), _COMBINATIONS[target](wide)
    if bool((given.determinant == 0).any()):
        missing = "noise (sigma = 0)" if source == "x0" else "signal (alpha = 0)"
        raise ValueError(f"{source} does not determine {target} at a level without {missing}")
    cross = wanted.data * given.noise - wanted.noise * given.data
    return cross / given.determinant * x + wanted.determinant / given.determinant * y
