"""Distances between sets of elements, and scores of sets of different sizes.

    d(A, B)^2 = 2 E|a - b| - E|a - a'| - E|b - b'|       a, a' in A and b, b' in B, all pairs, also of an element
                                                         with itself

d is the energy distance of the elements (Székely and Rizzo 2013): zero only for equal distributions of elements, the
same in any order, and a distance in a Hilbert space, so that it is itself the basis of an energy distance between
sets of sets (Sejdinovic et al. 2013, theorem 22).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ptdiff.metrics import Score, interval, resampled
from ptdiff.modality.ragged import sizes_of


def set_distances(x: Tensor, y: Tensor, progress: Callable[[int, int], None] | None = None) -> Tensor:
    """d between all sets x (n, …) and y (m, …), padded with NaN, float64 (n, m)."""
    ours, theirs = _sets(x), _sets(y)
    sizes = torch.tensor([len(b) for b in theirs])
    owner, every = torch.arange(len(theirs)).repeat_interleave(sizes), torch.cat(theirs)
    own, other = (torch.stack([torch.cdist(a, a).mean() for a in sets]) for sets in (ours, theirs))
    rows = []
    for i, a in enumerate(ours):
        across = torch.cdist(a, every).mean(dim=0)
        rows.append(torch.zeros(len(theirs), dtype=torch.float64).index_add(0, owner, across) / sizes)
        if progress is not None:
            progress(i + 1, len(ours))
    squares: Tensor = 2 * torch.stack(rows) - own[:, None] - other
    return squares.clamp(min=0).sqrt()


def nearest_sets(x: Tensor, y: Tensor, progress: Callable[[int, int], None] | None = None) -> tuple[Tensor, Tensor]:
    """Distance d of each set x (n, …) to the nearest y (m, …), and its index: (n,) each."""
    found = set_distances(x, y, progress).min(dim=1)
    return found.values, found.indices


def compare_sets(samples: Tensor, reference: Tensor, training: Tensor, seed: int = 0) -> dict[str, Score]:
    """Scores of sets, padded with NaN, with bootstrap intervals and floors; at least 4 of each.

    ``energy``: energy distance of the two sets of sets with d between sets.
    ``sizes``: 1-Wasserstein distance of the numbers of elements.
    """
    n = min(map(len, (samples, reference, training)))
    if n < 4:
        raise ValueError(f"a comparison needs at least 4 samples of each set, not {n}")
    samples, reference, training = samples[:n], reference[:n], training[:n]
    copies = torch.cat([torch.ones(1, n), resampled(n, 100, seed)]).double()
    within = set_distances(reference, reference)

    def energy(x: Tensor, copies: Tensor) -> Tensor:
        own, across = set_distances(x, x), set_distances(x, reference)
        pairs = copies.sum(1).square() - copies.square().sum(1)
        mean_own = ((copies @ own) * copies).sum(1) / pairs
        mean_across = (copies @ across).sum(1) / (copies.sum(1) * n)
        return (2 * mean_across - mean_own - within.sum() / (n * n - n)).clamp(min=0).sqrt()

    def sizes(x: Tensor, copies: Tensor) -> Tensor:
        own, order = sizes_of(x).double().sort()
        target = sizes_of(reference).double().sort().values
        drawn = torch.stack([own.repeat_interleave(times) for times in copies.long()[:, order]])
        distance: Tensor = (drawn - target).abs().mean(dim=1)
        return distance

    scores = {}
    for name, measure in (("energy", energy), ("sizes", sizes)):
        value, low, high = interval(measure(samples, copies))
        floor = float(measure(training, copies[:1]))
        scores[name] = Score(value, max(0.0, min(low, value)), max(high, value), floor)
    return scores


def _sets(x: Tensor) -> list[Tensor]:
    sizes = sizes_of(x).tolist()
    return [one[:size].flatten(1).double() for one, size in zip(x, sizes, strict=True)]
