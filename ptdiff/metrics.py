"""Scores with intervals and floors, and distances between two sets of samples of any shape.

x_i, y_j are the two sets, flattened to vectors of dimension d.

* Sliced Wasserstein distance: the root of the mean over random directions of W2^2 of the projections
  (Bonneel et al. 2015), here with equally large sets, so that W2 is a sort.
* Kernel discrepancy: E k(x,x') + E k(y,y') - 2 E k(x,y), E over different pairs, which makes it unbiased (Gretton et
  al. 2012, eq. 3).
  Energy distance: its root for k = -|x-y| (Székely and Rizzo 2013; Sejdinovic et al. 2013), cut off below at 0.
  mmd_squared: for k = mean over s of exp(-|x-y|^2 / 2 s^2), s = 2, 1, 1/2, 1/4, 1/8 times the mean distance within
  y; unbiased, hence negative for about half of all samples of the right distribution.

Every score carries a bootstrap interval (resampling the generated samples) and a floor: what the training samples
reach.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

Array = Tensor | npt.NDArray[Any]
"""Samples: a tensor, or an array of NumPy."""

Kernel = Callable[[Tensor], Tensor]
"""Values of a kernel at distances of any shape."""


@dataclass(frozen=True)
class Score:
    """A figure with its 95 % bootstrap interval and the floor that real samples reach.

    The floor is NaN where no real samples were given.
    """

    value: float
    low: float
    high: float
    floor: float = math.nan


def bootstrap(
    statistic: Callable[[Tensor], float], count: int, *, rounds: int = 100, seed: int = 0
) -> tuple[float, float]:
    """A 95 % interval of ``statistic(indices)`` over ``rounds`` resamplings of ``count`` items.

    The quantiles of the resampled values are moved so that their mean is the value itself: distances grow when a set
    holds items twice, and that bias says nothing about the spread.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = [statistic(torch.randint(count, (count,), generator=generator)) for _ in range(rounds)]
    spread = torch.tensor(draws, dtype=torch.float64)
    low, high = spread.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)) - spread.mean()
    value = statistic(torch.arange(count))
    return value + float(low), value + float(high)


def tensors(*sets: Array) -> list[Tensor]:
    """The sets as tensors; memory is shared where that is possible."""
    return [torch.as_tensor(one) for one in sets]


def sliced_wasserstein(x: Array, y: Array, *, directions: int = 256, seed: int = 0) -> float:
    """Sliced W2 between two sets of equal size, (n, *shape) each, in the units of the data."""
    x, y = tensors(x, y)
    return float(_sliced(x, y, torch.ones(1, len(x)), directions, seed))


def _sliced(x: Tensor, y: Tensor, copies: Tensor, directions: int = 256, seed: int = 0) -> Tensor:
    """The same of resampled x: copies (rounds, n), how often each x counts, n in all; (rounds,), float64."""
    x, y = x.flatten(1).double(), y.flatten(1).double()
    if x.shape != y.shape:
        raise ValueError(f"sliced Wasserstein needs two sets of one shape, not {tuple(x.shape)} and {tuple(y.shape)}")
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(x.shape[1], directions, generator=generator, dtype=torch.float64)
    normal = (normal / normal.norm(dim=0)).T
    projected, order = (normal @ x.T).sort(dim=1)
    target = (normal @ y.T).sort(dim=1).values
    found = []
    for times in copies.long():
        # sorted once: copies of an item lie beside each other
        resampled = projected.flatten().repeat_interleave(times[order].flatten()).reshape(projected.shape)
        found.append((resampled - target).square().mean().sqrt())
    return torch.stack(found)


def energy_distance(x: Array, y: Array) -> float:
    """Energy distance between two sets (n, *shape) and (m, *shape); the unbiased estimate, cut off below at 0."""
    x, y = tensors(x, y)
    return float(_discrepancy(x, y, torch.neg).clamp(min=0).sqrt())


def mmd_squared(x: Array, y: Array) -> float:
    """Squared maximum mean discrepancy of two sets (n, *shape) and (m, *shape), unbiased; kernel as above."""
    x, y = tensors(x, y)
    return float(_discrepancy(x, y, gaussians(y)))


