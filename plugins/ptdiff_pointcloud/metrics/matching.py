"""How like the reference a set of generated clouds is: 1-NNA, coverage and minimum matching distance.

G: n generated clouds; R: n reference clouds.  On the full set, never in groups: in groups of eight, a
generator that repeats forty shapes passes for perfect.

* 1-NNA (Lopez-Paz and Oquab 2017; Yang et al. 2019): how often the nearest neighbor of a cloud among the 2n -
  1 others comes from its own set, in percent; where one of either set is equally near it counts one half (papers'
  code takes the reference's).  50 is best: the sets cannot be told apart.  Its halves tell failures apart: too
  high among the generated means little diversity (they cluster), too high among the reference means clouds off
  the data.
* Coverage: how many reference clouds are the nearest to some generated cloud, in percent.  Real samples reach
  about 55.
* Minimum matching distance: the mean over the reference of the distance to the nearest generated cloud.

Each is a mean of one number per shape, and its 95 % interval resamples those numbers, not the shapes: a cloud
drawn twice would be its own nearest neighbor, and 1-NNA would rise by itself.  Shapes that are neighbors are
not independent (of two that are nearest to each other both are right or both are wrong): they are resampled
together, as the components of the graph of nearest neighbors.  For coverage the interval is on the wide side.
Fewer than five groups say nothing about how the mean varies: the interval is then the range of the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.metrics import bootstrap

_GROUPS = 5  # the least number of groups to resample


@dataclass(frozen=True)
class Distances:
    """Distances (n, n) among generated and among reference clouds, and between them (rows: generated).

    Infinity stands for what is the nearest of nothing.
    """

    generated: Tensor
    reference: Tensor
    between: Tensor


@dataclass(frozen=True)
class Outcomes:
    """A score before the mean: a number per shape (m,), and the group each is resampled with, int64 (m,)."""

    values: Tensor
    group: Tensor

    @property
    def mean(self) -> float:
        return float(self.values.mean())

    def interval(self, seed: int) -> tuple[float, float]:
        """The mean's 95 % bootstrap interval over groups; lowest and highest value where they are few."""
        lowest, highest = float(self.values.min()), float(self.values.max())
        _, group = torch.unique(self.group, return_inverse=True)
        if int(group.max()) + 1 < _GROUPS:
            return lowest, highest
        total = torch.zeros(int(group.max()) + 1, dtype=torch.float64).index_add(0, group, self.values)
        count = torch.bincount(group).double()
        low, high = bootstrap(lambda i: float(total[i].sum() / count[i].sum()), len(count), rounds=1000, seed=seed)
        # centered on the mean, an interval of few groups can reach beyond what a mean can be
        return max(low, lowest), min(high, highest)


def each_alone(values: Tensor) -> Outcomes:
    """Outcomes that are independent of each other."""
    return Outcomes(values, torch.arange(len(values)))


def nearest_neighbor_accuracy(distances: Distances, tie: float = 0.5) -> tuple[Outcomes, Outcomes, Outcomes]:
    """1-NNA of all clouds, of the reference and of the generated ones, in percent.

    tie: how much of a cloud with equally near ones in both sets counts as called the reference's; 1 in papers' code,
    whose search meets the reference first.
    """
    generated, reference, between = distances.generated, distances.reference, distances.between
    n = len(reference)
    union = torch.cat([torch.cat([reference, between.T], 1), torch.cat([between, generated], 1)])
    union = union.fill_diagonal_(torch.inf)
    to_reference, to_generated = union[:, :n].amin(1), union[:, n:].amin(1)
    called = (to_reference < to_generated).double() + tie * (to_reference == to_generated).double()
    right = 100 * torch.cat([called[:n], 1 - called[n:]])
    group = _components(union.argmin(1))
    return Outcomes(right, group), Outcomes(right[:n], group[:n]), Outcomes(right[n:], group[n:])


def _components(neighbor: Tensor) -> Tensor:
    """The connected component of each node of the graph in which node i is joined to ``neighbor[i]``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(neighbor)
    edges = coo_array(([True] * count, (range(count), neighbor.numpy())), shape=(count, count))
    return torch.from_numpy(connected_components(edges, directed=False)[1]).long()


def coverage(between: Tensor) -> Outcomes:
    """Which reference clouds (columns) are the nearest to some generated cloud (rows), in percent."""
    covered = torch.zeros(between.shape[1], dtype=torch.float64)
    covered[between.argmin(1)] = 100.0
    return each_alone(covered)


def minimum_matching_distance(between: Tensor) -> Outcomes:
    """The distance of each reference cloud (columns) to its nearest generated cloud (rows)."""
    return each_alone(between.amin(0))


def outcomes(distances: Distances, kind: str, tie: float = 0.5) -> dict[str, Outcomes]:
    """All scores by name; ``kind`` of distance ends the names (but for the halves of 1-NNA)."""
    both, reference, generated = nearest_neighbor_accuracy(distances, tie)
    return {
        f"1nna_{kind}": both,
        f"1nna_{kind}_ref": reference,
        f"1nna_{kind}_gen": generated,
        f"cov_{kind}": coverage(distances.between),
        f"mmd_{kind}": minimum_matching_distance(distances.between),
    }


def grouped(distances: Distances, kind: str, size: int, seed: int = 0) -> dict[str, Outcomes]:
    """1-NNA and coverage as means over random groups of ``size`` clouds of either set: wrong, and shown to show it."""
    generator = torch.Generator().manual_seed(seed)
    n = len(distances.between)
    if n < size:
        raise ValueError(f"groups of {size} need at least {size} clouds of each kind, not {n}")
    rows, columns = (torch.randperm(n, generator=generator)[: n - n % size].view(-1, size) for _ in range(2))
    parts = [
        Distances(distances.generated[i][:, i], distances.reference[j][:, j], distances.between[i][:, j])
        for i, j in zip(rows, columns, strict=True)
    ]
    accuracy = torch.tensor([nearest_neighbor_accuracy(part)[0].mean for part in parts], dtype=torch.float64)
    covered = torch.tensor([coverage(part.between).mean for part in parts], dtype=torch.float64)
    return {f"1nna_{kind}_by_{size}": each_alone(accuracy), f"cov_{kind}_by_{size}": each_alone(covered)}
