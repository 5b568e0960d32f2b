"""Inverse problems: a denoiser of data becomes one of data that was observed, Denoiser -> Denoiser.

    y = A x_0 + noise z                                 an Observation
    D, J, V = sigma^2/alpha J                           E[x_0|x], its Jacobian, and Cov[x_0|x]
    (ptdiff/denoiser/posterior.py) s^2 = sigma^2 / (alpha^2 + sigma^2)                 Cov[x_0|x] of unit-variance white
    data

If x_0 given x is taken as normal with mean D and covariance C, then

    E[x_0 | x, y] = D + V A* (A C A* + noise^2)^-1 (y - A D)

and the methods differ in what they put for V and C:

    method        V         C                calls   exact for                          paper
    replacement   s^2       s^2              1       unit-variance white data           Song 2021, DDNM, DiffPIR
    pigdm         V         s^2              2       unit-variance white data           Song et al. 2023
    tmpd          V         diag(V 1)        3       data with independent elements     Boys et al. 2023
    mmps          V         V                2 + n   every Gaussian                     Rozet et al. 2024
    dps           V         a step size instead      nothing                            Chung et al. 2023

The system is solved by n steps of conjugate gradients, each sample its own.  All of it is finite at alpha = 0, where V
is the identity, and at sigma = 0, where the estimate stays as it is.

Replacing the known entries of x_0 replaces those of x: every exponential solver takes them to alpha y + sigma eps with
the noise it started from, or has drawn since.  RePaint is replacement with a solver that jumps back in time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.posterior import dot, ordinary, posterior
from ptdiff.inverse.operators import Observation
from ptdiff.modality.data import Condition
from ptdiff.process import Level

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Method(ABC):
    """A way to take an observation into account: ``method.given(observation, denoiser)`` is a denoiser."""

    def given(self, observation: Observation, denoiser: Denoiser) -> Denoiser:
        """The denoiser of the data, given the observation."""
        return Observed(denoiser, observation, self)

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """Evaluations of the denoiser for one call; a backward pass counts as one."""

    @abstractmethod
    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """E[x_0 | x, y], shaped like x."""


@dataclass(frozen=True)
class Observed:
    """A denoiser, what was observed, and the method that joins them."""

    denoiser: Denoiser
    observation: Observation
    method: Method

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        return self.method.estimate(self.denoiser, self.observation, x, level, cond)

    def calls_at(self, level: tuple[float, float]) -> int:
        """Those of the denoiser, times those of the method."""
        return calls(self.denoiser, level) * self.method.evaluations


def white(level: Level, x: Tensor) -> Tensor:
    """s^2, broadcast against x."""
    wide = level.like(x)
    return wide.sigma.square() / (wide.alpha.square() + wide.sigma.square())


def solve(product: Product, right: Tensor, steps: int) -> Tensor:
    """Conjugate gradients on ``product(v) = right`` (b, …) from zero, each sample its own, without waiting for any."""
    found, rest, move = torch.zeros_like(right), right, right
    size = dot(rest, rest)
    # below rounding nothing is left to gain, and what would follow is noise
    enough = size * torch.finfo(right.dtype).eps ** 2
    for _ in range(steps):
        moved = product(move)
        bend = dot(move, moved)
        active = (bend > 0) & (size > enough)
        step = torch.where(active, size / torch.where(active, bend, 1), 0)
        found, rest = found + move * step, rest - moved * step
        before, size = size, dot(rest, rest)
        move = rest + move * torch.where(active, size / torch.where(active, before, 1), 0)
    return found


def _correction(seen: Observation, mean: Tensor, spread: Product, steps: int) -> Tensor:
    """A* (A C A* + noise^2)^-1 (y - A mean), with ``spread`` for the product with C."""
    apply, adjoint, variance = seen.operator, seen.operator.adjoint, seen.noise**2
    gap = ordinary(seen.y).to(mean) - apply(mean)
    return adjoint(solve(lambda v: apply(spread(adjoint(v))) + v * variance, gap, steps))


@dataclass(frozen=True)
class _Solved(Method):
    steps: int = 8

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, not {self.steps}")


@dataclass(frozen=True)
class Replacement(_Solved):
    """What is observed replaces what was estimated, without derivatives: inpainting, DDNM, DiffPIR.

    (Song et al. 2021; Wang et al. 2022; Zhu et al. 2023.)  A noisy observation is weighed against the estimate.
    steps: of conjugate gradients, which here call no network; one is enough for a mask.
    """

    @property
    def evaluations(self) -> int:
        return 1

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        mean, spread = denoiser(x, level, cond), white(level, x)
        return mean + spread * _correction(seen, mean, lambda v: v * spread, self.steps)


@dataclass(frozen=True)
class PiGDM(_Solved):
    """Pseudo-inverse guidance: the covariance of white data behind the operator (Song et al. 2023, PiGDM).

    steps: of conjugate gradients, which here call no network; one is enough for a mask.
    """

    @property
    def evaluations(self) -> int:
        return 2

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        belief, spread = posterior(denoiser, x, level, cond), white(level, x)
        return belief.mean + belief.covariance(_correction(seen, belief.mean, lambda v: v * spread, self.steps))


@dataclass(frozen=True)
class TMPD(_Solved):
    """Tweedie moment projection: the row sums of the covariance as its diagonal (Boys et al. 2023).

    steps: of conjugate gradients, which here call no network; one is enough for a mask where there is no noise.
    """

    @property
    def evaluations(self) -> int:
        return 3

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        belief = posterior(denoiser, x, level, cond)
        # a sum below zero is no variance
        rows = belief.covariance(torch.ones_like(belief.mean)).clamp(min=0)
        return belief.mean + belief.covariance(_correction(seen, belief.mean, lambda v: v * rows, self.steps))


@dataclass(frozen=True)
class MMPS(_Solved):
    """Moment matching: the covariance itself, by its products (Rozet et al. 2024).

    steps: of conjugate gradients, one backward pass each; exact for Gaussian data with as many as there are
    observations.
    """

    steps: int = 3

    @property
    def evaluations(self) -> int:
        return 2 + self.steps

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        belief = posterior(denoiser, x, level, cond)
        return belief.mean + belief.covariance(_correction(seen, belief.mean, belief.covariance, self.steps))


@dataclass(frozen=True)
class DPS(Method):
    """Posterior sampling along the gradient of |y - A D|, with a step size (Chung et al. 2023, algorithm 1).

    scale: the step on the score, so that it means the same under every solver; the noise of the observation is not
    used.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < float("inf"):
            raise ValueError(f"scale must be finite and not negative, not {self.scale}")

    @property
    def evaluations(self) -> int:
        return 2

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        belief = posterior(denoiser, x, level, cond)
        gap = ordinary(seen.y).to(belief.mean) - seen.operator(belief.mean)
        size = dot(gap, gap).sqrt()
        unit = gap / torch.where(size > 0, size, 1)
        return belief.mean + belief.covariance(seen.operator.adjoint(unit)) * self.scale


METHODS: dict[str, type[Method]] = {
    "replacement": Replacement,
    "pigdm": PiGDM,
    "tmpd": TMPD,
    "mmps": MMPS,
    "dps": DPS,
}
