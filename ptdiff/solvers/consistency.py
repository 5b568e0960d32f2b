"""Multistep consistency sampling: to the data in one step, back to less noise than before, and again."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ptdiff.process import Level
from ptdiff.solvers.table import Draw, Stage, Table, closed, pairs


@dataclass(frozen=True)
class MultistepConsistency:
    """Multistep consistency sampling (Song et al. 2023, algorithm 1) of networks trained for it: one step is D itself.

    x_t = alpha_t D + sigma_t z, z new in every step.  Where D is the exact end of the flow, every x_t has the
    distribution of its level, whatever the steps.  A posterior mean is too narrow, and no number of steps mends that.
    """

    @property
    def order(self) -> int:
        """0: towards the data with an exact D in any number of steps, towards something else with a posterior mean."""
        return 0

    def table(self, levels: Level) -> Table:
        found = pairs(levels)
        stages = [Stage(keep=1.0, level=found[0])]
        for s, t in pairwise(found):
            noise = ((Draw(s, t, fresh=0), t[1]),) if t[1] else ()
            stages.append(Stage(keep=0.0, mix=(t[0],), noise=noise, level=t))
        return closed(stages, found)
