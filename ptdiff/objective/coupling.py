"""Couplings: which noise goes with which datum when a network is trained.

    (x_0, eps) ~ pi,   x_t = alpha x_0 + sigma eps

Without a coupling the two are independent.  A coupling rearranges the noise of a batch *before* x_t is built, so that
the paths cross less; the noise as a whole stays N(0, I), but for unbalanced transport, which leaves some of it out.

C_ij = ||x_0^i - eps^j||^2, the cost of pairing datum i with noise j.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.modality.data import Condition


class Coupling(Protocol):
    """A way to pair a batch of data with a batch of noise."""

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        """The noise (b, …) that goes with each of x0 (b, …), made of rows (or elements) of eps.

        u: uniform numbers (b,) for couplings that draw.
        """
        ...


@dataclass(frozen=True)
class Independent:
    """Data and noise are paired as they come."""

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        return eps


@dataclass(frozen=True)
class OptimalTransport:
    """The pairing of least cost in the batch (Tong et al. 2024; Li et al. 2024, "immiscible diffusion").

    labels=within pairs among samples of one class only: a pairing over all of them gives each class its own part of
    the noise, and guidance or sampling by class then starts from noise that the class never saw.
    """

    labels: Literal["within", "ignore"] = "within"

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        from scipy.optimize import linear_sum_assignment

        order = torch.arange(len(x0))
        cost = _cost(x0, eps)
        for rows in _groups(len(x0), cond, self.labels):
            _, chosen = linear_sum_assignment(cost[rows][:, rows].numpy())
            order[rows] = rows[torch.from_numpy(chosen)]
        return eps[order.to(eps.device)]


@dataclass(frozen=True)
class Sinkhorn:
    """Noise drawn for each datum from the entropic transport plan (Cuturi 2013).

    blur: regularization, in units of the mean cost.  relax: weight of the marginals in the same units; unbalanced
    transport (Chizat et al. 2018), in which noise far from all data stays unused; infinite is balanced.  What is left
    is no longer N(0, I), where sampling starts: with a finite relax a model learns another start than it is used from.
    """

    blur: float = 0.05
    relax: float = float("inf")
    iterations: int = 50
    labels: Literal["within", "ignore"] = "within"

    def __post_init__(self) -> None:
        if not (self.blur > 0 and self.relax > 0 and self.iterations >= 1):
            raise ValueError("blur and relax must be positive, and iterations at least 1")

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        order = torch.arange(len(x0))
        cost = _cost(x0, eps)
        for rows in _groups(len(x0), cond, self.labels):
            shares = torch.softmax(self._logits(cost[rows][:, rows]), dim=1)
            # the inverse distribution function of each row, at its own number
            drawn = (shares.cumsum(dim=1) < u[rows.to(u.device), None].cpu().double()).sum(dim=1)
            order[rows] = rows[drawn.clamp(max=len(rows) - 1)]
        return eps[order.to(eps.device)]

    def _logits(self, cost: Tensor) -> Tensor:
        """The logarithm of the plan up to the sums of its rows, by Sinkhorn's iterations in the log domain."""
        scale = float(cost.mean())
        kernel = -cost / (self.blur * scale)
        # each update keeps the part relax / (relax + blur) of the balanced one
        damp = 1.0 if self.relax == float("inf") else self.relax / (self.relax + self.blur)
        g = torch.zeros(len(cost), dtype=cost.dtype)
        for _ in range(self.iterations):
            f = -damp * torch.logsumexp(kernel + g, dim=1)
            g = -damp * torch.logsumexp(kernel + f[:, None], dim=0)
        return kernel + g


@dataclass(frozen=True)
class WithinSets:
    """For unordered data (b, n, c): the points of each cloud are paired with the points of its own noise.

    The noise of a cloud, as a set, does not change: only which of its points goes to which point of the shape.
    """

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        from scipy.optimize import linear_sum_assignment

        if x0.ndim != 3:
            raise ValueError(
                f"the coupling within-sets is for sets of points (b, n, c), not for shape {tuple(x0.shape)}"
            )
        made = torch.empty_like(eps)
        for i, (shape, noise) in enumerate(zip(x0, eps, strict=True)):
            _, chosen = linear_sum_assignment(_cost(shape, noise).numpy())
            made[i] = noise[torch.from_numpy(chosen).to(eps.device)]
        return made


COUPLINGS: Catalog[type[Coupling]] = Catalog(
    "coupling",
    {
        "independent": Independent,
        "ot": OptimalTransport,
        "sinkhorn": Sinkhorn,
        "within-sets": WithinSets,
    },
)


def _cost(a: Tensor, b: Tensor) -> Tensor:
    """||a_i - b_j||^2 on the host, float64."""
    return torch.cdist(a.flatten(1).cpu().double(), b.flatten(1).cpu().double()).square()


def _groups(count: int, cond: Condition, labels: str) -> list[Tensor]:
    """The rows that may be paired with each other."""
    label = cond.get("label")
    if labels == "ignore" or label is None:
        return [torch.arange(count)]
    label = label.cpu()
    return [torch.nonzero(label == value)[:, 0] for value in torch.unique(label)]
