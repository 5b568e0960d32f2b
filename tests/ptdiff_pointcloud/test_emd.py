"""Earth mover's distances: the exact one by brute force and POT, the approximate ones by their formulas, in loops."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ptdiff_pointcloud.metrics import emd
from ptdiff_pointcloud.metrics.bounds import emd_bound
from ptdiff_pointcloud.metrics.distances import DISTANCES, all_distances


def clouds(count: int, points: int, seed: int, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.rand(count, points, 3, generator=generator, dtype=torch.float64)


def length(a: Tensor, b: Tensor) -> float:
    return math.dist(a.tolist(), b.tolist())


def test_exact_is_the_least_mean_length_of_all_assignments() -> None:
    x, y = clouds(3, 6, 0), clouds(3, 6, 1)
    for a, b, found in zip(x, y, emd.exact(x, y).tolist(), strict=True):
        every = itertools.permutations(range(6))
        least = min(sum(length(a[i], b[p[i]]) for i in range(6)) / 6 for p in every)
        assert found == pytest.approx(least, abs=1e-12)


def test_exact_agrees_with_another_library() -> None:
    ot = pytest.importorskip("ot")
    x, y = clouds(4, 90, 2), clouds(4, 90, 3)
    weights = np.full(90, 1 / 90)
    theirs = [
        ot.emd2(weights, weights, ot.dist(a, b, metric="euclidean")) for a, b in zip(x.numpy(), y.numpy(), strict=True)
    ]
    assert emd.exact(x, y).numpy() == pytest.approx(np.array(theirs), abs=1e-6)


def by_the_formula(x: Tensor, y: Tensor, variant: str) -> float:
    """One pair, number by number, as the kernels of the approximate matching do it."""
    n, m = len(x), len(y)
    left, right = [1.0] * n, [1.0] * m
    match = np.zeros((n, m))
    levels = [-(4.0**j) for j in range(7, -2, -1)] + ([0.0] if variant == "pytorchemd" else [])
    d2 = [[length(x[i], y[j]) ** 2 for j in range(m)] for i in range(n)]
    for level in levels:
        ratio_left = []
        for i in range(n):
            total = 1e-9
            for j in range(m):
                total += math.exp(level * d2[i][j]) * right[j]
            ratio_left.append(left[i] / total)
        ratio_right = []
        for j in range(m):
            total = 0.0
            for i in range(n):
                total += math.exp(level * d2[i][j]) * ratio_left[i]
            total *= right[j]
            ratio_right.append(min(right[j] / (total + 1e-9), 1.0) * right[j])
            right[j] = max(0.0, right[j] - total)
        for i in range(n):
            given = 0.0
            for j in range(m):
                w = math.exp(level * d2[i][j]) * ratio_left[i] * ratio_right[j]
                match[i, j] += w
                given += w
            left[i] = max(0.0, left[i] - given)
    cost = np.array(d2) if variant == "pytorchemd" else np.sqrt(np.array(d2))
    return float((match * cost).sum() / n)


@pytest.mark.parametrize("variant", ["pointflow", "pytorchemd"])
@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_approximations_are_their_formulas(variant: str, scale: float) -> None:
    x, y = clouds(2, 40, 4, scale), clouds(2, 40, 5, scale)
    theirs = [by_the_formula(a, b, variant) for a, b in zip(x, y, strict=True)]
    of = getattr(emd, variant)
    assert of(x, y).tolist() == pytest.approx(theirs, rel=1e-9)
    assert of(x.float(), y.float()).tolist() == pytest.approx(theirs, rel=1e-5, abs=1e-6)


def test_the_approximations_are_no_distances_and_depend_on_scale() -> None:
    x, y = clouds(4, 60, 6), clouds(4, 60, 7)
    torch.testing.assert_close(emd.exact(3 * x, 3 * y), 3 * emd.exact(x, y))
    assert not torch.allclose(emd.pointflow(3 * x, 3 * y), 3 * emd.pointflow(x, y), rtol=1e-2)
    assert not torch.allclose(emd.pytorchemd(x, y), emd.pytorchemd(y, x), rtol=1e-5)
    assert (emd.pointflow(x, y) > emd.exact(x, y)).all()


def test_sinkhorn_agrees_with_another_library_and_lies_above_the_exact_distance() -> None:
    ot = pytest.importorskip("ot")
    x, y = clouds(3, 50, 8), clouds(3, 50, 9)
    weights = np.full(50, 1 / 50)
    theirs = [
        float((ot.bregman.sinkhorn_log(weights, weights, cost, 0.05, numItermax=5000, stopThr=1e-12) * cost).sum())
        for a, b in zip(x.numpy(), y.numpy(), strict=True)
        for cost in [ot.dist(a, b, metric="euclidean")]
    ]
    ours = emd.sinkhorn(x, y, blur=0.05, rounds=3000)
    assert ours.tolist() == pytest.approx(theirs, abs=1e-6)
    assert (ours > emd.exact(x, y)).all()
    # near clouds are where it fails
    dense = clouds(2, 200, 8, 0.1)
    near = dense + 1e-3
    assert emd.sinkhorn(dense, near).mean() > 1.5 * emd.exact(dense, near).mean()


@pytest.mark.parametrize("kind", sorted(DISTANCES))
def test_pairs_of_sets_are_the_pairs_one_by_one(kind: str) -> None:
    x, y = clouds(3, 30, 10), clouds(4, 30, 11)
    found = all_distances(kind, x, y)
    single = [[float(all_distances(kind, a[None], b[None])) for b in y] for a in x]
    torch.testing.assert_close(found, torch.tensor(single, dtype=torch.float64), rtol=1e-9, atol=1e-12)
    within = all_distances(kind, x)
    off = ~torch.eye(3, dtype=torch.bool)
    torch.testing.assert_close(within[off], all_distances(kind, x, x.clone())[off], rtol=1e-9, atol=1e-12)


def test_the_bound_lies_below_and_is_met_by_a_shifted_cloud() -> None:
    x, y = clouds(5, 80, 12), clouds(6, 80, 13, 0.5)
    bound, true = emd_bound(x, y), all_distances("emd_exact", x, y)
    assert (bound <= true).all()
    assert (bound > 0.6 * true).all()
    # projections on lines near the shift
    far = x + torch.tensor([5.0, 0.0, 0.0])
    assert (emd_bound(x, far).diagonal() > 0.9 * 5).all()


def test_unequal_numbers_of_points_are_refused() -> None:
    for kind in ("emd_exact", "emd_pointflow", "emd_sinkhorn"):
        with pytest.raises(ValueError, match="equally many points"):
            all_distances(kind, clouds(2, 10, 0), clouds(2, 11, 0))
