"""Slopes: the rate at which errors fall with the number of steps.

    slope = log2(error(n) / error(2 n))                     for n doubled until two slopes in a row are near the order

An order is asymptotic: at first a slope may be above it (a method of order 3 after a first step of order 1 begins with
3 and ends with 2) or below.  So a single pair of errors is not trusted, and a slope that is not near the declared one
may take thousands of steps to get there before it counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

NEAR = 0.14
"""Distance from the declared order within which two slopes in a row are trusted."""
FIRST = {1: 64, 2: 40, 3: 32, 4: 24}
MOST = 2048

Errors = Callable[[Sequence[int], int], Sequence[float]]
"""Maps the indices of cases and a number of steps to the error of each case."""


def _slope(errors: Sequence[float], order: int, above: bool, floor: float) -> float | None:
    """The slope if it can be trusted; None if more steps are needed."""
    if not math.isfinite(errors[-1]):
        return math.nan
    slopes = [math.log2(coarse / fine) for coarse, fine in pairwise(errors) if fine >= floor]
    if errors[-1] < floor:
        return slopes[-1] if slopes else math.inf
    near = len(slopes) > 1 and all(slope - order > -NEAR and (above or slope - order < NEAR) for slope in slopes[-2:])
    return slopes[-1] if near else None


def slopes(
    errors: Errors, cases: int, order: int, above: bool = False, floor: float = 1e-13, most: int = MOST
) -> list[float]:
    """The slope of each of ``cases`` for a declared order; with ``above``, higher slopes are accepted too.

    ``floor``: errors below it are rounding, or errors of the reference.

    Infinite if the error is zero from the start, NaN if it is not finite, and the last slope if none comes near the
    order within ``most`` steps or before rounding.
    """
    ladders: list[list[float]] = [[] for _ in range(cases)]
    found: list[float | None] = [None] * cases
    n = FIRST.get(order, 16)
    while n <= most and None in found:
        open_ = [i for i, slope in enumerate(found) if slope is None]
        for i, error in zip(open_, errors(open_, n), strict=True):
            ladders[i].append(error)
            found[i] = _slope(ladders[i], order, above, floor)
        n *= 2
    return [
        math.log2(ladder[-2] / ladder[-1]) if slope is None else slope
        for slope, ladder in zip(found, ladders, strict=True)
    ]
