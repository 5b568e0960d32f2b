"""How like the reference a set of generated clouds is: 1-NNA, coverage and minimum matching distance.

G: n generated clouds; R: n reference clouds.  On the full set, never in groups: in groups of eight, a
generator that repeats forty shapes passes for perfect.

* 1-NNA (Lopez-Paz and Oquab 2017; Yang et al. 2019): how often the nearest neighbor of a cloud among the 2n -
  1 others comes from its own set, in percent; where one of either set is equally near it counts one half.  50
  is best: the sets cannot be told apart.  Its halves tell failures apart: too high among the generated means
  little diversity (they cluster), too high among the reference means clouds off the data.
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

from ptdiff.metrics import Score, bootstrap
from ptdiff_pointcloud.chamfer import Progress, chamfer

_GROUPS = 5  # the least number of groups to resample


@dataclass(frozen=True)
class Distances:
    """Distances (n, n) among generated and among reference clouds, and between them (rows: generated)."""

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


def nearest_neighbor_accuracy(distances: Distances) -> tuple[Outcomes, Outcomes, Outcomes]:
    """1-NNA of all 2n clouds, of the reference and of the generated ones, in percent."""
    generated, reference, between = distances.generated, distances.reference, distances.between
    n = len(between)
    union = torch.cat([torch.cat([reference, between.T], 1), torch.cat([between, generated], 1)])
    union = union.fill_diagonal_(torch.inf)
    own = torch.cat([union[:n, :n].amin(1), union[n:, n:].amin(1)])
    other = torch.cat([union[:n, n:].amin(1), union[n:, :n].amin(1)])
    # an exact tie (a cloud copied from the other set and from its own) is a coin toss
    right = 100 * ((own < other).double() + 0.5 * (own == other).double())
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
    return Outcomes(covered, torch.arange(len(covered)))


def minimum_matching_distance(between: Tensor) -> Outcomes:
    """The distance of each reference cloud (columns) to its nearest generated cloud (rows)."""
    return Outcomes(between.amin(0), torch.arange(between.shape[1]))


def outcomes(distances: Distances, kind: str) -> dict[str, Outcomes]:
    """All scores by name; ``kind`` of distance ends the names (but for the halves of 1-NNA)."""
    both, reference, generated = nearest_neighbor_accuracy(distances)
    return {
        f"1nna_{kind}": both,
        f"1nna_{kind}_ref": reference,
        f"1nna_{kind}_gen": generated,
        f"cov_{kind}": coverage(distances.between),
        f"mmd_{kind}": minimum_matching_distance(distances.between),
    }


def compare_clouds(
    samples: Tensor, reference: Tensor, training: Tensor, seed: int = 0, progress: Progress | None = None
) -> dict[str, Score]:
    """Chamfer scores of ``samples`` against ``reference``; for the floor ``training`` takes their place.

    (n, points, 3) each, in world units.  The smallest n and the smallest number of points of the three
    decide: the scores depend on both.  ``progress(done, total)`` counts pairs of clouds.
    """
    n = min(len(samples), len(reference), len(training))
    if n < 2:
        raise ValueError(
            "at least two clouds of each kind are needed to compare them, not "
            f"{len(samples)} generated, {len(reference)} reference and {len(training)} training clouds"
        )
    points = min(clouds.shape[1] for clouds in (samples, reference, training))
    # the points of a cloud are independent draws from its surface: the first ones are as good as any
    samples, reference, training = (clouds[:n, :points] for clouds in (samples, reference, training))
    pairs, finished = 3 * (n * (n - 1) // 2) + 2 * n * n, 0

    def distances(x: Tensor, y: Tensor | None = None) -> Tensor:
        nonlocal finished
        before = finished
        finished += n * (n - 1) // 2 if y is None else n * n
        report = None if progress is None else lambda done, _: progress(before + done, pairs)
        return chamfer(x, y, report).cpu()

    real = distances(reference)
    found, floor = (outcomes(Distances(distances(x), real, distances(x, reference)), "cd") for x in (samples, training))
    return {name: Score(score.mean, *score.interval(seed), floor[name].mean) for name, score in found.items()}
