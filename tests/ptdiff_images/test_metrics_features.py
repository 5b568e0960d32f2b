"""Distances of features: Fréchet, kernel, precision and recall, shares with their intervals."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor

from ptdiff_images.metrics import feature_distances
from ptdiff_images.metrics.feature_distances import (
    Kernel,
    compare_features,
    frechet_distance,
    kernel_distance,
    precision_recall,
    share_of,
)


def normal(n: int, d: int, seed: int) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def standard(n: int, d: int, seed: int) -> Tensor:
    """n rows whose mean is exactly 0 and whose covariance is exactly 1."""
    x = normal(n, d, seed)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T @ x / (n - 1))).T


def test_the_frechet_distance_of_gaussians_along_the_same_axes_is_that_of_their_deviations() -> None:
    x, y = standard(50, 4, 0), standard(60, 4, 1)
    scale, shift = torch.tensor([2.0, 0.5, 1.0, 3.0]).double(), torch.tensor([1.0, 0.0, -2.0, 0.0]).double()
    expected = float((scale - 1).square().sum() + shift.square().sum())
    assert frechet_distance(x * scale + shift, y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [40, 7])
def test_the_frechet_distance_is_that_of_the_root_of_the_product_also_where_images_are_fewer_than_features(
    n: int,
) -> None:
    x, y = normal(n, 12, 2) @ normal(12, 12, 3), normal(50, 12, 4) @ normal(12, 12, 5) + 1
    a, b = np.cov(x.numpy().T), np.cov(y.numpy().T)
    root = scipy.linalg.sqrtm(a @ b + 1e-12 * np.eye(12)).real
    expected = float((x.mean(0) - y.mean(0)).square().sum()) + np.trace(a + b - 2 * root)
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)


def test_the_kernel_distance_is_its_definition_and_an_item_makes_no_pair_with_itself() -> None:
    x, y = normal(6, 3, 6), normal(5, 3, 7) + 0.5

    def k(a: Tensor, b: Tensor) -> float:
        return float((a @ b / 3 + 1) ** 3)

    def brute(rows: list[int]) -> float:
        pairs = [(i, j) for i, j in itertools.product(rows, repeat=2) if i != j]
        within_x = np.mean([k(x[i], x[j]) for i, j in pairs])
        within_y = np.mean([k(y[i], y[j]) for i, j in itertools.permutations(range(5), 2)])
        return float(within_x + within_y - 2 * np.mean([k(x[i], b) for i in rows for b in y]))

    assert kernel_distance(x, y) == pytest.approx(brute(list(range(6))), rel=1e-12)
    rows = [0, 0, 0, 2, 5, 5]
    times = torch.bincount(torch.tensor(rows), minlength=6)
    found = Kernel(y)(x, torch.stack([times, torch.ones(6)]))
    assert found.tolist() == pytest.approx([brute(rows), brute(list(range(6)))], rel=1e-12)


@pytest.mark.parametrize("block", [1, 7 * 90, 2**22])
def test_blocks_change_nothing_and_bound_what_is_in_memory(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, z = (normal(n, 5, n) for n in (80, 90, 100))
    x = 1.3 * x + 0.2
    copies = torch.randint(0, 3, (4, 80), generator=torch.Generator().manual_seed(0))
    sizes: list[int] = []
    for name in ("cdist", "_kernel"):
        owner = torch if name == "cdist" else feature_distances
        whole = getattr(owner, name)

        def watched(a: Tensor, b: Tensor, whole=whole) -> Tensor:  # type: ignore[no-untyped-def]
            sizes.append(len(a) * len(b))
            return whole(a, b)

        monkeypatch.setattr(owner, name, watched)
    monkeypatch.setattr(feature_distances, "BLOCK", block)
    kernel, shares, scores = Kernel(y)(x, copies), precision_recall(x, y), compare_features(x, y, z, "a")
    # at least a row
    assert max(sizes) <= max(block, 90)
    # the formulas, over all pairs at once
    k_xx, k_yy, k_xy = ((a @ b.T / 5 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
    for times, found in zip(copies.double(), kernel, strict=True):
        n = times.sum()
        within_x = (times @ k_xx @ times - times.square() @ k_xx.diag()) / (n**2 - times.square().sum())
        within_y = (k_yy.sum() - k_yy.diag().sum()) / (90 * 89)
        assert float(found) == pytest.approx(float(within_x + within_y - 2 * times @ k_xy.mean(1) / n), rel=1e-10)
    exact = [(a[:, None] - b).norm(dim=2) for a, b in ((x, y), (y, y), (x, x))]
    reach_y, reach_x = (d.sort(dim=1).values[:, 3] for d in exact[1:])
    assert torch.equal(shares[0], (exact[0] <= reach_y).any(1))
    assert torch.equal(shares[1], (exact[0] <= reach_x[:, None]).any(0))
    monkeypatch.setattr(feature_distances, "BLOCK", 10**9)
    whole_scores = compare_features(x, y, z, "a")
    for name, score in scores.items():
        assert dataclasses.astuple(score) == pytest.approx(dataclasses.astuple(whole_scores[name]), rel=1e-10)


def test_the_kernel_distance_has_no_bias_and_the_frechet_distance_has() -> None:
    pairs = [(normal(24, 4, 2 * i), normal(24, 4, 2 * i + 1)) for i in range(300)]
    found = torch.tensor([[kernel_distance(x, y), frechet_distance(x, y)] for x, y in pairs])
    error = found.std(0) / len(pairs) ** 0.5
    assert abs(float(found[:, 0].mean())) < 3 * float(error[0])
    assert float(found[:, 1].mean()) > 20 * float(error[1])


def test_a_generator_of_one_mode_has_precision_without_recall_and_one_of_too_many_recall_without_precision() -> None:
    two = torch.cat([normal(100, 3, 8), normal(100, 3, 9) + 50])
    one = normal(100, 3, 10)
    precision, recall = (found.double().mean() for found in precision_recall(one, two))
    assert precision > 0.9
    assert 0.4 < recall <= 0.5
    precision, recall = (found.double().mean() for found in precision_recall(two, one))
    assert 0.4 < precision <= 0.5
    assert recall > 0.9


def test_the_manifold_reaches_to_the_neighbor_asked_for() -> None:
    y = torch.tensor([[0.0], [1.0], [3.0], [7.0]]).double()
    x = torch.tensor([[-1.5], [-4.0], [12.0]]).double()
    # radii of y to the second neighbor: 3, 2, 3, 6
    assert precision_recall(x, y, neighbors=2)[0].tolist() == [True, False, True]
    # radii of x: 13.5, 16, 16
    assert precision_recall(x, y, neighbors=2)[1].tolist() == [True] * 4
    assert precision_recall(x, y, neighbors=1)[0].tolist() == [False, False, False]


@pytest.mark.parametrize(
    ("right", "n", "low", "high"), [(95, 100, 0.8883, 0.9785), (10, 10, 0.7225, 1.0), (0, 10, 0.0, 0.2775)]
)
def test_shares_have_wilsons_interval(right: int, n: int, low: float, high: float) -> None:
    score = share_of(torch.arange(n) < right, 0.5)
    assert score.value == right / n
    assert (score.low, score.high) == pytest.approx((low, high), abs=1e-4)
    assert score.floor == 0.5


def test_every_score_tells_good_from_bad_and_its_interval_holds_it() -> None:
    reference, training, good = (normal(200, 6, seed) for seed in (11, 12, 13))
    bad = 0.5 * normal(200, 6, 14) + 1.5
    for samples, better in ((good, True), (bad, False)):
        scores = compare_features(samples, reference, training, "toy")
        assert list(scores) == ["fid_toy", "kid_toy", "precision_toy", "recall_toy"]
        for name, score in scores.items():
            assert score.low <= score.value <= score.high
            # overlapping the floor is what good means
            near = score.low - 0.05 <= score.floor <= score.high + 0.05
            assert near == better or name == "precision_toy"
    same = compare_features(training, reference, training, "toy")
    assert all(score.value == pytest.approx(score.floor) for score in same.values())


def test_the_smallest_set_decides_how_many_are_compared_and_few_are_refused() -> None:
    x, y, z = (normal(n, 3, n) for n in (30, 40, 20))
    assert compare_features(x, y, z, "a") == compare_features(x[:20], y[:20], z, "a")
    with pytest.raises(ValueError, match="more than 3 images"):
        compare_features(x[:3], y, z, "a")
