"""Slopes: how fast errors fall with the number of steps, measured until that has settled.

    slope = log2(error(n) / error(2 n))                     for n doubled until two slopes in a row agree

An order is asymptotic: at first a slope may lie above it (a method of order 3 behind a first step of order 1 begins
with 3 and ends with 2) or below.  So one pair of errors is not believed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

SETTLED, NEAR = 0.08, 0.1
"""Two slopes in a row agree when they differ by less than the one, or both lie within the other of what is declared."""
FLOOR = 2e-11
"""Errors below are rounding and those of the reference."""
FIRST = {1: 64, 2: 40, 3: 32, 4: 24}
MOST = 2048

Errors = Callable[[Sequence[int], int], Sequence[float]]
"""Which cases, and the number of steps, to the error of each."""


def _slope(errors: Sequence[float], order: int) -> float | None:
    """The slope that has settled; None where it takes more steps to say."""
    if not math.isfinite(errors[-1]):
        return math.nan
    slopes = [math.log2(coarse / fine) for coarse, fine in pairwise(errors) if fine >= FLOOR]
    if errors[-1] < FLOOR:
        return slopes[-1] if slopes else math.inf
    if len(slopes) < 2:
        return None
    pair = slopes[-2:]
    settled = abs(pair[1] - pair[0]) < SETTLED or all(abs(slope - order) < NEAR for slope in pair)
    return pair[1] if settled else None


def slopes(errors: Errors, cases: int, order: int) -> list[float]:
    """The slope of each of ``cases``, for a declared order, from which the first number of steps is chosen.

    Infinite where the error is zero from the start, not a number where it is not finite, and the last slope where
    nothing settles in 2048 steps.
    """
    ladders: list[list[float]] = [[] for _ in range(cases)]
    found: list[float | None] = [None] * cases
    n = FIRST.get(order, 16)
    while n <= MOST and None in found:
        unsettled = [i for i, slope in enumerate(found) if slope is None]
        for i, error in zip(unsettled, errors(unsettled, n), strict=True):
            ladders[i].append(error)
            found[i] = _slope(ladders[i], order)
        n *= 2
    return [
        math.log2(ladder[-2] / ladder[-1]) if slope is None else slope
        for slope, ladder in zip(found, ladders, strict=True)
    ]
