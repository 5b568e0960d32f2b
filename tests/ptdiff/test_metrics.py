"""Scores and distances against closed forms and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ptdiff.metrics import bootstrap, compare, energy_distance, mmd_squared, nearest, sliced_wasserstein


def normal(n: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("dimension", [1, 2, 3, 20])
def test_sliced_wasserstein_of_a_shift_is_the_shift_over_the_root_of_the_dimension(dimension: int) -> None:
    # a projection moves by <shift, u>, and E <shift, u>^2 = |shift|^2 / d on the sphere
    x = normal(300, dimension)
    shift = torch.arange(1.0, dimension + 1).double()
    expected = float(shift.norm()) / math.sqrt(dimension)
    assert sliced_wasserstein(x, x + shift, directions=20_000) == pytest.approx(expected, rel=0.02)
    if dimension == 1:
        assert sliced_wasserstein(x, x + shift) == pytest.approx(1.0, rel=1e-12)


def test_sliced_wasserstein_of_a_scaled_gaussian_is_the_difference_of_the_deviations() -> None:
    # W2(N(0, 1), N(0, s^2)) = |s - 1| along every direction
    x, y = normal(20_000, 3, seed=1), 2 * normal(20_000, 3, seed=2)
    assert sliced_wasserstein(x, y) == pytest.approx(1.0, rel=0.03)


def test_sliced_wasserstein_in_one_dimension_is_the_exact_distance() -> None:
    x, y = normal(50, 1, seed=1), normal(50, 1, seed=2) ** 3
    exact = math.sqrt(float((x.flatten().sort().values - y.flatten().sort().values).square().mean()))
    assert sliced_wasserstein(x, y) == pytest.approx(exact, rel=1e-12)


@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_distances_are_metrics_on_sets(n: int, d: int, seed: int) -> None:
    x, y = normal(n, d, seed=seed), normal(n, d, seed=seed + 1) + 1
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed))
    for distance in (sliced_wasserstein, energy_distance):
        assert distance(x, y) >= 0
        assert distance(x, y) == pytest.approx(distance(y, x), abs=1e-6)
        assert distance(x[order], y) == pytest.approx(distance(x, y), abs=1e-6)
        assert distance(3 * x, 3 * y) == pytest.approx(
            (3 if distance is sliced_wasserstein else math.sqrt(3)) * distance(x, y), abs=1e-6
        )
    assert sliced_wasserstein(x, x[order]) == pytest.approx(0.0, abs=1e-12)
    assert energy_distance(x, x[order]) == pytest.approx(0.0, abs=1e-6)


def test_the_energy_distance_is_that_of_scipy_with_pairs_of_an_item_with_itself_left_out() -> None:
    x, y = normal(60, 1, seed=1), 2 * normal(45, 1, seed=2) + 0.7
    # scipy: sqrt(2) times the L2 distance of the distribution functions = sqrt(2 E|x-y| - E|x-x'| - E|y-y'|), where the
    # means run over all n^2 pairs; ours run over the n (n - 1) different ones
    a, b = x.flatten().numpy(), y.flatten().numpy()
    theirs = scipy.stats.energy_distance(a, b) ** 2
    within_a = np.abs(a[:, None] - a[None]).mean()
    within_b = np.abs(b[:, None] - b[None]).mean()
    expected = theirs - within_a / (len(a) - 1) - within_b / (len(b) - 1)
    assert energy_distance(x, y) ** 2 == pytest.approx(expected, rel=1e-9)


def test_the_energy_distance_approaches_its_closed_form() -> None:
    # x ~ N(0, 1), y ~ N(m, 1): E|x-y| = sqrt2 * folded normal of m / sqrt2, E|x-x'| = 2 / sqrt pi
    m, n = 2.0, 4000
    s = math.sqrt(2)
    across = s * math.sqrt(2 / math.pi) * math.exp(-(m**2) / (2 * s**2)) + m * math.erf(m / (s * s))
    exact = math.sqrt(2 * across - 2 * 2 / math.sqrt(math.pi))
    assert energy_distance(normal(n, 1, seed=3), normal(n, 1, seed=4) + m) == pytest.approx(exact, rel=0.03)


def test_the_squared_energy_distance_of_equal_distributions_is_unbiased() -> None:
    # cut off at zero: half of the values are zero, where a biased estimate would always be positive
    values = [energy_distance(normal(20, 2, seed=2 * i), normal(20, 2, seed=2 * i + 1)) for i in range(200)]
    zeros = sum(value == 0 for value in values)
    assert 80 <= zeros <= 150


def pairs(x: Tensor, y: Tensor, width: float) -> tuple[float, float, float]:
    """Kernel sums as they are written in the paper, pair by pair."""

    def k(a: Tensor, b: Tensor) -> float:
        square = float((a - b).square().sum())
        return sum(math.exp(-square / (2 * (width * 2.0**p) ** 2)) for p in (1, 0, -1, -2, -3)) / 5

    within_x = [k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j]
    within_y = [k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j]
    return float(np.mean(within_x)), float(np.mean(within_y)), float(np.mean([k(a, b) for a in x for b in y]))


def test_the_squared_discrepancy_is_its_definition_pair_by_pair() -> None:
    x, y = normal(9, 2, seed=1), 2 * normal(7, 2, seed=2) + 0.7
    width = float(torch.cdist(y, y).sum()) / (7 * 6)
    within_x, within_y, across = pairs(x, y, width)
    assert mmd_squared(x, y) == pytest.approx(within_x + within_y - 2 * across, rel=1e-9)


def test_the_squared_discrepancy_of_equal_distributions_has_mean_zero() -> None:
    values = np.array([mmd_squared(normal(20, 2, seed=2 * i), normal(20, 2, seed=2 * i + 1)) for i in range(300)])
    assert abs(values.mean()) < 3 * values.std() / math.sqrt(300)
    # a biased estimate lies higher by about 2 (1 - E k) / n
    assert values.std() / math.sqrt(300) < 0.02 * 0.5 / 3
    assert mmd_squared(normal(200, 2, seed=1) + 1, normal(200, 2, seed=2)) > 5 * values.std()


def test_resampling_by_counts_is_resampling_by_rows() -> None:
    samples, reference, training = normal(40, 2, seed=1), normal(40, 2, seed=2), normal(40, 2, seed=3)
    found = compare(samples, reference, training, seed=4)
    within, across = torch.cdist(samples, samples), torch.cdist(samples, reference)
    other = torch.cdist(reference, reference).sum() / (40 * 39)
    draws = torch.randint(40, (100, 40), generator=torch.Generator().manual_seed(4))
    values = []
    for rows in draws:
        different = rows[:, None] != rows[None, :]
        inside = within[rows][:, rows].sum() / different.sum()
        values.append(float((2 * across[rows].mean() - inside - other).clamp(min=0).sqrt()))
    low, high = np.quantile(values, [0.025, 0.975]) - np.mean(values)
    sliced = [sliced_wasserstein(samples[rows], reference, seed=4) for rows in draws]
    spread = found["sliced_wasserstein"].high - found["sliced_wasserstein"].value
    assert spread == pytest.approx(np.quantile(sliced, 0.975) - np.mean(sliced), abs=1e-9)
    energy = found["energy"]
    assert energy.low == pytest.approx(max(0.0, min(energy.value + low, energy.value)), abs=1e-9)
    assert energy.high == pytest.approx(max(energy.value, energy.value + high), abs=1e-9)


@pytest.mark.parametrize("offset", [1e3, 1e6])
def test_a_common_offset_changes_no_distance(offset: float) -> None:
    x, y = normal(100, 6, seed=1), 1.3 * normal(100, 6, seed=2)
    for distance in (sliced_wasserstein, energy_distance, mmd_squared):
        assert distance(x + offset, y + offset) == pytest.approx(distance(x, y), rel=1e-5)


def test_samples_of_any_shape_are_flattened() -> None:
    x, y = normal(30, 4, 3, seed=1), normal(30, 4, 3, seed=2)
    for distance in (sliced_wasserstein, energy_distance):
        assert distance(x, y) == distance(x.flatten(1), y.flatten(1))


def test_sets_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="the same shape"):
        sliced_wasserstein(normal(3, 2), normal(4, 2))
    with pytest.raises(ValueError, match="at least 2 samples"):
        energy_distance(normal(1, 2), normal(4, 2))
    with pytest.raises(ValueError, match="at least 2 samples"):
        energy_distance(normal(4, 2), normal(1, 2))
    with pytest.raises(ValueError, match="at least 4 samples of each set, not 3"):
        compare(normal(3, 2), normal(4, 2), normal(4, 2))


def test_of_four_samples_some_resamplings_are_one_item_alone_and_intervals_stay_finite() -> None:
    # one of 64 such resamplings has no pairs of different items
    for seed in range(5):
        scores = compare(normal(4, 2, seed=1), normal(4, 2, seed=2), normal(4, 2, seed=3), seed=seed)
        assert all(math.isfinite(end) for score in scores.values() for end in (score.low, score.high))


def test_bootstrap_intervals_of_a_mean_cover_the_truth_as_often_as_they_say() -> None:
    covered = 0
    for i in range(200):
        x = normal(60, seed=i).exp()
        low, high = bootstrap(lambda rows, x=x: float(x[rows].mean()), 60, rounds=100, seed=i)
        covered += low <= math.exp(0.5) <= high
        assert low <= float(x.mean()) <= high
    # skewed data and few rounds lower the 95 %; an interval half as wide would cover 66 %
    assert 165 <= covered <= 197


def test_a_bootstrap_of_a_constant_has_no_width_and_is_repeatable() -> None:
    assert bootstrap(lambda rows: 3.0, 10) == (3.0, 3.0)
    x = normal(30)

    def mean(rows: Tensor) -> float:
        return float(x[rows].mean())

    assert bootstrap(mean, 30, seed=5) == bootstrap(mean, 30, seed=5) != bootstrap(mean, 30, seed=6)


def test_more_samples_narrow_the_interval_as_a_square_root() -> None:
    widths = []
    for n in (100, 1600):
        x = normal(n)
        low, high = bootstrap(lambda rows, x=x: float(x[rows].mean()), n, rounds=400)
        widths.append(high - low)
    assert widths[0] / widths[1] == pytest.approx(4.0, rel=0.3)
    assert widths[0] == pytest.approx(2 * 1.96 / 10, rel=0.25)


def test_scores_hold_their_value_in_the_interval_and_the_floor_of_training_samples() -> None:
    samples, reference, training = normal(80, 2, seed=1) + 1, normal(80, 2, seed=2), normal(80, 2, seed=3)
    scores = compare(samples, reference, training)
    assert scores["sliced_wasserstein"].value == sliced_wasserstein(samples, reference)
    assert scores["sliced_wasserstein"].floor == sliced_wasserstein(training, reference)
    assert scores["energy"].value == pytest.approx(energy_distance(samples, reference), rel=1e-9)
    assert scores["energy"].floor == energy_distance(training, reference)
    assert scores["mmd_squared"].value == pytest.approx(mmd_squared(samples, reference), rel=1e-9)
    assert scores["mmd_squared"].floor == mmd_squared(training, reference)
    for score in scores.values():
        assert score.low < score.value < score.high
        assert score.floor < score.low


def test_sets_of_other_sizes_are_cut_to_the_smallest() -> None:
    one = compare(normal(50, 2, seed=1), normal(40, 2, seed=2), normal(30, 2, seed=3))
    other = compare(normal(50, 2, seed=1)[:30], normal(40, 2, seed=2)[:30], normal(30, 2, seed=3))
    assert one == other


def test_an_interval_holds_its_value_even_where_a_distance_is_cut_off_at_zero() -> None:
    for seed in range(8):
        sets = torch.randn(3, 16, 2, generator=torch.Generator().manual_seed(seed)).unbind()
        for name, score in compare(*sets).items():
            assert score.low <= score.value <= score.high
            # the squared one is unbiased, hence may lie below
            assert score.low >= 0 or name == "mmd_squared"


def test_a_reference_that_is_one_point_has_no_kernel_width() -> None:
    alike = torch.ones(5, 2)
    assert set(compare(normal(5, 2), alike, alike)) == {"sliced_wasserstein", "energy"}
    with pytest.raises(ValueError, match="not all equal"):
        mmd_squared(normal(5, 2), alike)


def test_large_sets_are_taken_in_blocks() -> None:
    # more pairs than one block holds
    x, y = normal(3000, 2, seed=1), normal(3000, 2, seed=2)
    exact = 2 * torch.cdist(x, y).mean() - (torch.cdist(x, x).sum() + torch.cdist(y, y).sum()) / (3000 * 2999)
    assert energy_distance(x, y) == pytest.approx(float(exact.clamp(min=0).sqrt()), abs=1e-7)


def test_arrays_of_numpy_have_the_scores_of_tensors_and_need_no_training_set() -> None:
    generator = torch.Generator().manual_seed(5)
    x, y, training = (torch.randn(40, 2, generator=generator) for _ in range(3))
    a, b = x.numpy(), y.numpy()
    assert sliced_wasserstein(a, b) == sliced_wasserstein(x, y)
    assert energy_distance(a, b) == energy_distance(x, y)
    assert mmd_squared(a, b) == mmd_squared(x, y)
    assert torch.equal(nearest(a, b)[0], nearest(x, y)[0])
    floored, plain = compare(x, y, training), compare(a, b)
    for name, score in floored.items():
        assert (plain[name].value, plain[name].low, plain[name].high) == (score.value, score.low, score.high)
        assert math.isnan(plain[name].floor) and math.isfinite(score.floor)
