"""Couplings: how data and noise are paired in training.

    (x_0, eps) ~ pi,   x_t = alpha x_0 + sigma eps

By default the two are independent.  A coupling rearranges the noise of a batch before x_t is computed, so that paths
cross less often.  The marginal distribution of the noise remains N(0, I), except in unbalanced transport, which leaves
some of the noise out.

C_ij = ||x_0^i - eps^j||^2 is the cost of pairing datum i with noise j.
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
        """Noise (b, …) for each datum of ``x0`` (b, …), composed of rows or elements of ``eps`` (b, …).

        ``cond``: conditions of the batch; a coupling may pair within classes only.
        ``u``: uniform random numbers (b,) for couplings that draw.
        """
        ...


@dataclass(frozen=True)
class Independent:
    """No coupling: data and noise are independent."""

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        """``eps``, unchanged."""
        return eps


@dataclass(frozen=True)
class OptimalTransport:
    """Optimal transport in the batch (Tong et al. 2024; Li et al. 2024, "immiscible diffusion").

    ``labels``: "within" pairs samples of the same class only.  "ignore" pairs across classes, which assigns each class
    its own part of the noise; guidance or sampling by class then starts from noise that the class has never seen.
    """

    labels: Literal["within", "ignore"] = "within"

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        """Rows of ``eps`` in the order that minimizes the total cost (Hungarian algorithm)."""
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

    ``blur``: regularization in units of the mean cost, above 0.
    ``relax``: weight of the marginals in the same units, above 0; infinite is balanced transport.  A finite value is
    unbalanced transport (Chizat et al. 2018), which leaves noise far from all data unused.  The noise is then no longer
    N(0, I), so training and sampling start from different distributions.
    ``iterations``: number of Sinkhorn iterations, at least 1.
    ``labels``: as in :class:`OptimalTransport`.
    """

    blur: float = 0.05
    relax: float = float("inf")
    iterations: int = 50
    labels: Literal["within", "ignore"] = "within"

    def __post_init__(self) -> None:
        if not (self.blur > 0 and self.relax > 0 and self.iterations >= 1):
            raise ValueError("blur and relax must be above 0, and iterations at least 1")

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        """Rows of ``eps``, drawn with the numbers ``u`` (b,) from the plan; a row may be drawn several times."""
        order = torch.arange(len(x0))
        cost = _cost(x0, eps)
        for rows in _groups(len(x0), cond, self.labels):
            shares = torch.softmax(self._logits(cost[rows][:, rows]), dim=1)
            # inverse cumulative distribution function of each row at its number u
            drawn = (shares.cumsum(dim=1) < u[rows.to(u.device), None].cpu().double()).sum(dim=1)
            order[rows] = rows[drawn.clamp(max=len(rows) - 1)]
        return eps[order.to(eps.device)]

    def _logits(self, cost: Tensor) -> Tensor:
        """Logarithm of the plan, up to a constant per row, by Sinkhorn iterations in the log domain."""
        scale = float(cost.mean())
        kernel = -cost / (self.blur * scale)
        # each update is relax / (relax + blur) times the balanced one
        damp = 1.0 if self.relax == float("inf") else self.relax / (self.relax + self.blur)
        g = torch.zeros(len(cost), dtype=cost.dtype)
        for _ in range(self.iterations):
            f = -damp * torch.logsumexp(kernel + g, dim=1)
            g = -damp * torch.logsumexp(kernel + f[:, None], dim=0)
        return kernel + g


@dataclass(frozen=True)
class WithinSets:
    """Optimal transport within each cloud of unordered data (b, n, c): points are paired with points of its own noise.

    The noise of a cloud does not change as a set; only the order of its points does.
    """

    def pair(self, x0: Tensor, eps: Tensor, cond: Condition, u: Tensor) -> Tensor:
        """``eps`` (b, n, c) with the points of each cloud reordered; raises ValueError for data of another rank."""
        from scipy.optimize import linear_sum_assignment

        if x0.ndim != 3:
            raise ValueError(
                f"coupling within-sets needs sets of points (b, n, c), not data of shape {tuple(x0.shape)}"
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
    """||a_i - b_j||^2 on the CPU in float64."""
    return torch.cdist(a.flatten(1).cpu().double(), b.flatten(1).cpu().double()).square()


def _groups(count: int, cond: Condition, labels: str) -> list[Tensor]:
    """Groups of rows that may be paired with each other."""
    label = cond.get("label")
    if labels == "ignore" or label is None:
        return [torch.arange(count)]
    label = label.cpu()
    return [torch.nonzero(label == value)[:, 0] for value in torch.unique(label)]
