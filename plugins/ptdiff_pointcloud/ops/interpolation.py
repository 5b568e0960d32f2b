"""Interpolation of features from some points to others, weighted by the inverse squared distance."""

from __future__ import annotations

import torch
from torch import Tensor

from ptdiff_pointcloud.ops.neighbors import gather, knn


def three_interpolate(x: Tensor, points: Tensor, features: Tensor, k: int = 3) -> Tensor:
    """Interpolate ``features`` (b, m, c) of the k nearest ``points`` (b, m, d) at every x (b, n, d): (b, n, c).

    Weights 1 / distance^2, normalized (Qi et al. 2017, "PointNet++", equation 2); exact at the points themselves.
    Differentiable in all three. With fewer than k points, all are used.
    """
    squared, index = knn(x, points, min(k, points.shape[1]))
    nearest = squared.amin(-1, keepdim=True)
    # nearest / squared instead of 1 / squared: 1 for the nearest, finite at distance zero
    own = squared == nearest
    weight = torch.where(own, 1.0, nearest / torch.where(own, 1.0, squared))
    weight = weight / weight.sum(-1, keepdim=True)
    return (weight[..., None] * gather(features, index)).sum(-2)
