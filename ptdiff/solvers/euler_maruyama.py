"""Euler-Maruyama: Euler's method for the reverse SDE in a chart.

In a chart of :mod:`ptdiff.solvers.runge_kutta`, y = x / scale, a and b are alpha and sigma over the scale, and the SDE
of :mod:`ptdiff.solvers.stochastic` is

    dy = (p y + q D) du + eta (y - a D) d log rho + sqrt(2 eta) b dw,    w in the time -log rho

The reverse SDE is stiff near pure noise: in the charts angle and flow, steps that more than halve rho are unstable.
Out of pure noise and into the clean level the step is that of DDPM, exact for a constant estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from ptdiff.process import Level
from ptdiff.solvers.ancestral import decay
from ptdiff.solvers.runge_kutta import Chart, _level, _position, _slope
from ptdiff.solvers.stochastic import check_eta, sde_step
from ptdiff.solvers.table import Draw, Pair, Stage, Table, closed, pairs


@dataclass(frozen=True)
class EulerMaruyama:
    """Euler-Maruyama on the reverse SDE (Song et al. 2021, eq. 6).

    ``chart``: variable of integration.  ``eta``: factor of the variance of the noise, finite and at least 0.
    """

    chart: Chart = "noise"
    eta: float = 1.0

    def __post_init__(self) -> None:
        check_eta(self.eta)

    @property
    def order(self) -> int:
        """Weak order of convergence."""
        return 1

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first: one call and one draw per step."""
        found = pairs(levels)
        stages = [Stage(1.0, level=found[0])]
        for s, t in pairwise(found):
            stages.append(self._step(s, t) if decay(s, t) > 0 else sde_step(s, t, self.eta))
        return closed(stages, found)

    def _step(self, s: Pair, t: Pair) -> Stage:
        (u, scale), (u_end, scale_end) = _position(self.chart, s), _position(self.chart, t)
        (a, b), (p, q), h = _level(self.chart, u), _slope(self.chart, u), u_end - u
        # d log rho = du / (a b) in every chart but the logarithmic one
        stir = self.eta * h * (1 if self.chart == "log" else 1 / (a * b))
        keep, mix = 1 + h * p + stir, h * q - stir * a
        noise = ((Draw(s, t), scale_end * b * math.sqrt(-2 * stir)),) if stir else ()
        return Stage(scale_end * keep / scale, (scale_end * mix,), noise, level=t)
