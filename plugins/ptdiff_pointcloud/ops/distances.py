"""Differentiable Chamfer distance of pairs of clouds, for use as a loss (metrics have their own)."""

from __future__ import annotations

from torch import Tensor
from torch.linalg import vector_norm

from ptdiff_pointcloud.ops.neighbors import check_clouds, gather, search


def chamfer(x: Tensor, y: Tensor, *, squared: bool = True) -> Tensor:
    """mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2 of each pair x (b, n, d), y (b, m, d): (b,).

    squared=False uses the distances themselves, in the units of the points (with gradient zero at distance zero).
    Memory is bounded for any number of points.
    """
    check_clouds(x, y)

    def one_way(source: Tensor, target: Tensor) -> Tensor:
        nearest = gather(target, search(source.detach(), target.detach(), 1)[..., 0])
        difference = source - nearest
        each = difference.square().sum(-1) if squared else vector_norm(difference, dim=-1)
        return each.mean(-1)

    return one_way(x, y) + one_way(y, x)
