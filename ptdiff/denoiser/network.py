"""Denoisers: estimates of the posterior mean E[x_0 | x] at a noise level.

    denoiser(x, level, cond) -> x_0        x and x_0 of shape (b, …); level of shape () or (b,)

With r = hypot(alpha, sigma) and theta = atan2(sigma, alpha), a network sees x / r, which has unit variance, and theta;
its input does not depend on the process that produced x.  It predicts y, one of four combinations of data and noise,
each given by four coefficients per level:

    x_0 = skip x + out y,        training target y = data x_0 + noise eps

    predict    skip             out                    data       noise     finite at alpha = 0
    x0         0                1                      1          0         yes
    eps        1 / alpha        -sigma / alpha         0          1         no
    velocity   alpha / r^2      -sigma / r             -sigma/r   alpha/r   yes
    flow       1/(alpha+sigma)  -sigma/(alpha+sigma)   -1         1         yes

velocity is v-prediction (Salimans and Ho 2022) at any scale r; EDM's preconditioning with sigma_data = 1 and TrigFlow
have the same four coefficients.  flow is the rectified-flow velocity eps - x_0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from ptdiff.choices import Catalog
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import masked, per_element
from ptdiff.process import Level


class Denoiser(Protocol):
    """An estimate of E[x_0 | x], (b, …), for x (b, …), ``level`` () or (b,) and a condition.

    Everything that samples, guides or certifies takes one.
    """

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor: ...


@dataclass(frozen=True)
class Coefficients:
    """The four coefficients of a prediction type at a level, each a tensor in the shape of the level."""

    skip: Tensor
    out: Tensor
    data: Tensor
    noise: Tensor


def _x0(level: Level) -> Coefficients:
    zero, one = torch.zeros_like(level.alpha), torch.ones_like(level.alpha)
    return Coefficients(skip=zero, out=one, data=one, noise=zero)


def _eps(level: Level) -> Coefficients:
    zero, one = torch.zeros_like(level.alpha), torch.ones_like(level.alpha)
    return Coefficients(skip=1 / level.alpha, out=-level.sigma / level.alpha, data=zero, noise=one)


def _velocity(level: Level) -> Coefficients:
    cos, sin = level.alpha / level.scale, level.sigma / level.scale
    return Coefficients(skip=cos / level.scale, out=-sin, data=-sin, noise=cos)


def _flow(level: Level) -> Coefficients:
    one, total = torch.ones_like(level.alpha), level.alpha + level.sigma
    return Coefficients(skip=1 / total, out=-level.sigma / total, data=-one, noise=one)


PREDICTIONS: Catalog[Callable[[Level], Coefficients]] = Catalog(
    "prediction",
    {
        "velocity": _velocity,
        "flow": _flow,
        "x0": _x0,
        "eps": _eps,
    },
)


class NetworkDenoiser(nn.Module):
    """A backbone ``net(x, angle, cond) -> y`` with a prediction type, as a denoiser.

    ``net``: takes x (b, …) of unit variance, angle (b,) in [0, pi/2] and a condition; y has the shape of x.
    ``prediction``: a name in PREDICTIONS.  Raises ValueError for any other name, and for one that differs from the
    attribute ``prediction`` of a network that computes a part of it exactly.
    """

    def __init__(self, net: nn.Module, prediction: str = "velocity") -> None:
        super().__init__()
        if prediction not in PREDICTIONS:
            raise ValueError(f"prediction must be one of {', '.join(PREDICTIONS)}, not {prediction!r}")
        own = getattr(net, "prediction", None)
        # of other networks it may be a layer
        if isinstance(own, str) and own != prediction:
            raise ValueError(f"prediction must be {own} for the network {type(net).__name__}, not {prediction}")
        self.net = net
        self.prediction = prediction

    @property
    def self_conditioning(self) -> bool:
        """True if the network reads ``cond["estimate"]`` (:mod:`ptdiff.denoiser.self_conditioning`)."""
        return bool(getattr(self.net, "self_conditioning", False))

    @property
    def is_flow_map(self) -> bool:
        """True if the network reads ``cond["to"]`` (:mod:`ptdiff.denoiser.target_level`)."""
        return any(getattr(part, "target", None) is not None for part in self.net.modules())

    @property
    def code(self) -> int:
        """Size of ``cond["code"]`` if the network reads one (:mod:`ptdiff.denoiser.latent_code`); 0 otherwise."""
        size = getattr(self.net, "code", 0)
        coded = all(callable(getattr(self.net, name, None)) for name in ("posterior", "prior", "log_prior"))
        return size if coded and isinstance(size, int) else 0

    def raw(self, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """y (b, …), the output of the network at x (b, …) and ``level`` () or (b,).

        Raises ValueError for an output of another shape than x, which would broadcast.
        """
        angle = level.angle.to(x.dtype).expand(len(x))
        y: Tensor = self.net(x / level.like(x).scale, angle, cond)
        if getattr(y, "shape", None) != x.shape:
            raise ValueError(f"the network {type(self.net).__name__} returned {_mismatch(y, x)}")
        return y

    def forward(self, x: Tensor, level: Level, cond: Condition) -> Tensor:
        """E[x_0 | x] = skip x + out y, in the shape and dtype of x."""
        numbers = PREDICTIONS[self.prediction](level.like(x))
        # in this order, in which gradients with respect to x are summed
        return numbers.skip * x + numbers.out * masked(self.raw(x, level, cond).to(x.dtype), cond.get("mask"))

    def residual(self, x0: Tensor, eps: Tensor, level: Level, cond: Condition) -> Tensor:
        """y - target at x = alpha x_0 + sigma eps, shaped like ``x0``; the error D - x_0 is ``out`` times this."""
        wide = level.like(x0)
        numbers = PREDICTIONS[self.prediction](wide)
        target = numbers.data * x0 + numbers.noise * eps
        y = self.raw(wide.alpha * x0 + wide.sigma * eps, level, cond)
        return masked(y.to(target.dtype), cond.get("mask")) - target

    def loss(self, x0: Tensor, eps: Tensor, level: Level, cond: Condition) -> Tensor:
        """Mean squared error of y for each sample, (b,), at levels (b,), minimized by the posterior mean.

        The error is that of y; relative to the error of x_0 its weight is 1 / out^2.
        """
        means = self.residual(x0, eps, level, cond).square().flatten(1).mean(dim=1)
        return per_element(means, cond.get("mask"))


def _mismatch(y: object, x: Tensor) -> str:
    if isinstance(y, Tensor):
        return f"a tensor of shape {tuple(y.shape)}, not the shape of its input, {tuple(x.shape)}"
    return f"a {type(y).__name__}, not a tensor of the shape of its input, {tuple(x.shape)}"


def check_prediction(prediction: str, noisiest: Level) -> None:
    """Raise ValueError for eps-prediction if the noisiest level has alpha = 0: x_0 = (x - sigma eps) / alpha."""
    if prediction == "eps" and bool((noisiest.alpha == 0).any()):
        raise ValueError(
            "eps-prediction cannot start at pure noise (alpha = 0): "
            "use prediction velocity, flow or x0, or process vp or ve"
        )
