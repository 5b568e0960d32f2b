"""Farthest point sampling: a few points, spread evenly."""

from __future__ import annotations

import torch
from torch import Tensor

from ptdiff_pointcloud.ops.neighbors import check_clouds


@torch.no_grad()
def fps(x: Tensor, count: int, start: int | None = None) -> Tensor:
    """Return indices (b, count) of points of x (b, n, d), each the farthest from all before it (Eldar et al. 1997).

    start: index of the first point; None starts farthest from the center, so that the selection does not depend on the
        order of the points. Ties go to the first point. ValueError for a count beyond n or a start that is no index.
    """
    check_clouds(x)
    b, n, d = x.shape
    if not 1 <= count <= n:
        raise ValueError(f"count must be between 1 and the number of points, {n}, not {count}")
    if start is not None and not 0 <= start < n:
        raise ValueError(f"start must be one of the {n} points, not {start}")
    # coordinates one by one: a sum over an axis of three is many times slower than three sums
    axes = [x[..., axis].contiguous() for axis in range(d)]
    index = torch.empty(b, count, dtype=torch.int64, device=x.device)
    distance = torch.full((b, n), torch.inf, dtype=x.dtype, device=x.device)
    new, difference = torch.empty_like(distance), torch.empty_like(distance)

    def measure(places: list[Tensor]) -> None:
        for i, (axis, place) in enumerate(zip(axes, places, strict=True)):
            torch.sub(axis, place, out=difference)
            # multiply and add separately, because a fused multiply-add would round differently on another device
            torch.mul(difference, difference, out=difference if i else new)
            if i:
                new.add_(difference)

    if start is None:
        measure([axis.mean(dim=1, keepdim=True) for axis in axes])
        last = new.argmax(dim=1, keepdim=True)
    else:
        last = torch.full((b, 1), start, dtype=torch.int64, device=x.device)
    index[:, :1] = last
    for i in range(1, count):
        measure([axis.gather(1, last) for axis in axes])
        torch.minimum(distance, new, out=distance)
        last = distance.argmax(dim=1, keepdim=True)
        index[:, i : i + 1] = last
    return index
