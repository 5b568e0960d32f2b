"""Optimizers by name: AdamW, and Muon for the hidden matrices with AdamW for the rest.

One learning rate serves both: a Muon step is scaled to the size of an AdamW step.  If ``found_inf`` is set on the
optimizer (ptdiff.training.module), a step changes nothing, without waiting for the device to decide.

G: the gradient of a matrix.   M: its running mean.   O: the orthogonal matrix closest to a direction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from ptdiff.choices import Catalog
from ptdiff.run.config import Training
from ptdiff.training.sharded import local, whole

NARROWEST = 16
"""A matrix with fewer rows or columns is an input or output layer, for which AdamW is better."""


class Choice(Protocol):
    """A rule for updating weights."""

    def build(self, network: nn.Module, plan: Training) -> torch.optim.Optimizer:
        """The optimizer of all weights of ``network``, with the numbers of ``plan``."""
        ...


@dataclass(frozen=True)
class AdamW:
    """Adam with decoupled weight decay, fused; gains and biases do not decay (Loshchilov and Hutter 2019)."""

    def build(self, network: nn.Module, plan: Training) -> torch.optim.AdamW:
        """A fused AdamW with and without weight decay."""
        return torch.optim.AdamW(_by_shape(list(network.parameters())), fused=True, **_numbers(plan))


@dataclass(frozen=True)
class Muon:
    """Orthogonalized momentum for matrices inside the network, AdamW for the rest (Jordan et al. 2024).

    ``momentum``: in [0, 1).
    """

    momentum: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must lie in [0, 1), not {self.momentum}")

    def build(self, network: nn.Module, plan: Training) -> torch.optim.Optimizer:
        """Muon for the hidden matrices, AdamW for the rest."""
        inside = {id(layer.weight) for layer in network.modules() if hidden(layer)}
        matrices = [p for p in network.parameters() if id(p) in inside]
        others = [p for p in network.parameters() if id(p) not in inside]
        return Orthogonal(matrices, others, self.momentum, _numbers(plan))


OPTIMIZERS: Catalog[type[Choice]] = Catalog("optimizer", {"adamw": AdamW, "muon": Muon})
"""Optimizers by name."""


def hidden(layer: nn.Module) -> bool:
    """Return True if the weight of a layer is a matrix inside the network: linear or convolution, wide on both sides.

    >>> hidden(nn.Linear(96, 192)), hidden(nn.Linear(96, 3)), hidden(nn.Embedding(64, 64))
    (True, False, False)
    """
    if not isinstance(layer, nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d):
        return False
    return min(layer.weight.flatten(1).shape) >= NARROWEST


class Orthogonal(torch.optim.AdamW):
    """Muon on ``matrices``, AdamW on ``others``; ``numbers`` are lr, betas and weight_decay of both."""

    def __init__(
        self, matrices: list[nn.Parameter], others: list[nn.Parameter], momentum: float, numbers: Mapping[str, Any]
    ) -> None:
        groups = [*_by_shape(others), *([{"params": matrices, "momentum": momentum}] if matrices else [])]
        super().__init__(groups, fused=True, **numbers)

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all weights; ``closure`` is not supported."""
        if closure is not None:
            raise ValueError("Muon does not support a closure")
        for group in self.param_groups:
            if "momentum" in group:
                self._turn(group)
        # matrices are done and must not be updated again
        super().step()

    def _turn(self, group: dict[str, Any]) -> None:
        alike: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
        for p in group["params"]:
            if p.grad is not None:
                alike[p.flatten(1).shape].append(p)
        for shape, weights in alike.items():
            for p in weights:
                if not self.state[p]:
                    # AdamW expects a step count in every state that it loads
                    self.state[p].update(step=torch.zeros((), device=p.device), momentum=torch.zeros_like(p))
            grad = torch.stack([local(p.grad).flatten(1) for p in weights if p.grad is not None])
            mean = torch.stack([local(self.state[p]["momentum"]).flatten(1) for p in weights])
            good = 1 - getattr(self, "found_inf", torch.zeros((), device=grad.device))
            grad = torch.where(good > 0, grad, 0)
            mean = mean + (grad - mean) * ((1 - group["momentum"]) * good)
            # Nesterov momentum; the factor gives the entries the mean square of AdamW's (Liu et al. 2025, eq. 4)
            ahead = _by_rows(orthogonal, grad + (mean - grad) * group["momentum"], weights[0])
            rate = group["lr"] * good
            move = ahead * (0.2 * max(shape) ** 0.5 * rate)
            for p, m, d in zip(weights, mean, move, strict=True):
                here = local(p)
                local(self.state[p]["momentum"]).copy_(m.view_as(here))
                self.state[p]["step"] += good
                here.mul_(1 - rate * group["weight_decay"]).sub_(d.view_as(here))
                p.grad = None


def orthogonal(g: Tensor) -> Tensor:
    """Approximate orthogonal factors of matrices ``g`` (k, n, m): singular values between 0.7 and 1.2, zeros unchanged.

    Five quintic Newton-Schulz iterations (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) for all
    matrices of a shape at once.  They are polynomials of x x^T times x, evaluated on that smaller matrix in half the
    time, in float32.
    """
    tall = g.shape[-2] > g.shape[-1]
    x = g.float().mT if tall else g.float()
    x = x / torch.linalg.vector_norm(x, dim=(-2, -1), keepdim=True).clamp(min=1e-20)
    a = x @ x.mT
    whole = one = torch.eye(a.shape[-1], device=a.device)
    for _ in range(5):
        # x <- p x, and so x x^T <- p x x^T p, because p is symmetric and commutes with it
        p = 3.4445 * one - 4.7750 * a + 2.0315 * (a @ a)
        whole, a = p @ whole, p @ a @ p
    x = whole @ x
    out: Tensor = x.mT if tall else x
    return out.to(g.dtype)


def _by_rows(function: Callable[[Tensor], Tensor], rows: Tensor, weight: Tensor) -> Tensor:
    """The ``rows`` (k, r, m) of this rank of ``function`` of whole matrices, which are sharded like ``weight``."""
    if not isinstance(weight, DTensor):
        return function(rows)
    shape, place = torch.Size([len(rows), *weight.flatten(1).shape]), [Shard(1)]
    there = DTensor.from_local(rows, weight.device_mesh, place, shape=shape, stride=(shape[1] * shape[2], shape[2], 1))
    return local(distribute_tensor(function(whole(there)), weight.device_mesh, place, src_data_rank=None))


def _by_shape(weights: list[nn.Parameter]) -> list[dict[str, Any]]:
    matrices, others = [p for p in weights if p.ndim >= 2], [p for p in weights if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def _numbers(plan: Training) -> dict[str, Any]:
    return {"lr": plan.lr, "betas": plan.betas, "weight_decay": plan.weight_decay}
