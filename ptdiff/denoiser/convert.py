"""Conversions between what networks predict and what formulas ask for: x0, eps, velocity, flow and score.

Each is data x_0 + noise eps, and x = alpha x_0 + sigma eps.  Two such combinations determine a third:

    D(q) = alpha noise_q - sigma data_q
    target = [(data_t noise_s - noise_t data_s) x + D(t) source] / D(s)

by Cramer's rule.  D is -sigma, alpha, r, alpha + sigma and -alpha / sigma: a sum of numbers of one sign, so that no
digits are lost at either end.  The score of p(x) is -E[eps | x] / sigma.
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
    """``y``, a ``source`` at x (b, …) and level () or (b,), as a ``target``; both are names of TARGETS.

    UnknownName for another name.  ValueError where the source does not determine the target: x_0 at sigma = 0 says
    nothing of the noise, eps and score at alpha = 0 nothing of the data, and the score is infinite at sigma = 0.
    """
    for name in (source, target):
        if name not in TARGETS:
            raise unknown("target", name, TARGETS)
    wide = level.like(x)
    if "score" in (source, target):
        if bool((level.sigma == 0).any()):
            raise ValueError("there is no score without noise (sigma = 0): convert to eps, x0, velocity or flow")
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
        raise ValueError(f"{source} does not determine {target} where x holds no {missing}")
    cross = wanted.data * given.noise - wanted.noise * given.data
    return cross / given.determinant * x + wanted.determinant / given.determinant * y
