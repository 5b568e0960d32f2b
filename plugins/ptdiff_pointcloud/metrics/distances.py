"""Distances between clouds, by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ptdiff.choices import Catalog
from ptdiff.machine import host
from ptdiff.metrics import Array, tensors
from ptdiff.modality import Progress
from ptdiff_pointcloud.metrics import bounds, emd
from ptdiff_pointcloud.metrics.chamfer import chamfer_pairs
from ptdiff_pointcloud.metrics.matrix import Pairs, completed, is_finished, matrix
from ptdiff_pointcloud.metrics.matrix_store import Matrix, content_hash
from ptdiff_pointcloud.metrics.quality import density_aware_pairs


@dataclass(frozen=True)
class Distance:
    """A distance between clouds.

    pairs: prepares the distances of pairs of two sets. bound: cheap lower bounds, if there are any. symmetric: d(x, y)
    = d(y, x). card: computed on the device of the samples.
    """

    summary: str
    pairs: Callable[[Tensor, Tensor], Pairs]
    bound: Callable[[Tensor, Tensor], Tensor] | None = None
    symmetric: bool = True
    card: bool = False


DISTANCES: Catalog[Distance] = Catalog(
    "distance",
    {
        "cd": Distance("Chamfer: sum of the two means of squared distances", chamfer_pairs, bounds.chamfer_bound),
        "dcd": Distance("density-aware Chamfer, alpha = 1000", density_aware_pairs),
        "emd_exact": Distance(
            "earth mover's distance, exact: the mean length of the best assignment", emd.exact_pairs, bounds.emd_bound
        ),
        "emd_sinkhorn": Distance(
            "earth mover's distance, sinkhorn: entropic plan of blur 0.01; far too high for near clouds",
            emd.batched(emd.sinkhorn),
            symmetric=False,
            card=True,
        ),
        "emd_pointflow": Distance(
            "earth mover's distance, PointFlow's approximation: matching in 9 rounds, mean length",
            emd.batched(emd.pointflow),
            symmetric=False,
            card=True,
        ),
        "emd_pytorchemd": Distance(
            "earth mover's distance, PyTorchEMD's approximation: matching in 10 rounds, mean squared length",
            emd.batched(emd.pytorchemd),
            symmetric=False,
            card=True,
        ),
    },
)


def all_distances(
    kind: str,
    x: Array,
    y: Array | None = None,
    *,
    nearest: bool = False,
    columns: bool = True,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Compute distances of the clouds x (k, n, 3) to the clouds y (l, m, 3), or among x: float64 (k, l) on the CPU.

    Distances with ``card`` are computed on the device of x, all others on the CPU.
    nearest: given a bound, compute only entries that can be the minimum of their row or (``columns``) of their column;
        the others are infinite.
    cache: a folder that stores the matrix, finished or not.
    """
    distance, among = DISTANCES[kind], y is None
    x, other = tensors(x, x if y is None else y)
    device = host.exact(x.device) if distance.card else torch.device("cpu")
    left = x.to(device)
    right = left if among else other.to(device)
    shape, kept = (len(left), len(right)), None
    if cache is not None:
        kept = stored_distances(kind, left, right, nearest=nearest, columns=columns, cache=cache)
        known = kept.read(shape)
        if known is not None and is_finished(known, among=among, symmetric=distance.symmetric):
            if progress is not None:
                progress(1, 1)
            return completed(known, among=among, symmetric=distance.symmetric)
    return matrix(
        distance.pairs(left, right),
        shape,
        among=among,
        symmetric=distance.symmetric,
        bound=distance.bound(left, right) if nearest and distance.bound is not None else None,
        columns=columns,
        kept=kept,
        progress=progress,
    )


def stored_distances(
    kind: str, x: Tensor, y: Tensor | None = None, *, nearest: bool = False, columns: bool = True, cache: Path
) -> Matrix:
    """Return the storage of a matrix in the folder ``cache``; the arguments are those of ``all_distances``."""
    pruned = nearest and DISTANCES[kind].bound is not None
    part = "all" if not pruned else "nearest" if columns else "rows"
    digest = content_hash(x)
    return Matrix(cache, f"{kind}-{part}", digest, digest if y is None or y is x else content_hash(y))


def nearest_clouds(x: Array, y: Array, points: int = 512, progress: Progress | None = None) -> tuple[Tensor, Tensor]:
    """Return the Chamfer distance of each cloud x (k, n, 3) to the nearest of y (l, m, 3), and its index: (k,) each.

    Uses the first ``points`` of every cloud, or fewer if a set has fewer, equally many on both sides.
    """
    x, y = tensors(x, y)
    points = min(points, x.shape[1], y.shape[1])
    found = all_distances("cd", x[:, :points], y[:, :points], nearest=True, columns=False, progress=progress).min(dim=1)
    return found.values, found.indices
