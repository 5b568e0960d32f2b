"""A grid: the levels that a solver visits.

A grid of n steps has n + 1 levels, noisiest first.  It ends at the clean level (1, 0), which is x_0 itself, or at the
last noisy level.  The step into the clean level replaces x by E[x_0|x] and needs no evaluation there, so no grid ever
evaluates a denoiser at sigma = 0.
"""

from __future__ import annotations

from typing import Literal

import torch

from ptdiff.choices import choose
from ptdiff.grid.catalog import SPACINGS
from ptdiff.grid.spacing import Spacing
from ptdiff.process import PROCESSES, Level, Process

End = Literal["zero", "sigma-min"]


def grid(process: Process | str, steps: int, spacing: Spacing | str = "uniform", end: End = "zero") -> Level:
    """The ``steps + 1`` levels of a grid, float64, noisiest first: sigma / alpha falls strictly.

    ``spacing``: a spacing, or its name.
    ``end``: "zero" puts the clean level (1, 0) last, after ``steps`` noisy ones; "sigma-min" has ``steps + 1`` noisy
    levels, and the result still contains the noise of the last one and is scaled by its alpha.  A process that reaches
    sigma = 0 uses a point of its spacing for the clean level; for one that stops at sigma_min (VE, a chain) the clean
    level is an additional one, as in EDM.

    ``process`` and ``spacing`` may be names from their catalogs, which stand for the default options.

    Raises UnknownName for an unknown name, and ValueError if the spacing does not have enough distinct levels.

    >>> from ptdiff.process import Flow
    >>> grid(Flow(), 4).sigma.tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, not {steps}")
    if end not in ("zero", "sigma-min"):
        raise ValueError(f"end must be zero or sigma-min, not {end!r}")
    if isinstance(process, str):
        process = choose("process", PROCESSES, {"name": process})
    if not isinstance(process, Process):
        raise TypeError(f"process must be a Process, such as ptdiff.process.Flow(), or a name, not {process!r}")
    rule: Spacing = choose("spacing", SPACINGS, {"name": spacing}) if isinstance(spacing, str) else spacing
    count = steps if end == "zero" else steps + 1
    points = rule.times(process, count)
    if float(process.sigma(points[-1:])) == 0:
        points = rule.times(process, count + 1)[:-1]
    level = process.level(points)
    alpha, sigma = level.alpha, level.sigma
    if end == "zero":
        alpha, sigma = torch.cat([alpha, alpha.new_ones(1)]), torch.cat([sigma, sigma.new_zeros(1)])
    if not (sigma[:-1] * alpha[1:] > sigma[1:] * alpha[:-1]).all():
        raise ValueError(f"{rule} does not give {steps} steps of falling noise for {process}")
    return Level(alpha, sigma)
