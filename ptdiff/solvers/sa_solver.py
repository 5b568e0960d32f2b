"""SA-Solver: stochastic Adams methods with a predictor and a corrector (Xue et al. 2023, algorithm 1).

It solves the SDE of :mod:`ptdiff.solvers.stochastic` with eta = tau^2.  Over a step of length H = (1 + eta) h in
lambda, D is the polynomial through the estimates at the last levels, integrated exactly against H exp(-H (1 - x)), 0 <=
x <= 1.  The corrector adds the estimate at the predicted point and repeats the step with the same noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from ptdiff.process import Level
from ptdiff.solvers.ancestral import decay
from ptdiff.solvers.stochastic import check_eta, sde_step
from ptdiff.solvers.table import Stage, Table, closed, pairs
from ptdiff.solvers.weights import exponential_moments, interpolation


@dataclass(frozen=True)
class SASolver:
    """SA-Solver: Adams predictor and corrector for the reverse SDE, one call per step (Xue et al. 2023).

    ``eta``: factor of the variance of the noise, finite and at least 0; the paper's tau^2.
    ``predictor``: number of estimates that the predictor interpolates, 1 to 4.
    ``corrector``: number that the corrector interpolates, 0 to 5, the new one included; 0 leaves it out.
    The estimate at the predicted point also serves the next step (PEC).
    """

    eta: float = 1.0
    predictor: int = 2
    corrector: int = 3

    def __post_init__(self) -> None:
        check_eta(self.eta)
        if not (1 <= self.predictor <= 4 and 0 <= self.corrector <= 5):
            raise ValueError(
                f"predictor must lie in [1, 4] and corrector in [0, 5], not {self.predictor} and {self.corrector}"
            )

    @property
    def order(self) -> int:
        """Weak order; the noise limits it to 2."""
        return min(2, self.predictor + 1, self.corrector) if self.corrector else min(2, self.predictor)

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        stages = [Stage(1.0, level=found[0])]
        # lambda at the finite levels since the last infinite step, newest first
        known: list[float] = []
        for s, t in pairwise(found):
            stage, q = sde_step(s, t, self.eta), decay(s, t)
            if q == 0:
                stages.append(stage)
                known = []
                continue
            known = [math.log(s[0] / s[1]), *known]
            h = -math.log(q)
            nodes = [(past - known[0]) / h for past in known]
            if not self.corrector:
                stages.append(replace(stage, mix=self._mix(t[0], h, nodes[: self.predictor])))
                continue
            stages.append(replace(stage, mix=self._mix(t[0], h, nodes[: self.predictor]), advance=False))
            stages.append(replace(stage, mix=self._mix(t[0], h, [1.0, *nodes][: self.corrector]), level=None))
        return closed(stages, found)

    def _mix(self, alpha: float, h: float, nodes: list[float]) -> tuple[float, ...]:
        length = (1 + self.eta) * h
        moments = exponential_moments(length, len(nodes))
        return tuple(alpha * length * weight for weight in interpolation(nodes, moments))