def gaussians(y: Tensor) -> Kernel:
    """The kernel of :func:`mmd_squared` as a function of distances; its widths come from up to 1,000 of y."""
    some = _centered(y, y)[0][:: -(-len(y) // 1000)]
    # the mean and not the median, which is 0 where most of discrete data is alike
    width = 2 * float(torch.cdist(some, some).sum()) / max(1, len(some) * (len(some) - 1))
    if not width > 0:
        raise ValueError("a kernel takes its width from a set of samples that are not all alike")

    def kernel(distance: Tensor) -> Tensor:
        # half the width is the fourth power
        value = torch.exp(distance.square() * (-0.5 / width**2))
        total = value
        for _ in range(4):
            value = value.square().square()
            total = total + value
        return total / 5

    return kernel


def nearest(
    x: Array, y: Array, progress: Callable[[int, int], None] | None = None, *, block: int = 2**24
) -> tuple[Tensor, Tensor]:
    """Euclidean distance of each x (n, *shape) to the nearest of y (m, *shape), and which that is: (n,) each.

    ``block``: the most distances at a time.
    """
    x, y = tensors(x, y)
    if x.shape[1:] != y.shape[1:] or len(y) == 0:
        raise ValueError(f"there is no nearest of {tuple(y.shape)} to samples {tuple(x.shape)}")
    x, y = x.flatten(1).double(), y.flatten(1).double()
    middle = y.mean(dim=0)
    found = []
    for part in torch.split(x - middle, max(1, block // len(y))):
        found.append(torch.cdist(part, y - middle).min(dim=1))
        if progress is not None:
            progress(sum(len(f.values) for f in found), len(x))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _discrepancy(x: Tensor, y: Tensor, kernel: Kernel, copies: Tensor | None = None) -> Tensor:
    """The kernel discrepancy of resampled x: copies (rounds, n), how often each x counts; (rounds,), float64."""
    if len(x) < 2 or len(y) < 2:
        raise ValueError(f"a distance over pairs needs two samples of each set, not {len(x)} and {len(y)}")
    x, y = _centered(x, y)
    w = torch.ones(1, len(x), dtype=torch.float64) if copies is None else copies.double()
    one = torch.ones(1, len(y), dtype=torch.float64)
    across = sum((w[:, rows] @ k).sum(dim=1) for rows, k in _blocks(x, y, kernel)) / (w.sum(dim=1) * len(y))
    return _within(x, kernel, w) + _within(y, kernel, one) - 2 * across


def _within(x: Tensor, kernel: Kernel, w: Tensor) -> Tensor:
    # a resampled set holds some items twice: pairs of an item with itself say nothing about E k(x,x')
    total = torch.zeros(len(w), dtype=torch.float64)
    for rows, k in _blocks(x, x, kernel):
        k[torch.arange(len(rows)), rows] = 0
        total += ((w[:, rows] @ k) * w).sum(dim=1)
    return total / (w.sum(dim=1).square() - w.square().sum(dim=1))


def _blocks(x: Tensor, y: Tensor, kernel: Kernel, size: int = 2**23) -> Iterator[tuple[Tensor, Tensor]]:
    """Some rows at a time, and the kernel of these x with all y."""
    for rows in torch.split(torch.arange(len(x)), max(1, size // len(y))):
        yield rows, kernel(torch.cdist(x[rows], y))


def _centered(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # cdist multiplies matrices, which loses the digits of a common offset
    x, y = x.flatten(1).double(), y.flatten(1).double()
    middle = y.mean(dim=0)
    return x - middle, y - middle


def compare(samples: Array, reference: Array, training: Array | None = None, seed: int = 0) -> dict[str, Score]:
    """Sliced Wasserstein, energy and kernel distances of ``samples`` to ``reference``, with intervals and floors.

    The intervals resample the generated samples; that the reference is a sample too is what the floor shows.  Without
    ``training`` there is no floor (NaN).
    """
    given = [samples, reference] if training is None else [samples, reference, training]
    n = min(map(len, given))
    if n < 4:
        raise ValueError(f"samples are compared four against four at least: there are {n} of some set")
    samples, reference, *real = (s[:n].flatten(1).double() for s in tensors(*given))

    def floor(distance: Callable[[Tensor, Tensor], float]) -> float:
        return distance(real[0], reference) if real else math.nan

    # the set itself, and resampled sets
    copies = torch.cat([torch.ones(1, n), resampled(n, 100, seed)])
    value, low, high = interval(_sliced(samples, reference, copies, seed=seed))
    # no distance is negative, and one that was cut off at 0 may lie outside the moved quantiles
    least = floor(partial(sliced_wasserstein, seed=seed))
    scores = {"sliced_wasserstein": Score(value, max(0.0, min(low, value)), max(high, value), least)}
    value, low, high = interval(_discrepancy(samples, reference, torch.neg, copies).clamp(min=0).sqrt())
    scores["energy"] = Score(value, max(0.0, min(low, value)), max(high, value), floor(energy_distance))
    # a single value has no width, and no kernel
    if bool((reference != reference[0]).any()):
        kernel = gaussians(reference)
        value, low, high = interval(_discrepancy(samples, reference, kernel, copies))
        scores["mmd_squared"] = Score(value, low, high, floor(lambda x, y: float(_discrepancy(x, y, kernel))))
    return scores


def resampled(count: int, rounds: int, seed: int) -> Tensor:
    """How often each of ``count`` items is drawn in ``rounds`` resamplings, (rounds, count)."""
    draws = torch.randint(count, (rounds, count), generator=torch.Generator().manual_seed(seed))
    return torch.zeros(rounds, count).scatter_add_(1, draws, torch.ones(rounds, count))


def interval(values: Tensor) -> tuple[float, float, float]:
    """The first value, and the moved quantiles of the others, as in :func:`bootstrap`."""
    value, spread = float(values[0]), values[1:].double()
    # of few items a resampling may take but one, which makes no pairs
    spread = spread[spread.isfinite()]
    low, high = (spread.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)) - spread.mean()).tolist()
    return value, value + low, value + high


def memorization(samples: Array, held_out: Array, seed: int = 0) -> Score:
    """How near samples lie to the training set, relative to held-out data: the ratio of mean nearest distances.

    samples, held_out: (n,) and (m,), the distance of each to its nearest training sample.  1 is what data that was
    never seen reaches, which is the floor; far below it, training samples are repeated.  The interval resamples both.
    """
    x, y = (one.double() for one in tensors(samples, held_out))
    if len(x) < 2 or len(y) < 2 or not y.mean() > 0:
        raise ValueError("a ratio of distances needs two samples of each set, and held-out ones off the training set")
    generator = torch.Generator().manual_seed(seed)
    rows, others = (torch.randint(len(z), (1000, len(z)), generator=generator) for z in (x, y))
    ratios = x[rows].mean(1) / y[others].mean(1)
    low, high = ratios[ratios.isfinite()].quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    value = float(x.mean() / y.mean())
    return Score(value, min(low, value), max(high, value), 1.0)
