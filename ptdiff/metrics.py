"""Scores with intervals and floors, and distances between two sets of samples of any shape.

x_i, y_j are the two sets, flattened to vectors of dimension d.

* Sliced Wasserstein distance: the root of the mean over random directions of W2^2 of the projections
  (Bonneel et al. 2015), here with equally large sets, so that W2 is a sort.
* Energy distance: sqrt(2 E|x-y| - E|x-x'| - E|y-y'|), E over different pairs (Székely and Rizzo 2013).

Every score carries a bootstrap interval (resampling the generated samples) and a floor: what the training samples
reach.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Score:
    """A figure with its 95 % bootstrap interval and the floor that real samples reach."""

    value: float
    low: float
    high: float
    floor: float


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


def sliced_wasserstein(x: Tensor, y: Tensor, *, directions: int = 256, seed: int = 0) -> float:
    """Sliced W2 between two sets of equal size, (n, *shape) each, in the units of the data."""
    x, y = x.flatten(1).double(), y.flatten(1).double()
    if x.shape != y.shape:
        raise ValueError(f"sliced Wasserstein needs two sets of one shape, not {tuple(x.shape)} and {tuple(y.shape)}")
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(x.shape[1], directions, generator=generator, dtype=torch.float64)
    normal = normal / normal.norm(dim=0)
    gap = (x @ normal).sort(dim=0).values - (y @ normal).sort(dim=0).values
    return float(gap.square().mean().sqrt())


def energy_distance(x: Tensor, y: Tensor) -> float:
    """Energy distance between two sets (n, *shape) and (m, *shape); the unbiased estimate, cut off below at 0."""
    if len(x) < 2 or len(y) < 2:
        raise ValueError(f"the energy distance needs two samples of each set, not {len(x)} and {len(y)}")
    return _energy(*_distances(x, y), torch.arange(len(x)))


def nearest(
    x: Tensor, y: Tensor, progress: Callable[[int, int], None] | None = None, *, block: int = 2**24
) -> tuple[Tensor, Tensor]:
    """Euclidean distance of each x (n, *shape) to the nearest of y (m, *shape), and which that is: (n,) each.

    ``block``: the most distances at a time.
    """
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


def _distances(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All distances between the sets, within x and within y."""
    x, y = x.flatten(1).double(), y.flatten(1).double()
    # cdist multiplies matrices, which loses the digits of a common offset
    middle = y.mean(dim=0)
    x, y = x - middle, y - middle
    return torch.cdist(x, y), torch.cdist(x, x), torch.cdist(y, y)


def _energy(across: Tensor, within_x: Tensor, within_y: Tensor, rows: Tensor) -> float:
    # a resampled set holds some items twice: pairs of an item with itself say nothing about E|x-x'|
    different = rows[:, None] != rows[None, :]
    x = within_x[rows][:, rows].sum() / different.sum()
    m = len(within_y)
    return float((2 * across[rows].mean() - x - within_y.sum() / (m * (m - 1))).clamp(min=0).sqrt())


def compare(samples: Tensor, reference: Tensor, training: Tensor, seed: int = 0) -> dict[str, Score]:
    """Sliced Wasserstein and energy distance of ``samples`` to ``reference``, with intervals and floors.

    The intervals resample the generated samples; that the reference is a sample too is what the floor shows.
    """
    n = min(len(samples), len(reference), len(training))
    if n < 2:
        raise ValueError("at least two samples of each set are needed to compare them")
    samples, reference, training = (s[:n].flatten(1).double() for s in (samples, reference, training))

    def sliced(rows: Tensor) -> float:
        return sliced_wasserstein(samples[rows], reference, seed=seed)

    distances = _distances(samples, reference)

    def energy(rows: Tensor) -> float:
        return _energy(*distances, rows)

    floors = {
        "sliced_wasserstein": sliced_wasserstein(training, reference, seed=seed),
        "energy": energy_distance(training, reference),
    }
    statistics = {"sliced_wasserstein": sliced, "energy": energy}
    scores = {}
    for name, of in statistics.items():
        low, high = bootstrap(of, n, rounds=100, seed=seed)
        value = of(torch.arange(n))
        # no distance is negative, and one that was cut off at 0 may lie outside the moved quantiles
        scores[name] = Score(value, max(0.0, min(low, value)), max(high, value), floors[name])
    return scores


def memorization(samples: Tensor, held_out: Tensor, seed: int = 0) -> Score:
    """How near samples lie to the training set, relative to held-out data: the ratio of mean nearest distances.

    samples, held_out: (n,) and (m,), the distance of each to its nearest training sample.  1 is what data that was
    never seen reaches, which is the floor; far below it, training samples are repeated.  The interval resamples both.
    """
    x, y = samples.double(), held_out.double()
    if len(x) < 2 or len(y) < 2 or not y.mean() > 0:
        raise ValueError("a ratio of distances needs two samples of each set, and held-out ones off the training set")
    generator = torch.Generator().manual_seed(seed)
    rows, others = (torch.randint(len(z), (1000, len(z)), generator=generator) for z in (x, y))
    ratios = x[rows].mean(1) / y[others].mean(1)
    low, high = ratios[ratios.isfinite()].quantile(torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    value = float(x.mean() / y.mean())
    return Score(value, min(low, value), max(high, value), 1.0)
