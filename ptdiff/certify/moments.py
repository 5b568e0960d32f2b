"""Exact moments of a table on Gaussian data: the effect of a solver on a distribution, without sampling.

For one element x_0 ~ N(mean, std^2), s^2 = std^2, E[x_0 | x] is affine in x.  Every stage of a table is affine in x,
the estimates and the draws, and so is every quantity of the run.  With the start and the draws as independent standard
normal numbers z_0, z_1, …, a quantity is the row of its coefficients,

    value = row_0 + sum_k row_(k+1) z_k,     mean row_0, variance sum_k row_(k+1)^2

which one pass over the table computes.  There is no Monte Carlo error and no time-stepping error except the table's
own, so weak orders are slopes accurate to three digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ptdiff.solvers.table import Draw, Table

Row = NDArray[np.float64]


def coefficients(table: Table, mean: float, std: float) -> Row:
    """The end of a run as a row over (1, start, draws in the order of ``table.draws``), float64 (2 + draws,).

    The start is alpha mean + hypot(alpha std, sigma) z_0, the distribution of x at the first level.  Raises ValueError
    if draws of the path overlap or two steps use one fresh draw, because they would not be independent.
    """
    _disjoint(table.draws)
    _apart(table)
    index = {draw: k for k, draw in enumerate(table.draws, 2)}
    alpha, sigma = table.levels[0]
    x = np.zeros(2 + len(index))
    x[:2] = alpha * mean, math.hypot(alpha * std, sigma)
    newest: list[Row] = []
    past: list[Row] = []
    for stage in table.stages:
        point = stage.keep * x
        for weight, estimate in [*zip(stage.mix, newest, strict=False), *zip(stage.back, past, strict=False)]:
            point = point + weight * estimate
        for draw, weight in stage.noise:
            if weight:
                point[index[draw]] += weight
        if stage.advance:
            past.insert(0, x)
            x = point
        if stage.level is not None:
            newest.insert(0, _denoised(point, stage.level, mean, std))
            del newest[table.history :]
    return x


def moments(table: Table, mean: float, std: float) -> tuple[float, float]:
    """Mean and variance of x at the end of ``table``, for data N(mean, std^2) and the exact start.

    >>> from ptdiff.grid import grid
    >>> from ptdiff.process import Flow
    >>> from ptdiff.solvers.exponential import DDPM
    >>> print("%.4f %.4f" % moments(DDPM().table(grid(Flow(), 1000)), 0.3, 0.5))
    0.3000 0.2483
    """
    row = coefficients(table, mean, std)
    return float(row[0]), float(np.square(row[1:]).sum())


def _denoised(point: Row, level: tuple[float, float], mean: float, std: float) -> Row:
    alpha, sigma = level
    spread = (alpha * std) ** 2 + sigma**2
    gain = alpha * std**2 / spread if spread else 0.0
    row = gain * point
    row[0] += mean - gain * alpha * mean
    return row


def _disjoint(draws: Sequence[Draw]) -> None:
    spans = sorted(draw.span for draw in draws if draw.fresh is None)
    for (_, end), (start, _) in pairwise(spans):
        # neighboring draws share a level, but it may have been computed twice, with different rounding
        if start < end and not math.isclose(start, end, rel_tol=1e-9):
            raise ValueError(f"draws of the path overlap: one ends at SNR {end:.6g}, the next starts at {start:.6g}")


def _apart(table: Table) -> None:
    step = 0
    used: dict[Draw, int] = {}
    for stage in table.stages:
        for draw, weight in stage.noise:
            if weight and draw.fresh is not None and used.setdefault(draw, step) != step:
                raise ValueError(f"steps {used[draw]} and {step} of the table use one fresh draw: {draw}")
        step += stage.advance
