"""Temperature: scales the noise of a stochastic solver."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from ptdiff.process import Level
from ptdiff.solvers.exponential import DDPM
from ptdiff.solvers.table import Solver, Table


@dataclass(frozen=True)
class Tempered:
    """A stochastic solver with its noise scaled by a temperature (s_noise in k-diffusion).

    ``base``: the solver.
    ``temperature``: factor of the standard deviation of the noise, finite and at least 0; 1 changes nothing.  Below 1,
    samples are smoother and less diverse than the data.  The noise at the start is not scaled.
    """

    base: Solver = field(default_factory=DDPM)
    temperature: float = 0.95

    def __post_init__(self) -> None:
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError(f"temperature must be finite and at least 0, not {self.temperature}")

    @property
    def order(self) -> int:
        """Order of the base at temperature 1; otherwise 0, because the limit is not the data."""
        return self.base.order if self.temperature == 1 else 0

    def table(self, levels: Level) -> Table:
        """Table of the base for ``levels`` (n + 1,) with scaled noise."""
        table = self.base.table(levels)
        scaled = (
            replace(stage, noise=tuple((draw, weight * self.temperature) for draw, weight in stage.noise))
            for stage in table.stages
        )
        return replace(table, stages=tuple(scaled))
