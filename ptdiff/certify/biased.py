"""The variance that solvers without an order should reach on Gaussian data, by recursions that use no table.

For data N(mean, s^2), x at a level (alpha, sigma) has the variance v = alpha^2 s^2 + sigma^2 of the forward process.  A
solver of order 0 samples another distribution on purpose, which follows, step by step, from the formula in its
docstring.  With the gain g = alpha s^2 / v of E[x_0|x] and V the variance of x on the way:

    Langevin step   V <- (1 - size sigma^2 / 2 v)^2 V + size sigma^2        fixed point V = v / (1 - size sigma^2 / 4 v)
    DDPM step       V <- c^2 V + (noise beta~)^2      beta~^2 and c from the posterior q(x_t | x_s, x_0), Bayes' rule
    exact flow      V <- V v_t / v_s                  the limit of a base of positive order
    consistency     V <- alpha_t^2 g_s^2 V + sigma_t^2
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from ptdiff.solvers import Solver
from ptdiff.solvers.consistency import MultistepConsistency
from ptdiff.solvers.exponential import DDPM
from ptdiff.solvers.langevin import Corrector, Langevin
from ptdiff.solvers.table import Pair
from ptdiff.solvers.tempered import Tempered

FADES: dict[str, Callable[[float], float]] = {
    "none": lambda left: 1.0,
    "exponential": lambda left: math.exp(5 * left - 5),
    "sigmoid": lambda left: 0.5 + 0.5 * math.tanh(5 * left - 2.5),
}


def _spread(level: Pair, std: float) -> float:
    return level[0] * level[0] * std * std + level[1] * level[1]


def _dynamics(variance: float, level: Pair, std: float, size: float, repeats: int) -> float:
    noise = level[1] ** 2
    for _ in range(repeats):
        variance = (1 - size * noise / (2 * _spread(level, std))) ** 2 * variance + size * noise
    return variance


def _ancestral(levels: Sequence[Pair], std: float, noise: Callable[[float], float]) -> float:
    variance, steps = _spread(levels[0], std), len(levels) - 1
    for i, (s, t) in enumerate(pairwise(levels)):
        # the forward step t -> s: x_s = k x_t + sqrt(beta) z
        k = s[0] / t[0]
        beta = s[1] ** 2 - (k * t[1]) ** 2
        precision = 1 / t[1] ** 2 + k**2 / beta
        from_x, from_x0 = k / beta / precision, t[0] / t[1] ** 2 / precision
        gain = s[0] * std**2 / _spread(s, std)
        variance = (from_x + from_x0 * gain) ** 2 * variance + noise(1 - i / steps) ** 2 / precision
    return variance


def variance(solver: Solver, levels: Sequence[Pair], std: float) -> float:
    """Variance of x at the last of ``levels``, all of them noisy, for data of standard deviation ``std``.

    Exact for langevin, consistency, and ddpm with the lower variance, tempered or not; for a corrector as exact as its
    base.  Raises TypeError for a solver without a known recursion.
    """
    match solver:
        case Langevin(size, repeats):
            found = _dynamics(_spread(levels[0], std), levels[0], std, size, repeats)
            for s, t in pairwise(levels):
                found = _dynamics(found * (t[0] / s[0]) ** 2, t, std, size, repeats)
            return found
        case MultistepConsistency():
            found = _spread(levels[0], std)
            for s, t in pairwise(levels):
                found = (t[0] * s[0] * std**2 / _spread(s, std)) ** 2 * found + t[1] ** 2
            return found
        case Corrector(base, snr, repeats) if base.order > 0:
            found = _spread(levels[0], std)
            for s, t in pairwise(levels):
                found *= _spread(t, std) / _spread(s, std)
                found = _dynamics(found, t, std, 4 * snr**2, repeats)
            return found
        case Tempered(DDPM("lower", scale, decay), temperature):
            return _ancestral(levels, std, lambda left: temperature * scale * FADES[decay](left))
        case DDPM("lower", scale, decay):
            return _ancestral(levels, std, lambda left: scale * FADES[decay](left))
        case _:
            raise TypeError(f"no recursion is known for the variance that {solver} should reach")
