"""Similarity of a set of generated clouds to a reference: 1-NNA, coverage and minimum matching distance.

G: n generated clouds; R: n reference clouds. On the full set, never in groups: in groups of eight, a generator that
repeats forty shapes passes for perfect.

* 1-NNA (Lopez-Paz and Oquab 2017; Yang et al. 2019): the percentage of clouds whose nearest neighbor among the 2n - 1
  others comes from their own set; a tie between the sets counts one half (papers' code decides for the reference). 50
  is best: the sets are indistinguishable. Its halves tell failures apart: too high among the generated clouds means
  little diversity (they cluster), too high among the reference means generated clouds off the data.
* Coverage: the percentage of reference clouds that are nearest to some generated cloud. Real samples reach about 55.
* Minimum matching distance: the mean over the reference of the distance to the nearest generated cloud.

Each is a mean of one number per shape, and its 95 % interval resamples those numbers, not the shapes: a cloud drawn
twice would be its own nearest neighbor and raise 1-NNA. Neighboring shapes are not independent (two mutual nearest
neighbors are both right or both wrong), so they are resampled together, as the components of the graph of nearest
neighbors. For coverage the interval is rather wide. Fewer than five groups do not show how the mean varies: the
interval is then the range of the numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.metrics import Array, bootstrap, tensors
from ptdiff_pointcloud.metrics.distances import all_distances

_GROUPS = 5  # minimum number of groups to resample


@dataclass(frozen=True)
class Distances:
    """Distances (n, n) among generated and among reference clouds, and between them (rows: generated).

    Infinite entries are pruned pairs, which cannot be nearest neighbors.
    """

    generated: Tensor
    reference: Tensor
    between: Tensor


@dataclass(frozen=True)
class Outcomes:
    """A score before averaging: a number per shape (m,), and the group it is resampled with, int64 (m,)."""

    values: Tensor
    group: Tensor

    @property
    def mean(self) -> float:
        """Mean of the values."""
        return float(self.values.mean())

    def interval(self, seed: int) -> tuple[float, float]:
        """95 % bootstrap interval of the mean over groups; the range of the values if there are few groups."""
        lowest, highest = float(self.values.min()), float(self.values.max())
        _, group = torch.unique(self.group, return_inverse=True)
        if int(group.max()) + 1 < _GROUPS:
            return lowest, highest
        total = torch.zeros(int(group.max()) + 1, dtype=torch.float64).index_add(0, group, self.values)
        count = torch.bincount(group).double()
        low, high = bootstrap(lambda i: float(total[i].sum() / count[i].sum()), len(count), rounds=1000, seed=seed)
        # centered on the mean, an interval of few groups can exceed the range of the mean
        return max(low, lowest), min(high, highest)


def each_alone(values: Tensor) -> Outcomes:
    """Return outcomes that are independent of each other."""
    return Outcomes(values, torch.arange(len(values)))


def nearest_neighbor_accuracy(distances: Distances, tie: float = 0.5) -> tuple[Outcomes, Outcomes, Outcomes]:
    """Return 1-NNA of all clouds, of the reference and of the generated ones, in percent.

    tie: weight with which a tie between the sets counts as the reference's; 1 in papers' code, whose search meets the
        reference first.
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
    """Connected component of each node of the graph in which node i is joined to ``neighbor[i]``."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(neighbor)
    edges = coo_array(([True] * count, (range(count), neighbor.numpy())), shape=(count, count))
    return torch.from_numpy(connected_components(edges, directed=False)[1]).long()


def nna(samples: Array, reference: Array, distance: str = "cd") -> float:
    """1-NNA of two sets of equally many clouds, (n, points, 3) each, in percent: 50 is best, 100 is worst.

    distance: a name in DISTANCES.  Raises UnknownName for another one.
    """
    x, y = tensors(samples, reference)
    if len(x) != len(y) or len(x) < 2:
        raise ValueError(f"1-NNA compares equally many clouds, two of each set at least, not {len(x)} with {len(y)}")
    found = Distances(all_distances(distance, x), all_distances(distance, y), all_distances(distance, x, y))
    return nearest_neighbor_accuracy(found)[0].mean


def coverage(between: Tensor) -> Outcomes:
    """Return 100 for each reference cloud (column) that is nearest to some generated cloud (row), else 0."""
    covered = torch.zeros(between.shape[1], dtype=torch.float64)
    covered[between.argmin(1)] = 100.0
    return each_alone(covered)


def minimum_matching_distance(between: Tensor) -> Outcomes:
    """Return the distance of each reference cloud (column) to its nearest generated cloud (row)."""
    return each_alone(between.amin(0))


def outcomes(distances: Distances, kind: str, tie: float = 0.5) -> dict[str, Outcomes]:
    """Return all scores by name; the names contain the ``kind`` of distance."""
    both, reference, generated = nearest_neighbor_accuracy(distances, tie)
    return {
        f"1nna_{kind}": both,
        f"1nna_{kind}_ref": reference,
        f"1nna_{kind}_gen": generated,
        f"cov_{kind}": coverage(distances.between),
        f"mmd_{kind}": minimum_matching_distance(distances.between),
    }


def grouped(distances: Distances, kind: str, size: int, seed: int = 0) -> dict[str, Outcomes]:
    """Return 1-NNA and coverage as means over random groups of ``size`` clouds per set, to show how they mislead.

    ValueError for fewer than ``size`` clouds.
    """
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
