"""Ancestral samplers: a deterministic step to below the next level, then fresh noise up to it.

For a step s -> t with rho = sigma / alpha and q = rho_t / rho_s, the noise has the standard deviation

    std = eta sigma_t sqrt(1 - q^2)

and the deterministic step ends at (alpha_t, down), down = sqrt(sigma_t^2 - std^2).  With eta = 1, std^2 is the variance
of the posterior q(x_t | x_s, x_0).  Here eta multiplies a standard deviation in every step, as in DDIM and in
k-diffusion's ancestral samplers; in :mod:`ptdiff.solvers.stochastic` it multiplies the variance of the reverse SDE.
The two agree at 0 and 1.  In between, ancestral noise vanishes as steps get shorter, and the noise of the SDE does not.

Out of pure noise and into the clean level, h = -log q is infinite and has no midpoint; there all methods take an Euler
step.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from ptdiff.process import Level
from ptdiff.solvers.table import Draw, Pair, Stage, Table, closed, pairs


def decay(s: Pair, t: Pair) -> float:
    """q = rho_t / rho_s for a step s -> t: 0 out of pure noise and into the clean level."""
    return (t[1] * s[0]) / (t[0] * s[1])


def between(s: Pair, t: Pair, share: float) -> Pair:
    """The level at a fraction ``share`` of the way from s to t in log rho, scaled to alpha^2 + sigma^2 = 1.

    Both s and t must have finite log rho.
    """
    ratio = s[1] / s[0] * decay(s, t) ** share
    r = math.hypot(1, ratio)
    return 1 / r, ratio / r


def euler(s: Pair, t: Pair) -> Stage:
    """The Euler step from s to t with one estimate (DDIM)."""
    keep = t[1] / s[1]
    return Stage(keep, (t[0] - keep * s[0],), level=t)


@dataclass(frozen=True)
class EulerAncestral:
    """Euler with ancestral noise (k-diffusion's euler_ancestral), equal to DDIM with the same eta.

    ``eta``: factor of the standard deviation of the noise, in [0, 1].
    """

    eta: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise ValueError(f"eta must lie in [0, 1], not {self.eta}")

    @property
    def order(self) -> int:
        """Weak order of convergence."""
        return 1

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first: one draw per step."""
        found = pairs(levels)
        stages = [Stage(1.0, level=found[0])]
        for s, t in pairwise(found):
            q = decay(s, t)
            std = self.eta * t[1] * math.sqrt((1 - q) * (1 + q))
            down = t[0], math.sqrt(max(0.0, t[1] ** 2 - std**2))
            moves = self._moves(s, down) if decay(s, down) > 0 else [euler(s, down)]
            noise = ((Draw(s, t), std),) if std else ()
            stages += [*moves[:-1], replace(moves[-1], noise=noise, level=t)]
        return closed(stages, found)

    def _moves(self, s: Pair, t: Pair) -> list[Stage]:
        """Stages of a deterministic step between finite levels; the last stage advances."""
        return [euler(s, t)]


@dataclass(frozen=True)
class DPM2Ancestral(EulerAncestral):
    """DPM-Solver-2 with ancestral noise (k-diffusion's dpm_2_ancestral): slope at the middle of log sigma."""

    @property
    def order(self) -> int:
        """Order of the deterministic step."""
        return 2

    def _moves(self, s: Pair, t: Pair) -> list[Stage]:
        middle = between(s, t, 0.5)
        # y = x / alpha:  y_t = y_s + (rho_t - rho_s) (y_m - D_m) / rho_m,  y_m = D + (y_s - D) rho_m / rho_s
        slope = (t[1] / t[0] - s[1] / s[0]) * middle[0] / middle[1]
        mix = -t[0] * slope, t[0] * slope * (1 - decay(s, middle))
        return [replace(euler(s, middle), advance=False), Stage(t[1] / s[1], mix)]


@dataclass(frozen=True)
class DPMpp2SAncestral(EulerAncestral):
    """DPM-Solver++(2S) with ancestral noise (k-diffusion's dpmpp_2s_ancestral).

    The deterministic step is algorithm 1 of Lu et al. 2022 (DPM-Solver++) with r = 1/2: an estimate at the middle of
    lambda.
    """

    @property
    def order(self) -> int:
        """Order of the deterministic step."""
        return 2

    def _moves(self, s: Pair, t: Pair) -> list[Stage]:
        middle = between(s, t, 0.5)
        return [replace(euler(s, middle), advance=False), Stage(t[1] / s[1], (t[0] * (1 - decay(s, t)),))]
