"""Objectives: what a network is trained to make small.

    loss of a sample = mean over elements of norm(sqrt(w) (D - x_0)),   sqrt(w) (D - x_0) = sqrt(w out^2) (y - target)

w: the weighting, stated for the error of x_0 (ptdiff.objective.weighting).   y: what the network predicts
(ptdiff.denoiser.network). z = sqrt(w) (D - x_0): the weighted residual.   u(theta): learned log-variance of the error
at a level.

Every norm is z^2 for small z, so that a weighting means the same with each of them, except l1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import torch
from torch import Tensor, nn

from ptdiff.choices import Catalog, choose, described
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.density import Density
from ptdiff.modality.data import Condition
from ptdiff.objective.factors import LogDensity, Setting, Weighting, out_squared
from ptdiff.objective.weighting import WEIGHTINGS, Prediction, Uncertainty
from ptdiff.process import Level, Process

if TYPE_CHECKING:
    from ptdiff.run.config import Config


@dataclass(frozen=True)
class Loss(ABC):
    """A norm of the weighted residual; norm_p > 0 divides each sample's loss by stop-gradient (loss + norm_eps)^norm_p.

    (Geng et al. 2025, MeanFlow, section 4: there the loss is a sum over elements, here their mean; 1/2 is the pseudo-
    Huber norm of the whole residual.)
    """

    norm_p: float = field(default=0.0, kw_only=True)
    norm_eps: float = field(default=0.01, kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.norm_p < math.inf:
            raise ValueError(f"norm_p must be at least 0 and finite, not {self.norm_p}")
        _positive(norm_eps=self.norm_eps)

    def __call__(self, residual: Tensor, weight: Tensor) -> Tensor:
        """The losses (b,) of residuals y - target (b, …) whose squares weigh ``weight``, () or (b,)."""
        losses = self.mean(residual, weight)
        if self.norm_p == 0:
            return losses
        return losses / (losses.detach() + self.norm_eps).pow(self.norm_p)

    @abstractmethod
    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        """Mean of the norm over the elements, (b,)."""


@dataclass(frozen=True)
class L2(Loss):
    """z^2, least at the posterior mean."""

    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        return residual.square().flatten(1).mean(dim=1) * weight


@dataclass(frozen=True)
class L1(Loss):
    """|z|, least at the posterior median of each element: samples lose their outliers."""

    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        return residual.abs().flatten(1).mean(dim=1) * torch.sqrt(weight)


@dataclass(frozen=True)
class Huber(Loss):
    """z^2 up to delta, then the line 2 delta |z| - delta^2 (Huber 1964, times two)."""

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(delta=self.delta)

    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        size = _weighted(residual, weight).abs()
        inner = size.clamp(max=self.delta)
        return (inner * (2 * size - inner)).flatten(1).mean(dim=1)


@dataclass(frozen=True)
class PseudoHuber(Loss):
    """2 delta (sqrt(z^2 + delta^2) - delta): Huber without its kink (Charbonnier et al. 1997)."""

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(delta=self.delta)

    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        square = _weighted(residual, weight).square()
        # the difference of two roots, without cancellation
        each = 2 * self.delta * square / (torch.sqrt(square + self.delta**2) + self.delta)
        return each.flatten(1).mean(dim=1)


LOSSES: Catalog[type[Loss]] = Catalog("loss", {"l2": L2, "l1": L1, "huber": Huber, "pseudo-huber": PseudoHuber})


class LogVariance(nn.Module):
    """u(theta) = sum_k a_k cos(2 k theta), a = 0 at the start; finite, and even, at both ends."""

    def __init__(self, terms: int = 16) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(terms))

    def forward(self, level: Level) -> Tensor:
        """u in the shape of the level."""
        k = torch.arange(len(self.coefficients), device=level.alpha.device)
        u: Tensor = (torch.cos(2 * level.angle[..., None] * k) * self.coefficients).sum(dim=-1)
        return u


@dataclass(frozen=True)
class Objective:
    """A weighting and a loss; ``objective(denoiser, x0, eps, level, cond)`` gives the losses (b,).

    log_density: log p(lambda) of the levels that are trained on, for weightings that divide by it.
    log_variance: made for the weighting ``uncertainty``: its parameters are trained beside the network's.
    """

    weighting: Weighting = field(default_factory=Prediction)
    loss: Loss = field(default_factory=L2)
    log_density: LogDensity | None = None
    log_variance: LogVariance | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if isinstance(self.weighting, Uncertainty):
            object.__setattr__(self, "log_variance", LogVariance())

    def at(self, progress: float) -> Self:
        """The objective when so much of the run is over, 0 to 1: the same throughout."""
        return self

    def x0_weight(self, level: Level, prediction: str) -> Tensor:
        """w, in the shape of the level."""
        return self.weighting.factors(level, Setting(prediction, self.log_density)).at(level)

    def weight(self, level: Level, prediction: str) -> Tensor:
        """w out^2, the weight of the square of y - target, in the shape of the level."""
        if isinstance(self.weighting, Prediction):
            return torch.ones_like(level.alpha)
        factors = self.weighting.factors(level, Setting(prediction, self.log_density))
        return (factors * out_squared(level, prediction)).at(level)

    def check(self, levels: Level, prediction: str) -> None:
        """ValueError where a weight at one of ``levels``, of the type that is trained in, is not finite."""
        weight = self.weight(levels, prediction)
        bad = ~torch.isfinite(weight)
        if bool(bad.any()):
            ratio, name = float((levels.sigma / levels.alpha)[bad][0]), described(WEIGHTINGS, self.weighting)["name"]
            raise ValueError(
                f"weighting {name} is not finite for {prediction}-prediction where "
                f"sigma / alpha = {ratio:.3g}: choose another prediction, weighting or density"
            )

    def __call__(self, denoiser: NetworkDenoiser, x0: Tensor, eps: Tensor, level: Level, cond: Condition) -> Tensor:
        """The loss of every sample, (b,), for data and noise (b, …) at levels (b,)."""
        residual = denoiser.residual(x0, eps, level, cond)
        losses = self.loss(residual, self.weight(level, denoiser.prediction))
        if self.log_variance is None:
            return losses
        u: Tensor = self.log_variance(level)
        return torch.exp(-u) * losses + u


@dataclass(frozen=True)
class Denoise:
    """The posterior mean E[x_0 | x]: the estimate against the data, by weighting and loss."""

    def check(self, config: Config, denoiser: NetworkDenoiser) -> None:
        """ValueError for a configuration or a network that does not go with this."""

    def density(self, density: Density, process: Process) -> Density:
        """The levels to train on, of those that the configuration asks for."""
        return density

    def objective(self, config: Config, log_density: LogDensity) -> Objective:
        """What is made small."""
        return Objective(
            choose("weighting", WEIGHTINGS, config.weighting), choose("loss", LOSSES, config.loss), log_density
        )


def _weighted(residual: Tensor, weight: Tensor) -> Tensor:
    return residual * torch.sqrt(weight).reshape(-1, *[1] * (residual.ndim - 1))


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, not {value}")
