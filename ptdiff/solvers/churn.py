"""Churn: fresh noise before every step of a solver (Karras et al. 2022, algorithm 2)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise

from ptdiff.process import Level
from ptdiff.solvers.restart import joined, levels_of, order_alone, takes_parts
from ptdiff.solvers.runge_kutta import Heun
from ptdiff.solvers.table import Pair, Solver, Table, pairs


@dataclass(frozen=True)
class Churn:
    """EDM's stochastic sampler around any solver: fresh noise before every step (Karras et al. 2022).

    Noise raises rho = sigma / alpha by the factor 1 + gamma, gamma = min(amount / steps, sqrt(2) - 1).
    ``base``: the solver of each step; it sees single steps, so a multistep method has no earlier estimates.
    ``amount``: S_churn of the paper.  With fewer than amount / 0.41 steps gamma is capped, and the error falls more
    slowly than the order promises.
    ``low``, ``high``: only levels with rho in [low, high] are raised (S_min and S_max).
    ``noise``: factor of the standard deviation of the added noise (S_noise).
    All in units of unit-variance data; the paper's data has standard deviation 0.5, so rho is twice its sigma.
    """

    base: Solver = field(default_factory=Heun)
    amount: float = 40.0
    low: float = 0.1
    high: float = 100.0
    noise: float = 1.0

    def __post_init__(self) -> None:
        takes_parts("churn", self.base)
        if not (math.isfinite(self.amount) and self.amount >= 0):
            raise ValueError(f"amount must be finite and at least 0, not {self.amount}")
        if not 0 <= self.low < self.high:
            raise ValueError(f"churn needs 0 <= low < high, not low {self.low} and high {self.high}")
        if not (math.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"noise must be finite and at least 0, not {self.noise}")

    @property
    def order(self) -> int:
        """Order of the base on a single step; 0 if ``noise`` is not 1, because the bias remains."""
        return order_alone(self.base) if self.noise == 1 else 0

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first: each step of the base from its raised level."""
        found = pairs(levels)
        gamma = min(self.amount / (len(found) - 1), math.sqrt(2) - 1)
        parts = [self.base.table(levels_of([self._raised(s, gamma), t])) for s, t in pairwise(found)]
        return joined(found[0], parts, self.noise)

    def _raised(self, s: Pair, gamma: float) -> Pair:
        # pure noise, rho infinite, is above every high
        return (s[0], s[1] * (1 + gamma)) if self.low * s[0] <= s[1] <= self.high * s[0] else s
