"""Earth mover's distances between clouds of equally many points, named by how they are computed.

* exact: the mean length |x_i - y_pi(i)| of the optimal assignment pi (module ``assignment``).
* sinkhorn: the transport cost sum_ij P_ij |x_i - y_j| of the entropic plan P (Cuturi 2013), in the log domain. At its
  fixed point it is never below the exact one, and far above it for near clouds, where the entropy blurs the plan.
* pointflow and pytorchemd: the approximate matching of Fan et al. (2017, "A point set generation network"), which most
  published scores use. They depend on the scale: what is matched when depends on the squared distances in world units.
  In rounds of decreasing sharpness lambda, with supplies s_i and demands r_j that start at 1,

      K_ij = exp(-lambda |x_i - y_j|^2)            a_i = s_i / (sum_j K_ij r_j + 1e-9)
      w_j  = r_j sum_i a_i K_ij                    b_j = r_j min(1, r_j / (w_j + 1e-9))
      M   += a_i K_ij b_j                          r_j = max(0, r_j - w_j),   s_i = max(0, s_i - sum_j a_i K_ij b_j)

  PointFlow: lambda = 4^7, 4^6, …, 4^-1, and the cost (1/n) sum_ij M_ij |x_i - y_j|.
  PyTorchEMD, used by PVD and LION: one more round of lambda = 0, and the cost (1/n) sum_ij M_ij |x_i - y_j|^2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ptdiff.metrics import Array, tensors
from ptdiff_pointcloud.metrics.assignment import Room, mean_length
from ptdiff_pointcloud.metrics.chamfer import checked
from ptdiff_pointcloud.metrics.matrix import Pairs, in_threads

LAMBDAS = tuple(4.0**k for k in range(7, -2, -1))

_TINY = 1e-9  # part of the published algorithm: its results depend on it
_BLOCK = {"cpu": 1 << 26, "cuda": 1 << 30}  # bytes of one array of squared distances


def exact(x: Array, y: Array) -> Tensor:
    """Exact distances of pairs x, y (b, n, 3): float64 (b,), in the units of the clouds."""
    x, y = tensors(x, y)
    return exact_pairs(x, y)(torch.arange(len(x)), torch.arange(len(y)))


def exact_pairs(x: Tensor, y: Tensor) -> Pairs:
    """Return the function that computes the exact distances of single pairs, in threads."""
    _checked(x, y)
    a, b = x.double().cpu().numpy(), y.double().cpu().numpy()
    room = Room(x.shape[1])

    def one(i: int, j: int, ceiling: float) -> float:
        return mean_length(a[i], b[j], room, ceiling)

    return in_threads(one)


def sinkhorn(x: Array, y: Array, blur: float = 0.01, rounds: int = 200) -> Tensor:
    """Transport cost of pairs (b, n, 3) by the plan of entropy weight ``blur`` (a length), float64 (b,)."""
    x, y = tensors(x, y)
    _checked(x, y)
    cost = torch.cdist(x.double(), y.double(), compute_mode="donot_use_mm_for_euclid_dist")
    n = cost.shape[1]
    share = -float(np.log(n))
    f, g = cost.new_zeros(len(x), n, 1), cost.new_zeros(len(x), 1, n)
    for _ in range(rounds):
        f = -blur * torch.logsumexp(share + (g - cost) / blur, dim=2, keepdim=True)
        g = -blur * torch.logsumexp(share + (f - cost) / blur, dim=1, keepdim=True)
    plan = torch.exp(2 * share + (f + g - cost) / blur)
    return (plan * cost).sum((1, 2))


def pointflow(x: Array, y: Array) -> Tensor:
    """PointFlow's approximation for pairs (b, n, 3), a length, in the precision of ``x``: (b,)."""
    x, y = tensors(x, y)
    return _matched(x, y, LAMBDAS, squared=False)


def pytorchemd(x: Array, y: Array) -> Tensor:
    """PyTorchEMD's approximation for pairs (b, n, 3), a squared length, in the precision of ``x``: (b,)."""
    x, y = tensors(x, y)
    return _matched(x, y, (*LAMBDAS, 0.0), squared=True)


def batched(of: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Pairs]:
    """Turn a function of equally many clouds on both sides into one of pairs, computed in batches."""

    def prepared(x: Tensor, y: Tensor) -> Pairs:
        _checked(x, y)
        step = max(1, _BLOCK.get(x.device.type, 1 << 26) // (x.element_size() * x.shape[1] * y.shape[1]))

        def pairs(i: Tensor, j: Tensor, ceiling: Tensor | None = None) -> Tensor:
            blocks = zip(*(torch.split(k.to(x.device), step) for k in (i, j)), strict=True)
            return torch.cat([of(x[a], y[b]) for a, b in blocks])

        return pairs

    return prepared


def _matched(x: Tensor, y: Tensor, lambdas: tuple[float, ...], *, squared: bool) -> Tensor:
    _checked(x, y)
    # differences, not products, which cancel: the sharpest round tells 1e-5 from 0
    squares = (x[:, :, None] - y[:, None]).square().sum(-1)
    cost = squares if squared else squares.sqrt()
    supply, demand = x.new_ones(x.shape[:2]), y.new_ones(y.shape[:2])
    total = x.new_zeros(len(x))
    for sharpness in lambdas:
        kernel = torch.mul(squares, -sharpness).exp_()
        offered = supply / (_sum(kernel, demand) + _TINY)
        wanted = demand * _sum(kernel.mT, offered)
        taken = demand * (demand / (wanted + _TINY)).clamp(max=1)
        demand = (demand - wanted).clamp(min=0)
        supply = (supply - offered * _sum(kernel, taken)).clamp(min=0)
        total = total + (offered * _sum(kernel.mul_(cost), taken)).sum(1)
    return total / x.shape[1]


def _sum(matrices: Tensor, vectors: Tensor) -> Tensor:
    """Batched product of matrices (b, n, m) and vectors (b, m)."""
    return (matrices @ vectors[:, :, None]).squeeze(2)


def _checked(x: Tensor, y: Tensor) -> None:
    checked(x, y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"the earth mover's distance needs equally many points, not {x.shape[1]} and {y.shape[1]}")
