"""Distance matrices between clouds, computed pair by pair: in threads, pruned by bounds, and resumable.

x: k clouds; y: l clouds; d(x_i, y_j) is computed by a :class:`Pairs` function for lists of indices i and j.

Most statistics of two sets need nearest neighbors only. A lower bound of every distance then saves most of the work:
pairs are taken in the order of their bounds, and a pair whose bound exceeds the best distances of both its clouds so
far is pruned. The others get these best distances as a ceiling, and may stop once they exceed it. Pruned entries are
infinite; the minima of rows and columns, and their positions, are those of the full matrix.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from torch import Tensor

from ptdiff.modality import Progress

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

T = TypeVar("T")


class Pairs(Protocol):
    """A function from indices i and j, int64 (p,) each, to the distances d(x_i, y_j): float64 (p,).

    A distance above its ``ceiling`` (p,) may be returned as infinity, because it cannot be a minimum.
    """

    def __call__(self, i: Tensor, j: Tensor, ceiling: Tensor | None = None) -> Tensor:
        """Compute the distances of the pairs (i, j)."""
        ...


BLOCK = 64
"""Number of pairs between two updates of the best distances."""

_SAVE = 20.0  # seconds between two writes of the unfinished matrix


class Kept(Protocol):
    """Storage of an unfinished matrix, with NaN for distances that are not known yet."""

    def read(self, shape: tuple[int, int]) -> Tensor | None:
        """Return the stored matrix, or None."""
        ...

    def write(self, distances: Tensor) -> None:
        """Store the matrix."""
        ...


@cache
def _openmp() -> ThreadpoolController:
    import pykdtree.kdtree  # noqa: F401  # only loaded libraries are found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="openmp")


def spread(work: Callable[..., T], *each: Iterable[Any]) -> list[T]:
    """Map ``work`` over threads; it must let other threads run, as searches of trees do. Returns the results in order.

    Uses as many threads as torch; in each, libraries with OpenMP use one, except torch, which sets its own number in
    its first operation.
    """
    with ThreadPoolExecutor(torch.get_num_threads(), initializer=lambda: _openmp().limit(limits=1)) as pool:
        return list(pool.map(work, *each))


def in_threads(one: Callable[[int, int, float], float]) -> Pairs:
    """Turn a function of i, j and a ceiling into a :class:`Pairs` function that runs in threads."""

    def of(i: Tensor, j: Tensor, ceiling: Tensor | None = None) -> Tensor:
        ceilings = [math.inf] * len(i) if ceiling is None else ceiling.tolist()
        return torch.tensor(spread(one, i.tolist(), j.tolist(), ceilings), dtype=torch.float64)

    return of


def matrix(
    of: Pairs,
    shape: tuple[int, int],
    *,
    among: bool = False,
    symmetric: bool = True,
    bound: Tensor | None = None,
    columns: bool = True,
    kept: Kept | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Compute all distances, float64 (k, l) on the CPU.

    among: x and y are one set; its diagonal is 0, and for a symmetric distance each pair is computed once.
    bound: (k, l), lower bounds of the distances; entries that are the minimum of neither their row nor, with
        ``columns``, of their column may then be infinite (``among`` ignores the diagonal).
    kept: continues what an interrupted call left; written every few seconds and at the end.
    progress: counts pairs, pruned ones included.
    """
    half = among and symmetric
    i, j = torch.triu_indices(*shape, offset=1) if half else torch.cartesian_prod(*map(torch.arange, shape)).T
    if among and not half:
        i, j = i[i != j], j[i != j]
    if bound is not None:
        order = bound[i, j].argsort(stable=True)
        i, j = i[order], j[order]
    before = None if kept is None else kept.read(shape)
    out = torch.full(shape, torch.nan, dtype=torch.float64) if before is None else before
    best = _Best(shape, among, columns)
    known = out[i, j].isfinite()
    best.learn(i[known], j[known], out[i, j][known])
    saved = time.monotonic()
    for first in range(0, len(i), BLOCK):
        a, b = i[first : first + BLOCK], j[first : first + BLOCK]
        unknown = out[a, b].isnan()
        a, b = a[unknown], b[unknown]
        if bound is not None:
            spared = bound[a, b] > best.needed(a, b)
            out[a[spared], b[spared]] = torch.inf
            a, b = a[~spared], b[~spared]
        if len(a):
            found = (of(a, b) if bound is None else of(a, b, best.needed(a, b))).double().cpu()
            out[a, b] = found
            best.learn(a, b, found)
        if progress is not None:
            progress(min(first + BLOCK, len(i)), len(i))
        if kept is not None and time.monotonic() - saved > _SAVE:
            kept.write(out)
            saved = time.monotonic()
    if kept is not None and (before is None or not known.all()):
        kept.write(out)
    return completed(out, among=among, symmetric=symmetric)


def is_finished(stored: Tensor, *, among: bool, symmetric: bool) -> bool:
    """True if a stored matrix (k, l) lacks no distance; of a symmetric one among a set, only the upper half counts."""
    unknown = stored.isnan()
    if among:
        unknown = unknown.triu(1) if symmetric else unknown.fill_diagonal_(False)
    return not bool(unknown.any())


def completed(stored: Tensor, *, among: bool, symmetric: bool) -> Tensor:
    """Fill the lower half and the diagonal of a finished matrix (k, l) among one set."""
    if among and symmetric:
        stored = stored.triu(1)
        stored = stored + stored.T
    return stored.fill_diagonal_(0) if among else stored


class _Best:
    """Minimum distance of every row and column so far."""

    def __init__(self, shape: tuple[int, int], among: bool, columns: bool) -> None:
        self.rows = torch.full(shape[:1], torch.inf, dtype=torch.float64)
        # within one set, a cloud's row and column are the same
        self.columns = self.rows if among else torch.full(shape[1:], torch.inf, dtype=torch.float64)
        self.both = among or columns

    def learn(self, i: Tensor, j: Tensor, found: Tensor) -> None:
        self.rows.scatter_reduce_(0, i, found, "amin")
        self.columns.scatter_reduce_(0, j, found, "amin")

    def needed(self, i: Tensor, j: Tensor) -> Tensor:
        """Pruning threshold of the pairs (i, j)."""
        return torch.maximum(self.rows[i], self.columns[j]) if self.both else self.rows[i]
