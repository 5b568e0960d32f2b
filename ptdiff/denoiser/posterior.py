"""Mean and covariance of the posterior p(x_0 | x) of a denoiser, by automatic differentiation.

    Cov[x_0 | x] = sigma^2 / alpha  d E[x_0|x] / dx            (second-order Tweedie formula)

The Jacobian J of the exact posterior mean is symmetric, so J^T v, one backward pass, replaces J v: every layer has a
backward pass, but not every layer has a forward derivative.  At alpha = 0, x is independent of x_0 and the covariance
is that of the data, of which only the unit variance is known: there Cov v = v.

Gradients are computed even in the caller's inference or no_grad mode, and kept if the caller differentiates.
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
    """``value``, or a copy if it is an inference tensor, which autograd refuses."""
    return value.clone() if value.is_inference() else value


def total(value: Tensor) -> Tensor:
    """Sum of the elements of each sample, (b, …) to (b, 1, …).

    Summed in float64: with several threads, a float32 sum can round differently alone and in a batch.
    """
    found = value.to(exact(value.device)).flatten(1).sum(dim=1, dtype=torch.float64).to(value)
    return found.reshape(-1, *(1,) * (value.ndim - 1))


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product of each sample, (b, …) and (b, …) to (b, 1, …)."""
    return total(a * b)


def pullback(function: Denoiser, x: Tensor, level: Level, cond: Condition) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """``function(x, level, cond)`` (b, …), and the map v -> J^T v, where J is its Jacobian in x.

    Rows of the batch must not depend on each other.  Each product costs one backward pass.
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
    """Mean and covariance of p(x_0 | x).

    ``mean``: (b, …).
    ``covariance``: the map v -> Cov[x_0 | x] v, with v in the shape of the mean; one call costs one backward pass.
    """

    mean: Tensor
    covariance: Callable[[Tensor], Tensor]

    def variance(self) -> Tensor:
        """Diagonal of the covariance, in the shape of the mean; costs one product per element of a datum."""
        flat = torch.zeros_like(self.mean).flatten(1)
        for i in range(flat.shape[1]):
            unit = torch.zeros_like(flat)
            unit[:, i] = 1
            flat[:, i] = self.covariance(unit.reshape(self.mean.shape)).flatten(1)[:, i]
        return flat.reshape(self.mean.shape)


def posterior(denoiser: Denoiser, x: Tensor, level: Level, cond: Condition) -> Posterior:
    """Mean and covariance of x_0 given x (b, …) at ``level`` () or (b,), as ``denoiser`` estimates them."""
    mean, pull = pullback(denoiser, x, level, cond)
    wide = level.like(x)
    known = wide.alpha > 0
    factor = wide.sigma.square() / torch.where(known, wide.alpha, 1)

    def covariance(v: Tensor) -> Tensor:
        return torch.where(known, pull(v) * factor, v)

    return Posterior(mean, covariance)
