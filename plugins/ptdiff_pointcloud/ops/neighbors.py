"""Nearest neighbors: k of them, or those within a radius.

The search itself has no gradient. Distances are recomputed from the differences of the points found: they are exact for
close points (|x|^2 + |y|^2 - 2 x y is not), and their gradient is that of the selection.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

TREES_FROM = 256
"""Number of points from which SciPy's k-d trees are faster than all distances, on a CPU and in space: 1.5 to 2 times at
256 points, 4 to 5 times at 2048.
"""

_DISTANCES = 2**25  # distances held at once while searching


def knn(x: Tensor, points: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Find the k nearest of ``points`` (b, m, d) to every x (b, n, d), nearest first; ties are broken arbitrarily.

    Returns squared distances (b, n, k), and int64 indices into the points (b, n, k).

    A point counts as its own neighbor. Differentiable in x and ``points`` through the distances. Memory is bounded for
    any number of points. ValueError for k beyond m, and for points that are not finite.
    """
    check_clouds(x, points)
    if not 1 <= k <= points.shape[1]:
        raise ValueError(f"k must be between 1 and the number of points, {points.shape[1]}, not {k}")
    index = search(x.detach(), points.detach(), k)
    return (x[:, :, None] - gather(points, index)).square().sum(-1), index


def ball_query(x: Tensor, points: Tensor, radius: float, k: int) -> tuple[Tensor, Tensor]:
    """Find up to k nearest ``points`` (b, m, d) within ``radius`` of every x (b, n, d).

    Returns the index (b, n, k) and inside (b, n, k), bool. If fewer than k are inside, the nearest point replaces the
    missing ones (as in PointNet++, Qi et al. 2017), so that a maximum over k needs no mask as long as one point is
    inside. k may exceed m. ValueError unless radius is positive.
    """
    if not radius > 0:
        raise ValueError(f"radius must be positive, not {radius}")
    squared, index = knn(x.detach(), points.detach(), min(k, points.shape[1]))
    inside = squared <= radius**2
    index = torch.where(inside, index, index[..., :1])
    missing = k - index.shape[-1]
    if missing > 0:
        index = torch.cat([index, index[..., :1].expand(*index.shape[:2], missing)], dim=-1)
        inside = torch.nn.functional.pad(inside, (0, missing))
    return index, inside


def gather(features: Tensor, index: Tensor) -> Tensor:
    """Gather the rows ``index`` (b, …) of ``features`` (b, m, c): (b, …, c)."""
    flat = index.flatten(1)
    rows = features.gather(1, flat[..., None].expand(*flat.shape, features.shape[-1]))
    return rows.view(*index.shape, features.shape[-1])


def check_clouds(*clouds: Tensor) -> None:
    """Raise ValueError unless all are batches of equally many clouds, in spaces of equal dimension."""
    for cloud in clouds:
        if cloud.ndim != 3 or 0 in cloud.shape[1:] or not cloud.is_floating_point():
            raise ValueError(f"clouds must be float tensors (b, points, d), not {cloud.dtype} {tuple(cloud.shape)}")
        if cloud.shape[0] != clouds[0].shape[0] or cloud.shape[-1] != clouds[0].shape[-1]:
            raise ValueError(f"clouds {tuple(clouds[0].shape)} and {tuple(cloud.shape)} do not match")


@torch.no_grad()
def search(x: Tensor, points: Tensor, k: int) -> Tensor:
    """Return indices (b, n, k) of the k nearest ``points`` to every x."""
    if x.device.type == "cpu" and points.shape[1] >= TREES_FROM and points.shape[2] <= 3:
        return _by_trees(x, points, k)
    if x.dtype in (torch.float16, torch.bfloat16):
        x, points = x.float(), points.float()
    (b, n, _), m = x.shape, points.shape[1]
    out = torch.empty(b, n, k, dtype=torch.int64, device=x.device)
    clouds, rows = max(1, _DISTANCES // (n * m)), max(1, _DISTANCES // m)
    for i in range(0, b, clouds):
        for j in range(0, n, rows):
            # differences, not matrix products: their rounding does not depend on the index of a point in its cloud
            distances = torch.cdist(
                x[i : i + clouds, j : j + rows],
                points[i : i + clouds],
                compute_mode="donot_use_mm_for_euclid_dist",
            )
            out[i : i + clouds, j : j + rows] = distances.topk(k, largest=False).indices
    return out


def _by_trees(x: Tensor, points: Tensor, k: int) -> Tensor:
    from scipy.spatial import cKDTree

    workers = torch.get_num_threads()
    pairs = zip(x.double().numpy(), points.double().numpy(), strict=True)
    found = [cKDTree(cloud).query(queries, k=[*range(1, k + 1)], workers=workers)[1] for queries, cloud in pairs]
    return torch.from_numpy(np.stack(found).astype(np.int64, copy=False))
