"""Multistep consistency sampling: jump to the data, add less noise than before, repeat."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from ptdiff.process import Level
from ptdiff.solvers.table import Draw, Stage, Table, closed, pairs


@dataclass(frozen=True)
class MultistepConsistency:
    """Multistep sampling of consistency models (Song et al. 2023, algorithm 1), one call per step.

    x_t = alpha_t D + sigma_t z with fresh z in every step.  If D is the exact end of the flow, every x_t has the
    distribution of its level, for any grid.  With a posterior mean instead, samples are too narrow, however many steps
    there are.
    """

    @property
    def order(self) -> int:
        """0: the limit is the data only if D is the exact end of the flow, and then for any number of steps."""
        return 0

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first: one stage and one fresh draw per step."""
        found = pairs(levels)
        stages = [Stage(keep=1.0, level=found[0])]
        for s, t in pairwise(found):
            noise = ((Draw(s, t, fresh=0), t[1]),) if t[1] else ()
            stages.append(Stage(keep=0.0, mix=(t[0],), noise=noise, level=t))
        return closed(stages, found)
