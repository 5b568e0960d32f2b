"""The denoising objective: a weighting over noise levels and a norm of the residual.

    loss of a sample = mean over elements of norm(sqrt(w) (D - x_0)),   sqrt(w) (D - x_0) = sqrt(w out^2) (y - target)

w: the weighting of the error of x_0 (:mod:`ptdiff.objective.weighting`).
y: the output of the network (:mod:`ptdiff.denoiser.network`).
z = sqrt(w) (D - x_0): the weighted residual.
u(theta): learned log-variance of the error at a level.

Every norm except l1 is z^2 for small z, so a weighting has the same meaning with each of them.
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
from ptdiff.modality.ragged import per_element
from ptdiff.objective.factors import LogDensity, Setting, Weighting, out_squared
from ptdiff.objective.weighting import WEIGHTINGS, Prediction, Uncertainty
from ptdiff.process import Level, Process

if TYPE_CHECKING:
    from ptdiff.run.config import Config


@dataclass(frozen=True)
class Loss(ABC):
    """A norm of the weighted residual, with adaptive normalization (Geng et al. 2025, MeanFlow, section 4).

    ``norm_p``: if positive, each sample's loss is divided by a stop-gradient of (loss + norm_eps)^norm_p, where the
    loss is a mean over elements (a sum in the paper).  1/2 gives the pseudo-Huber norm of the whole residual.
    ``norm_eps``: above 0.
    """

    norm_p: float = field(default=0.0, kw_only=True)
    norm_eps: float = field(default=0.01, kw_only=True)

    def __post_init__(self) -> None:
        if not 0 <= self.norm_p < math.inf:
            raise ValueError(f"norm_p must be at least 0 and finite, not {self.norm_p}")
        _positive(norm_eps=self.norm_eps)

    def __call__(self, residual: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
        """Losses (b,) of residuals y - target (b, …); ``weight``, () or (b,), is the weight of their squares.

        ``mask``: the elements (b, n) of sets of different sizes, over which the mean is taken; others have residual 0.
        """
        losses = per_element(self.mean(residual, weight), mask)
        if self.norm_p == 0:
            return losses
        return losses / (losses.detach() + self.norm_eps).pow(self.norm_p)

    @abstractmethod
    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        """Mean over the elements of the norm of ``residual`` (b, …), (b,)."""


@dataclass(frozen=True)
class L2(Loss):
    """Squared error z^2, minimized by the posterior mean."""

    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        """Mean of z^2 over the elements, (b,)."""
        return residual.square().flatten(1).mean(dim=1) * weight


@dataclass(frozen=True)
class L1(Loss):
    """Absolute error |z|, minimized by the posterior median of each element: samples lose outliers."""

    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        """Mean of ``|z|`` over the elements, (b,)."""
        return residual.abs().flatten(1).mean(dim=1) * torch.sqrt(weight)


@dataclass(frozen=True)
class Huber(Loss):
    """Huber loss: z^2 up to ``delta``, then the line 2 delta |z| - delta^2 (Huber 1964, times two)."""

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(delta=self.delta)

    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        """Mean of the Huber loss over the elements, (b,)."""
        size = _weighted(residual, weight).abs()
        inner = size.clamp(max=self.delta)
        return (inner * (2 * size - inner)).flatten(1).mean(dim=1)


@dataclass(frozen=True)
class PseudoHuber(Loss):
    """Pseudo-Huber loss 2 delta (sqrt(z^2 + delta^2) - delta), a smooth Huber loss (Charbonnier et al. 1997)."""

    delta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        _positive(delta=self.delta)

    def mean(self, residual: Tensor, weight: Tensor) -> Tensor:
        """Mean of the pseudo-Huber loss over the elements, (b,)."""
        square = _weighted(residual, weight).square()
        # rearranged to avoid cancellation
        each = 2 * self.delta * square / (torch.sqrt(square + self.delta**2) + self.delta)
        return each.flatten(1).mean(dim=1)


LOSSES: Catalog[type[Loss]] = Catalog("loss", {"l2": L2, "l1": L1, "huber": Huber, "pseudo-huber": PseudoHuber})


class LogVariance(nn.Module):
    """Learned log-variance u(theta) = sum_k a_k cos(2 k theta), initialized to 0; finite and even at both ends.

    ``terms``: number of coefficients a_k.
    """

    def __init__(self, terms: int = 16) -> None:
        super().__init__()
        self.coefficients = nn.Parameter(torch.zeros(terms))

    def forward(self, level: Level) -> Tensor:
        """u(theta), in the shape of the level."""
        k = torch.arange(len(self.coefficients), device=level.alpha.device)
        u: Tensor = (torch.cos(2 * level.angle[..., None] * k) * self.coefficients).sum(dim=-1)
        return u


@dataclass(frozen=True)
class Objective:
    """The denoising objective: ``objective(denoiser, x0, eps, level, cond)`` returns the losses (b,).

    ``weighting``: weight of the error of x_0 at each level.
    ``loss``: norm of the weighted residual.
    ``log_density``: log p(lambda) of the training levels, for weightings that divide by it; None if it is not known.
    ``log_variance``: set for the weighting ``uncertainty``, with parameters that are trained with the network's.
    """

    weighting: Weighting = field(default_factory=Prediction)
    loss: Loss = field(default_factory=L2)
    log_density: LogDensity | None = None
    log_variance: LogVariance | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        if isinstance(self.weighting, Uncertainty):
            object.__setattr__(self, "log_variance", LogVariance())

    def at(self, progress: float) -> Self:
        """The objective at ``progress``, the fraction of the training that is over, in [0, 1]: here constant."""
        return self

    def x0_weight(self, level: Level, prediction: str) -> Tensor:
        """The weight w of the squared error of x_0, in the shape of the level."""
        return self.weighting.factors(level, Setting(prediction, self.log_density)).at(level)

    def weight(self, level: Level, prediction: str) -> Tensor:
        """The weight w out^2 of the square of y - target, in the shape of the level."""
        if isinstance(self.weighting, Prediction):
            return torch.ones_like(level.alpha)
        factors = self.weighting.factors(level, Setting(prediction, self.log_density))
        return (factors * out_squared(level, prediction)).at(level)

    def check(self, levels: Level, prediction: str) -> None:
        """Raise ValueError if the weight at one of ``levels`` is not finite in their dtype, that of the training."""
        weight = self.weight(levels, prediction)
        bad = ~torch.isfinite(weight)
        if bool(bad.any()):
            ratio, name = float((levels.sigma / levels.alpha)[bad][0]), described(WEIGHTINGS, self.weighting)["name"]
            raise ValueError(
                f"weighting {name} is not finite for {prediction}-prediction at "
                f"sigma / alpha = {ratio:.3g}: choose another prediction, weighting or density"
            )

    def __call__(self, denoiser: NetworkDenoiser, x0: Tensor, eps: Tensor, level: Level, cond: Condition) -> Tensor:
        """Loss of every sample, (b,), for data and noise (b, …) at levels (b,)."""
        residual = denoiser.residual(x0, eps, level, cond)
        losses = self.loss(residual, self.weight(level, denoiser.prediction), cond.get("mask"))
        if self.log_variance is None:
            return losses
        u: Tensor = self.log_variance(level)
        return torch.exp(-u) * losses + u


@dataclass(frozen=True)
class Denoise:
    """Denoising: learn the posterior mean E[x_0 | x] with a weighting and a loss."""

    def check(self, config: Config, denoiser: NetworkDenoiser) -> None:
        """Raise ValueError if ``config`` or the network rules out this objective."""

    def density(self, density: Density, process: Process) -> Density:
        """The density of the training levels, given the one in the configuration: the same."""
        return density

    def objective(self, config: Config, log_density: LogDensity) -> Objective:
        """The objective with the weighting and the loss of ``config``."""
        return Objective(
            choose("weighting", WEIGHTINGS, config.weighting), choose("loss", LOSSES, config.loss), log_density
        )


def _weighted(residual: Tensor, weight: Tensor) -> Tensor:
    return residual * torch.sqrt(weight).reshape(-1, *[1] * (residual.ndim - 1))


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be positive and finite, not {value}")
