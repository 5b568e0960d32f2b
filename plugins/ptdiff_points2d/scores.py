"""Scores that need the distribution: the exact density of samples, and the sum their values must have."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt

import torch
from torch import Tensor

from ptdiff.metrics import Score, bootstrap
from ptdiff_datasets.points.formulas import Blurred
from ptdiff_datasets.points.toys import TOYS


def density(exact: Blurred, samples: Tensor, training: Tensor, seed: int) -> Score:
    """Mean -log p of ``samples`` (n, 2) in nats under the exact density; the floor estimates the entropy.

    Above the floor, samples lie where there is no data; below it, they crowd where data is densest.
    """
    found, floor = (-torch.from_numpy(exact.log_density(x.double().numpy())) for x in (samples, training))
    return _score(lambda rows: float(found[rows].mean()), len(found), float(floor.mean()), seed)


def constraint(total: float, samples: Tensor, training: Tensor, seed: int) -> dict[str, Score]:
    """Score how well the numbers of each row (n, d), 0 or 1 in the data, add up to ``total``.

    sum_mean, sum_sd: mean and standard deviation of the sums of the values as they are, rounded or raw;
        :func:`two_valued` says which.
    sum_right: the fraction of rows whose numbers, rounded, add up to ``total`` exactly.
    """

    def mean(x: Tensor) -> float:
        return float(x.sum(dim=1).mean())

    def sd(x: Tensor) -> float:
        return float(x.sum(dim=1).std())

    def right(x: Tensor) -> float:
        return float(((x > 0.5).sum(dim=1) == total).double().mean())

    samples, training = samples.double(), training.double()
    statistics = {"sum_mean": mean, "sum_sd": sd, "sum_right": right}
    return {
        name: _score(lambda rows, of=of: of(samples[rows]), len(samples), of(training), seed)  # type: ignore[misc]
        for name, of in statistics.items()
    }


def facts(data: str) -> dict[str, str]:
    """Return the facts needed to compare the scores of a distribution, or of a file, with others."""
    known = {"mmd_kernel": "Gaussian, mean of widths 2, 1, 1/2, 1/4, 1/8 x mean distance of the reference"}
    toy = TOYS.get(data)
    if toy is None or toy.total is None:
        return known
    share = toy.total / toy.width
    return known | {"independent": f"sum {toy.total:g} ± {sqrt(toy.width * share * (1 - share)):.3g}"}


def two_valued(samples: Tensor, reference: Tensor, training: Tensor) -> dict[str, str]:
    """Report whether ``samples`` (n, d) are rounded in the columns where real data holds only two values."""
    real = torch.cat([reference, training])
    values = {column: torch.unique(real[:, column]) for column in range(real.shape[1])}
    two = {column: known for column, known in values.items() if len(known) == 2 < len(real) - 1}
    if not two:
        return {}
    rounded = all(bool(torch.isin(samples[:, column], known).all()) for column, known in two.items())
    columns = f"{len(two)} column{'s' * (len(two) > 1)} with two values"
    return {"measured_on": f"{columns}, {'rounded to the nearer one' if rounded else 'raw'}"}


def _score(statistic: Callable[[Tensor], float], count: int, floor: float, seed: int) -> Score:
    low, high = bootstrap(statistic, count, seed=seed)
    value = statistic(torch.arange(count))
    return Score(value, min(low, value), max(high, value), floor)
