"""Exponential integrators of the reverse SDE: its linear part is solved exactly, E[x_0|x] is interpolated.

With rho = sigma / alpha, lambda = -log rho, y = x / alpha and w running backward in time,

    dy = (1 + eta) (y - D) / rho d rho + sqrt(2 eta rho) dw

has the same marginals for every eta >= 0: 0 is the probability flow, 1 the reverse SDE (Song et al. 2021, eq. 6).  eta
multiplies the variance of the noise, as in k-diffusion's dpmpp_2m_sde and 3m_sde; SA-Solver's tau is its square root.
For D constant over the step s -> t, with h = lambda_t - lambda_s and q = exp(-h) = rho_t / rho_s (0 out of pure noise
and into the clean level),

    x_t = (sigma_t / sigma_s) q^eta x_s + alpha_t (1 - q^(1 + eta)) D + sigma_t sqrt(1 - q^(2 eta)) z

For eta = 1 the noise is sigma_t rho_t (W(1 / rho_t^2) - W(1 / rho_s^2)), a Brownian path in SNR time.  Out of pure
noise and into the clean level, where h is infinite, every method takes this step and then starts over.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from ptdiff.process import Level
from ptdiff.solvers.ancestral import between, decay
from ptdiff.solvers.table import Draw, Pair, Stage, Table, closed, pairs
from ptdiff.solvers.weights import exponential_moments


def check_eta(eta: float) -> None:
    """Raise ValueError unless ``eta`` is finite and at least 0."""
    if not (math.isfinite(eta) and eta >= 0):
        raise ValueError(f"eta must be finite and at least 0, not {eta}")


def noise(eta: float, *levels: Pair) -> tuple[tuple[Draw, float], ...]:
    """Weighted draws in x at the last of ``levels``: one per interval between neighbors, none at a clean level."""
    end = levels[-1]
    if end[1] == 0:
        return ()
    weights = ((a, b, end[1] * decay(b, end) ** eta * _spread(decay(a, b) ** eta)) for a, b in pairwise(levels))
    return tuple((Draw(a, b), weight) for a, b, weight in weights if weight)


def _spread(q: float) -> float:
    return math.sqrt((1 - q) * (1 + q))


def sde_step(s: Pair, t: Pair, eta: float) -> Stage:
    """The step from s to t with one estimate; finite out of pure noise and into the clean level."""
    q = decay(s, t)
    return Stage(t[1] / s[1] * q**eta, (t[0] * (1 - q ** (1 + eta)),), noise(eta, s, t), level=t)


@dataclass(frozen=True)
class DPMppSDE:
    """DPM-Solver++(SDE) with two stages, two calls per step (k-diffusion's dpmpp_sde).

    Both stages share one Brownian path, which gives weak order 2; with independent noise it would be 1.
    ``eta``: factor of the variance of the noise, finite and at least 0.  ``r``: position of the inner stage, as a
    fraction of the step in lambda, in (0, 1).
    """

    eta: float = 1.0
    r: float = 0.5

    def __post_init__(self) -> None:
        check_eta(self.eta)
        if not 0 < self.r < 1:
            raise ValueError(f"r must lie in (0, 1), not {self.r}")

    @property
    def order(self) -> int:
        """Weak order of convergence."""
        return 2

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        stages = [Stage(1.0, level=found[0])]
        for s, t in pairwise(found):
            whole = sde_step(s, t, self.eta)
            if decay(s, t) == 0:
                stages.append(whole)
                continue
            middle = between(s, t, self.r)
            inner, late = sde_step(s, middle, self.eta), 1 / (2 * self.r)
            mix = tuple(whole.mix[0] * share for share in (late, 1 - late) if share)
            stages.append(replace(inner, level=middle, advance=False))
            stages.append(replace(whole, mix=mix, noise=noise(self.eta, s, middle, t)))
        return closed(stages, found)


@dataclass(frozen=True)
class _Multistep(ABC):
    """One call per step; ``_weights`` are those of the newest estimates in an SDE step of length H = (1 + eta) h."""

    eta: float = 1.0

    def __post_init__(self) -> None:
        check_eta(self.eta)

    @property
    def order(self) -> int:
        """Weak order of convergence."""
        return 2

    def table(self, levels: Level) -> Table:
        """Table for ``levels`` (n + 1,), noisiest first."""
        found = pairs(levels)
        stages = [Stage(1.0, level=found[0])]
        # the finite steps before this one, newest first
        before: list[float] = []
        for s, t in pairwise(found):
            stage, q = sde_step(s, t, self.eta), decay(s, t)
            h = -math.log(q) if q > 0 else math.inf
            if before and q > 0:
                weights = self._weights((1 + self.eta) * h, [step / h for step in before])
                stage = replace(stage, mix=tuple(t[0] * weight for weight in weights))
            stages.append(stage)
            before = [h, *before] if q > 0 else []
        return closed(stages, found)

    @abstractmethod
    def _weights(self, length: float, ratios: list[float]) -> tuple[float, ...]:
        """Weights of the estimates, newest first; ``ratios``: lengths of earlier steps over this one, newest first."""


@dataclass(frozen=True)
class DPMpp2MSDE(_Multistep):
    """DPM-Solver++(2M) for the reverse SDE: D extrapolated from two calls (k-diffusion's dpmpp_2m_sde).

    ``eta``: factor of the variance of the noise, finite and at least 0.
    ``kind``: treatment of the slope of D, by the midpoint rule or exactly ("heun" in k-diffusion).
    """

    kind: Literal["midpoint", "heun"] = "midpoint"

    def _weights(self, length: float, ratios: list[float]) -> tuple[float, ...]:
        first, second = (length * moment for moment in exponential_moments(length, 2))
        slope = (first / 2 if self.kind == "midpoint" else second) / ratios[0]
        return first + slope, -slope


@dataclass(frozen=True)
class DPMpp3MSDE(_Multistep):
    """DPM-Solver++(3M) for the reverse SDE: D interpolated through three calls (k-diffusion's dpmpp_3m_sde).

    As published, with half the curvature of the parabola; the weak order is 2 either way.  ``eta``: factor of the
    variance of the noise, finite and at least 0.
    """

    def _weights(self, length: float, ratios: list[float]) -> tuple[float, ...]:
        first, second, third = (length * moment for moment in exponential_moments(length, 3))
        if len(ratios) == 1:
            return first + second / ratios[0], -second / ratios[0]
        near, far = ratios[:2]
        # slope = (1 + bend) d_0 - bend d_1 and curvature (d_0 - d_1) / (near + far), d_i the divided differences
        bend = second * near / (near + far) + third / 2 / (near + far)
        d0, d1 = (second + bend) / near, -bend / far
        return first + d0, d1 - d0, -d1
