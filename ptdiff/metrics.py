"""Scores with intervals and floors, and distances between two sets of samples of any shape.

x_i, y_j are the two sets, flattened to vectors of dimension d.

* Sliced Wasserstein distance: the root of the mean of W2^2 of the projections over random directions
  (Bonneel et al. 2015).  The sets have equal size, so W2 in one dimension takes a sort.
* Kernel discrepancy: E k(x,x') + E k(y,y') - 2 E k(x,y), where E is over distinct pairs, which makes it unbiased
  (Gretton et al. 2012, eq. 3).
  Energy distance: its root for k = -|x-y| (Székely and Rizzo 2013; Sejdinovic et al. 2013), clipped below at 0.
  mmd_squared: its value for k = mean over s of exp(-|x-y|^2 / 2 s^2), with s = 2, 1, 1/2, 1/4, 1/8 times the mean
  distance within y.  It is unbiased, hence often negative if both sets have the same distribution.

Every score has a bootstrap interval, from resampling the generated samples, and a floor, the score of the training
samples.
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
"""Samples: a tensor or a NumPy array."""

Kernel = Callable[[Tensor], Tensor]
"""Maps distances of any shape to kernel values of the same shape."""


@dataclass(frozen=True)
class Score:
    """A score with a bootstrap interval and a floor.

    ``value``: the score.
    ``low``, ``high``: ends of its 95% bootstrap interval.
    ``floor``: the score of real samples; NaN if no real samples were given.
    """

    value: float
    low: float
    high: float
    floor: float = math.nan


def bootstrap(
    statistic: Callable[[Tensor], float], count: int, *, rounds: int = 100, seed: int = 0
) -> tuple[float, float]:
    """95% bootstrap interval (low, high) of ``statistic(indices)`` over ``rounds`` resamplings of ``count`` items.

    The quantiles of the resampled values are shifted so that their mean is the value itself: duplicates in a set make
    distances larger, and this bias is not part of the spread.
    """
    generator = torch.Generator().manual_seed(seed)
    draws = [statistic(torch.randint(count, (count,), generator=generator)) for _ in range(rounds)]
    spread = torch.tensor(draws, dtype=torch.float64)
    low, high = spread.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)) - spread.mean()
    value = statistic(torch.arange(count))
    return value + float(low), value + float(high)


def tensors(*sets: Array) -> list[Tensor]:
    """The sets as tensors, sharing memory if possible."""
    return [torch.as_tensor(one) for one in sets]


def sliced_wasserstein(x: Array, y: Array, *, directions: int = 256, seed: int = 0) -> float:
    """Sliced 2-Wasserstein distance of two sets of equal size, (n, *shape) each, in the units of the data.

    ``directions``: number of random projections, drawn with ``seed``.  Raises ValueError if the shapes differ.
    """
    x, y = tensors(x, y)
    return float(_sliced(x, y, torch.ones(1, len(x)), directions, seed))


def _sliced(x: Tensor, y: Tensor, copies: Tensor, directions: int = 256, seed: int = 0) -> Tensor:
    """The same for resampled x: ``copies`` (rounds, n) is the number of copies of each x; float64 (rounds,)."""
    x, y = x.flatten(1).double(), y.flatten(1).double()
    if x.shape != y.shape:
        raise ValueError(
            f"sliced Wasserstein needs two sets of the same shape, not {tuple(x.shape)} and {tuple(y.shape)}"
        )
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(x.shape[1], directions, generator=generator, dtype=torch.float64)
    normal = (normal / normal.norm(dim=0)).T
    projected, order = (normal @ x.T).sort(dim=1)
    target = (normal @ y.T).sort(dim=1).values
    found = []
    for times in copies.long():
        # sorted only once, because copies of an item are adjacent
        resampled = projected.flatten().repeat_interleave(times[order].flatten()).reshape(projected.shape)
        found.append((resampled - target).square().mean().sqrt())
    return torch.stack(found)


def energy_distance(x: Array, y: Array) -> float:
    """Energy distance sqrt(2 E|x-y| - E|x-x'| - E|y-y'|) of two sets (n, *shape) and (m, *shape), at least 2 each.

    The unbiased estimate of the square is clipped below at 0.  In the square root of the units of the data.
    """
    x, y = tensors(x, y)
    return float(_discrepancy(x, y, torch.neg).clamp(min=0).sqrt())


def mmd_squared(x: Array, y: Array) -> float:
    """Squared maximum mean discrepancy of two sets (n, *shape) and (m, *shape), at least 2 each; unbiased.

    The kernel is that of :func:`gaussians`.  Without units; may be negative.
    """
    x, y = tensors(x, y)
    return float(_discrepancy(x, y, gaussians(y)))


def gaussians(y: Tensor) -> Kernel:
    """The kernel of :func:`mmd_squared` as a function of the distance: a mean of five Gaussians.

    Their widths are 2, 1, 1/2, 1/4, 1/8 times the mean distance within up to 1,000 elements of ``y`` (m, *shape).
    Raises ValueError if these are all equal.
    """
    some = _centered(y, y)[0][:: -(-len(y) // 1000)]
    # the mean rather than the median, which is 0 if most samples of discrete data are equal
    width = 2 * float(torch.cdist(some, some).sum()) / max(1, len(some) * (len(some) - 1))
    if not width > 0:
        raise ValueError("a kernel needs samples that are not all equal to determine its width")

    def kernel(distance: Tensor) -> Tensor:
        # halving the width raises the kernel to the fourth power
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
    """Euclidean distance of each x (n, *shape) to the nearest y (m, *shape), and its index: (n,) each.

    ``progress``: called with the number of x that are done and their total.
    ``block``: maximum number of distances in memory.

    Raises ValueError if the shapes do not match or y is empty.
    """
    x, y = tensors(x, y)
    if x.shape[1:] != y.shape[1:] or len(y) == 0:
        raise ValueError(f"nearest needs a nonempty set of samples of shape {tuple(x.shape[1:])}, not {tuple(y.shape)}")
    x, y = x.flatten(1).double(), y.flatten(1).double()
    middle = y.mean(dim=0)
    found = []
    for part in torch.split(x - middle, max(1, block // len(y))):
        found.append(torch.cdist(part, y - middle).min(dim=1))
        if progress is not None:
            progress(sum(len(f.values) for f in found), len(x))
    return torch.cat([f.values for f in found]), torch.cat([f.indices for f in found])


def _discrepancy(x: Tensor, y: Tensor, kernel: Kernel, copies: Tensor | None = None) -> Tensor:
    """Kernel discrepancy of resampled x, float64 (rounds,); ``copies`` (rounds, n) counts the copies of each x."""
    if len(x) < 2 or len(y) < 2:
        raise ValueError(f"a distance over pairs needs at least 2 samples of each set, not {len(x)} and {len(y)}")
    x, y = _centered(x, y)
    w = torch.ones(1, len(x), dtype=torch.float64) if copies is None else copies.double()
    one = torch.ones(1, len(y), dtype=torch.float64)
    across = sum((w[:, rows] @ k).sum(dim=1) for rows, k in _blocks(x, y, kernel)) / (w.sum(dim=1) * len(y))
    return _within(x, kernel, w) + _within(y, kernel, one) - 2 * across


def _within(x: Tensor, kernel: Kernel, w: Tensor) -> Tensor:
    # a resampled set has duplicates: pairs of an item with itself do not belong in E k(x,x')
    total = torch.zeros(len(w), dtype=torch.float64)
    for rows, k in _blocks(x, x, kernel):
        k[torch.arange(len(rows)), rows] = 0
        total += ((w[:, rows] @ k) * w).sum(dim=1)
    return total / (w.sum(dim=1).square() - w.square().sum(dim=1))


def _blocks(x: Tensor, y: Tensor, kernel: Kernel, size: int = 2**23) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield blocks of row indices, and the kernel between these x and all y."""
    for rows in torch.split(torch.arange(len(x)), max(1, size // len(y))):
        yield rows, kernel(torch.cdist(x[rows], y))


def _centered(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    # cdist multiplies matrices, and a common offset would cost it digits
    x, y = x.flatten(1).double(), y.flatten(1).double()
    middle = y.mean(dim=0)
    return x - middle, y - middle


def compare(samples: Array, reference: Array, training: Array | None = None, seed: int = 0) -> dict[str, Score]:
    """Sliced Wasserstein, energy and kernel distances of ``samples`` to ``reference``, with intervals and floors.

    Each set is (n, *shape), with at least 4 samples; the first ones are used if sizes differ.  The intervals resample
    ``samples`` only; the floor, the score of ``training``, shows the effect of a finite reference.  Without
    ``training`` it is NaN.  ``mmd_squared`` is missing if all of ``reference`` are equal.
    """
    given = [samples, reference] if training is None else [samples, reference, training]
    n = min(map(len, given))
    if n < 4:
        raise ValueError(f"a comparison needs at least 4 samples of each set, not {n}")
    samples, reference, *real = (s[:n].flatten(1).double() for s in tensors(*given))

    def floor(distance: Callable[[Tensor, Tensor], float]) -> float:
        return distance(real[0], reference) if real else math.nan

    # the set itself, then resampled sets
    copies = torch.cat([torch.ones(1, n), resampled(n, 100, seed)])
    value, low, high = interval(_sliced(samples, reference, copies, seed=seed))
    # distances are not negative, and one that was clipped at 0 may lie outside the shifted quantiles
    least = floor(partial(sliced_wasserstein, seed=seed))
    scores = {"sliced_wasserstein": Score(value, max(0.0, min(low, value)), max(high, value), least)}
    value, low, high = interval(_discrepancy(samples, reference, torch.neg, copies).clamp(min=0).sqrt())
    scores["energy"] = Score(value, max(0.0, min(low, value)), max(high, value), floor(energy_distance))
    # equal samples determine no kernel width
    if bool((reference != reference[0]).any()):
        kernel = gaussians(reference)
        value, low, high = interval(_discrepancy(samples, reference, kernel, copies))
        scores["mmd_squared"] = Score(value, low, high, floor(lambda x, y: float(_discrepancy(x, y, kernel))))
    return scores


def resampled(count: int, rounds: int, seed: int) -> Tensor:
    """Number of times that each of ``count`` items is drawn in each of ``rounds`` resamplings, (rounds, count)."""
    draws = torch.randint(count, (rounds, count), generator=torch.Generator().manual_seed(seed))
    return torch.zeros(rounds, count).scatter_add_(1, draws, torch.ones(rounds, count))


def interval(values: Tensor) -> tuple[float, float, float]:
    """The first of ``values`` (1 + rounds,), and the shifted quantiles of the others, as in :func:`bootstrap`."""
    value, spread = float(values[0]), values[1:].double()
    # a resampling of few items may draw the same one every time, which leaves no pairs
    spread = spread[spread.isfinite()]
    low, high = (spread.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)) - spread.mean()).tolist()
    return value, value + low, value + high


def memorization(samples: Array, held_out: Array, seed: int = 0) -> Score:
    """Distance of samples to the training set relative to that of held-out data: the ratio of the mean distances.

    ``samples``, ``held_out``: (n,) and (m,), the distance of each to its nearest training sample.

    The floor is 1, the ratio for unseen data; values far below 1 mean that the model repeats training samples.  The
    interval resamples both sets.  Raises ValueError for fewer than 2 distances, or if all of ``held_out`` are 0.
    """
    x, y = (one.double() for one in tensors(samples, held_out))
    if len(x) < 2 or len(y) < 2 or not y.mean() > 0:
        raise ValueError("memorization needs at least 2 distances each, and held-out data outside the training set")
    generator = torch.Generator().manual_seed(seed)
    rows, others = (torch.randint(len(z), (1000, len(z)), generator=generator) for z in (x, y))
    ratios = x[rows].mean(1) / y[others].mean(1)
    low, high = ratios[ratios.isfinite()].quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    value = float(x.mean() / y.mean())
    return Score(value, min(low, value), max(high, value), 1.0)
