"""Inverse problems: a denoiser becomes one conditioned on an observation, Denoiser -> Denoiser.

    y = A x_0 + noise z                                 an Observation
    D, J, V = sigma^2/alpha J                           E[x_0|x], its Jacobian, and Cov[x_0|x]
    (ptdiff/denoiser/posterior.py) s^2 = sigma^2 / (alpha^2 + sigma^2)                 Cov[x_0|x] of unit-variance white
    data

If x_0 given x is approximated as normal with mean D and covariance C, then

    E[x_0 | x, y] = D + V A* (A C A* + noise^2)^-1 (y - A D)

and the methods differ in their V and C:

    method        V         C                calls   exact for                          paper
    replacement   s^2       s^2              1       unit-variance white data           Song 2021, DDNM, DiffPIR
    pigdm         V         s^2              2       unit-variance white data           Song et al. 2023
    tmpd          V         diag(V 1)        3       data with independent elements     Boys et al. 2023
    mmps          V         V                2 + n   every Gaussian                     Rozet et al. 2024
    dps           V         a step size instead      nothing                            Chung et al. 2023

The system is solved by n steps of conjugate gradients, separately for each sample.  Everything is finite at alpha = 0,
where V is the identity, and at sigma = 0, where the estimate is unchanged.

Replacing the known entries of x_0 replaces those of x: every exponential solver maps them to alpha y + sigma eps with
the noise from its start or drawn since.  RePaint is replacement with a solver that jumps back in time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.denoiser.cost import calls
from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.posterior import dot, ordinary, posterior
from ptdiff.inverse.operators import Observation
from ptdiff.modality.data import Condition
from ptdiff.process import Level

Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Method(ABC):
    """A way to condition on an observation: ``method.given(observation, denoiser)`` is a denoiser."""

    def given(self, observation: Observation, denoiser: Denoiser) -> Denoiser:
        """The denoiser of the data given the observation."""
        return Observed(denoiser, observation, self)

    @property
    @abstractmethod
    def evaluations(self) -> int:
        """Evaluations of the denoiser per call; a backward pass counts as one."""

    @abstractmethod
    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """E[x_0 | x, y], shaped like x."""


@dataclass(frozen=True)
class Observed:
    """A denoiser, an observation, and the method that combines them."""

    denoiser: Denoiser
    observation: Observation
    method: Method

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        return self.method.estimate(self.denoiser, self.observation, x, level, cond)

    def calls_at(self, level: tuple[float, float]) -> int:
        """Calls of the denoiser times evaluations of the method."""
        return calls(self.denoiser, level) * self.method.evaluations


def white(level: Level, x: Tensor) -> Tensor:
    """s^2 = sigma^2 / (alpha^2 + sigma^2), broadcast against x."""
    wide = level.like(x)
    return wide.sigma.square() / (wide.alpha.square() + wide.sigma.square())


def solve(product: Product, right: Tensor, steps: int) -> Tensor:
    """Solve ``product(v) = right`` (b, …) by conjugate gradients from zero, separately for each sample.

    Runs exactly ``steps`` steps, so nothing waits for convergence; a sample that has converged is left unchanged.
    """
    found, rest, move = torch.zeros_like(right), right, right
    size = dot(rest, rest)
    # a residual below rounding error cannot be improved, and further steps would only add noise
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
    """Replaces the estimate by the observation, without derivatives: inpainting, DDNM, DiffPIR.

    (Song et al. 2021; Wang et al. 2022; Zhu et al. 2023.)  A noisy observation is weighted against the estimate.
    ``steps``: conjugate-gradient steps, which call no network here; one is enough for a mask.
    """

    @property
    def evaluations(self) -> int:
        """One: a forward pass."""
        return 1

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """E[x_0 | x, y] with V = C = s^2."""
        mean, spread = denoiser(x, level, cond), white(level, x)
        return mean + spread * _correction(seen, mean, lambda v: v * spread, self.steps)


@dataclass(frozen=True)
class PiGDM(_Solved):
    """Pseudo-inverse guidance, with the covariance of white data behind the operator (Song et al. 2023).

    ``steps``: conjugate-gradient steps, which call no network here; one is enough for a mask.
    """

    @property
    def evaluations(self) -> int:
        """Two: a forward and a backward pass."""
        return 2

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """E[x_0 | x, y] with C = s^2."""
        belief, spread = posterior(denoiser, x, level, cond), white(level, x)
        return belief.mean + belief.covariance(_correction(seen, belief.mean, lambda v: v * spread, self.steps))


@dataclass(frozen=True)
class TMPD(_Solved):
    """Tweedie moment projection, with the row sums of the covariance as its diagonal (Boys et al. 2023).

    ``steps``: conjugate-gradient steps, which call no network here; one is enough for a mask without noise.
    """

    @property
    def evaluations(self) -> int:
        """Three: a forward and two backward passes."""
        return 3

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """E[x_0 | x, y] with C = diag(V 1)."""
        belief = posterior(denoiser, x, level, cond)
        # a negative row sum is not a variance
        rows = belief.covariance(torch.ones_like(belief.mean)).clamp(min=0)
        return belief.mean + belief.covariance(_correction(seen, belief.mean, lambda v: v * rows, self.steps))


@dataclass(frozen=True)
class MMPS(_Solved):
    """Moment matching with the full covariance, through its products (Rozet et al. 2024).

    ``steps``: conjugate-gradient steps, of one backward pass each; exact for Gaussian data with as many steps as
    observed elements.
    """

    steps: int = 3

    @property
    def evaluations(self) -> int:
        """2 + ``steps``: a forward pass, and a backward pass for each step and for the result."""
        return 2 + self.steps

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """E[x_0 | x, y] with C = V."""
        belief = posterior(denoiser, x, level, cond)
        return belief.mean + belief.covariance(_correction(seen, belief.mean, belief.covariance, self.steps))


@dataclass(frozen=True)
class DPS(Method):
    """Diffusion posterior sampling along the gradient of |y - A D| (Chung et al. 2023, algorithm 1).

    ``scale``: step size on the score, so that it means the same under every solver; finite and at least 0.  The noise
    of the observation is not used.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.scale < float("inf"):
            raise ValueError(f"scale must be finite and at least 0, not {self.scale}")

    @property
    def evaluations(self) -> int:
        """Two: a forward and a backward pass."""
        return 2

    def estimate(self, denoiser: Denoiser, seen: Observation, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """D + scale V A* (y - A D) / |y - A D|."""
        belief = posterior(denoiser, x, level, cond)
        gap = ordinary(seen.y).to(belief.mean) - seen.operator(belief.mean)
        size = dot(gap, gap).sqrt()
        unit = gap / torch.where(size > 0, size, 1)
        return belief.mean + belief.covariance(seen.operator.adjoint(unit)) * self.scale


METHODS: Catalog[type[Method]] = Catalog(
    "inverse method",
    {
        "replacement": Replacement,
        "pigdm": PiGDM,
        "tmpd": TMPD,
        "mmps": MMPS,
        "dps": DPS,
    },
)
