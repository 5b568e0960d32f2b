"""The posterior p(x_0 | x) behind a denoiser: its mean and its covariance, by automatic differentiation.

    Cov[x_0 | x] = sigma^2 / alpha  d E[x_0|x] / dx            (second-order Tweedie formula)

The Jacobian J of the exact posterior mean is symmetric, so J^T v, one backward pass, stands for J v: every layer has
a backward pass, not every one a forward derivative.  At alpha = 0, x says nothing about x_0 and the covariance is that
of the data, of which a denoiser knows nothing but that it has unit variance: there Cov v = v.

Gradients are taken whatever the caller's mode is (inference, no_grad), and kept where the caller differentiates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.machine.host import exact
from ptdiff.modality.data import Condition
from ptdiff.process import Level


def ordinary(value: Tensor) -> Tensor:
    """``value``, copied out of inference mode where it was made there: autograd refuses inference tensors."""
    return value.clone() if value.is_inference() else value


def total(value: Tensor) -> Tensor:
    """The sum of each sample, (b, …) to (b, 1, …).

    In float64: a float32 sum rounds differently alone and in a batch once threads share it.
    """
    found = value.to(exact(value.device)).flatten(1).sum(dim=1, dtype=torch.float64).to(value)
    return found.reshape(-1, *(1,) * (value.ndim - 1))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """The inner product of each sample, (b, …) and (b, …) to (b, 1, …)."""
    return total(a * b)


def pullback(function: Denoiser, x: Tensor, level: Level, cond: Condition) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """``function(x, level, cond)`` and v -> J^T v, J its Jacobian in x.

    Rows of the batch must not depend on each other.  Each product is one backward pass.
    """
    kept = torch.is_grad_enabled() and x.requires_grad
    with torch.inference_mode(False), torch.enable_grad():
        point = x if kept else ordinary(x).detach().requires_grad_()
        level = Level(ordinary(level.alpha), ordinary(level.sigma))
        value = function(point, level, {name: ordinary(entry) for name, entry in cond.items()})

    def pull(v: Tensor) -> Tensor:
        if not value.requires_grad:
            return torch.zeros_like(x)
        with torch.inference_mode(False):
            (found,) = torch.autograd.grad(
                value, point, ordinary(v), retain_graph=True, create_graph=kept, materialize_grads=True
            )
        return found

    return value if kept else value.detach(), pull


@dataclass(frozen=True)
class Posterior:
    """Mean (b, …) of p(x_0 | x) and v -> Cov[x_0 | x] v, v shaped like the mean; a product costs one backward pass."""

    mean: Tensor
    covariance: Callable[[Tensor], Tensor]

    def variance(self) -> Tensor:
        """The diagonal of the covariance, shaped like the mean: as many products as a datum has elements."""
        flat = torch.zeros_like(self.mean).flatten(1)
        for i in range(flat.shape[1]):
            unit = torch.zeros_like(flat)
            unit[:, i] = 1
            flat[:, i] = self.covariance(unit.reshape(self.mean.shape)).flatten(1)[:, i]
        return flat.reshape(self.mean.shape)


def posterior(denoiser: Denoiser, x: Tensor, level: Level, cond: Condition) -> Posterior:
    """Mean and covariance of x_0 given x at a level; for a network, of the distribution it believes in."""
    mean, pull = pullback(denoiser, x, level, cond)
    wide = level.like(x)
    known = wide.alpha > 0
    factor = wide.sigma.square() / torch.where(known, wide.alpha, 1)

    def covariance(v: Tensor) -> Tensor:
        return torch.where(known, pull(v) * factor, v)

    return Posterior(mean, covariance)
