"""All-pairs Chamfer distances between two sets of point clouds.

    CD(x, y) = mean_i min_j |x_i - y_j|^2 + mean_j min_i |x_i - y_j|^2

squared, the sum of the two means, without root and without a half: the definition of PointFlow (Yang et al.
2019) and of the papers that compare with it.

Two exact ways, picked by size: one matrix product per pair, |x|^2 + |y|^2 - 2 x y, in float64 (the terms
cancel: float32 would lose the small distances, and TensorFloat-32 all of them), or SciPy's k-d trees, one for
each cloud, built once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

Progress = Callable[[int, int], None]

TREES_FROM = 1024
"""Points per cloud from which trees are faster than products on a CPU (0.9 ms a pair each)."""

_BLOCK = {
    "cpu": 1 << 20,
    "cuda": 1 << 28,
}  # bytes of one product: what a cache, or a card, works through fastest


def chamfer(x: Tensor, y: Tensor | None = None, progress: Progress | None = None) -> Tensor:
    """Distances of all clouds x (k, n, 3) to all clouds y (l, m, 3): float64 (k, l), in squared units.

    Without ``y`` the clouds of x among each other: each pair once, (k, k), symmetric with a zero diagonal.
    ``progress(done, total)`` counts pairs.
    """
    for clouds in (x, x if y is None else y):
        if clouds.ndim != 3 or clouds.shape[-1] != 3 or clouds.shape[1] == 0:
            raise ValueError(f"clouds are an array (number, points, 3), not {tuple(clouds.shape)}")
        if not torch.isfinite(clouds).all():
            raise ValueError("a cloud holds coordinates that are not finite")
    largest = max(x.shape[1], 0 if y is None else y.shape[1])
    row = _tree_rows(x, y) if x.device.type == "cpu" and largest >= TREES_FROM else _product_rows(x, y)
    rows, columns = len(x), len(x if y is None else y)
    out = torch.zeros(rows, columns, dtype=torch.float64, device=x.device)
    total = rows * columns if y is not None else rows * (rows - 1) // 2
    done = 0
    for i in range(rows):
        first = 0 if y is not None else i + 1
        if first < columns:
            out[i, first:] = row(i, first)
        done += columns - first
        if progress is not None:
            progress(done, total)
    return out if y is not None else out + out.T


Row = Callable[[int, int], Tensor]


def _product_rows(x: Tensor, y: Tensor | None) -> Row:
    # one center for both: the smaller the coordinates, the less there is to cancel
    center = x.double().mean(dim=(0, 1))
    x, y = x.double() - center, (x if y is None else y).double() - center
    left = torch.cat([x, x.square().sum(-1, keepdim=True), torch.ones_like(x[..., :1])], dim=-1)
    right = torch.cat([-2 * y, torch.ones_like(y[..., :1]), y.square().sum(-1, keepdim=True)], dim=-1)
    right = right.mT.contiguous()
    step = max(1, _BLOCK.get(x.device.type, 1 << 20) // (8 * x.shape[1] * y.shape[1]))

    def row(i: int, first: int) -> Tensor:
        blocks = []
        for block in torch.split(right[first:], step):
            squares = left[i] @ block  # (block, n, m)
            there, back = squares.amin(2).clamp(min=0), squares.amin(1).clamp(min=0)
            blocks.append(there.mean(1) + back.mean(1))
        return torch.cat(blocks)

    return row


def _tree_rows(x: Tensor, y: Tensor | None) -> Row:
    from scipy.spatial import cKDTree

    trees_x = [cKDTree(cloud) for cloud in x.double().numpy()]
    trees_y = trees_x if y is None else [cKDTree(cloud) for cloud in y.double().numpy()]
    workers = torch.get_num_threads()

    def one_way(tree: cKDTree, other: cKDTree) -> float:
        return float(np.square(tree.query(other.data, workers=workers)[0]).mean())

    def row(i: int, first: int) -> Tensor:
        pairs = [one_way(trees_x[i], tree) + one_way(tree, trees_x[i]) for tree in trees_y[first:]]
        return torch.tensor(pairs, dtype=torch.float64)

    return row
