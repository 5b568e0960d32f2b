"""1-NNA, coverage and minimum matching distance on cases with known answers, and on what they must catch."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ptdiff.errors import UnknownName
from ptdiff.modality import Comparison
from ptdiff_datasets.shapes import CLASSES, dense_clouds
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.metrics import emd
from ptdiff_pointcloud.metrics.chamfer import chamfer
from ptdiff_pointcloud.metrics.protocols import compare
from ptdiff_pointcloud.metrics.set_metrics import (
    Distances,
    Outcomes,
    coverage,
    minimum_matching_distance,
    nearest_neighbor_accuracy,
    nna,
)


def vectors(count: int, seed: int, dimension: int = 4) -> Tensor:
    return torch.randn(count, dimension, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def between(generated: Tensor, reference: Tensor) -> Distances:
    """Distances of plain vectors, which stand for shapes."""

    def squares(a: Tensor, b: Tensor) -> Tensor:
        return (a[:, None] - b[None]).square().sum(-1)

    return Distances(squares(generated, generated), squares(reference, reference), squares(generated, reference))


def shapes(count: int, points: int, first: int) -> Tensor:
    """Clouds of procedural shapes, every class in turn, their seeds from ``first`` on."""
    turn = np.arange(count)
    return torch.from_numpy(dense_clouds(turn % len(CLASSES), first + turn // len(CLASSES), points))


def brute_force(distances: Distances) -> tuple[float, float, float]:
    """1-NNA by the words of its definition."""
    n = len(distances.between)
    right = {"reference": 0, "generated": 0}
    for name, own, across in (
        ("reference", distances.reference, distances.between.T),
        ("generated", distances.generated, distances.between),
    ):
        for i in range(n):
            others = [(float(own[i, j]), True) for j in range(n) if j != i]
            others += [(float(across[i, j]), False) for j in range(n)]
            right[name] += min(others)[1]
    reference, generated = right["reference"], right["generated"]
    return 100 * (reference + generated) / (2 * n), 100 * reference / n, 100 * generated / n


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_the_accuracy_is_that_of_the_definition(shift: float) -> None:
    distances = between(vectors(60, 0), vectors(60, 1) + shift)
    found = tuple(part.mean for part in nearest_neighbor_accuracy(distances))
    assert found == pytest.approx(brute_force(distances), abs=1e-9)


def test_far_sets_are_told_apart_always() -> None:
    both, reference, generated = nearest_neighbor_accuracy(between(vectors(20, 0), vectors(20, 1) + 100))
    assert both.mean == reference.mean == generated.mean == 100
    assert coverage(between(vectors(20, 0) + 100, vectors(20, 1)).between).mean <= 20


def test_a_copy_of_the_reference_is_its_neighbor() -> None:
    x = vectors(20, 0)
    distances = between(x, x)
    assert nearest_neighbor_accuracy(distances)[0].mean == 0
    assert coverage(distances.between).mean == 100
    assert minimum_matching_distance(distances.between).mean == 0


def test_ties_between_the_sets_count_half() -> None:
    same = torch.zeros(6, 4, dtype=torch.float64)
    assert nearest_neighbor_accuracy(between(same, same))[0].mean == 50


def test_papers_code_calls_ties_the_reference() -> None:
    same = torch.zeros(6, 4, dtype=torch.float64)
    both, reference, generated = nearest_neighbor_accuracy(between(same, same), tie=1.0)
    assert (both.mean, reference.mean, generated.mean) == (50, 100, 0)


def test_coverage_and_matching_distance_on_a_line() -> None:
    generated, reference = torch.tensor([[0.0], [0.1], [0.2]]), torch.tensor([[0.0], [4.0], [9.0]])
    distances = between(generated, reference).between
    # all three are nearest to 0, though each of the others has a nearest, too
    assert coverage(distances).values.tolist() == [100, 0, 0]
    assert minimum_matching_distance(distances).values.tolist() == pytest.approx([0, 3.8**2, 8.8**2])


def test_the_interval_of_the_accuracy_is_as_wide_as_the_score_varies() -> None:
    values, widths = [], []
    for draw in range(60):
        both = nearest_neighbor_accuracy(between(vectors(80, 2 * draw), vectors(80, 2 * draw + 1)))[0]
        low, high = both.interval(seed=draw)
        values.append(both.mean)
        widths.append((high - low) / (2 * 1.96))
    spread = float(torch.tensor(values).std())
    mean_width = sum(widths) / len(widths)
    # independent shapes would make it 3.95: a fifth too narrow
    assert 0.8 * spread < mean_width < 1.35 * spread


def test_the_interval_of_independent_numbers_is_that_of_their_mean() -> None:
    values = vectors(400, 0, 1).flatten()
    low, high = Outcomes(values, torch.arange(400)).interval(seed=0)
    assert low < float(values.mean()) < high
    assert high - low == pytest.approx(2 * 1.96 * float(values.std()) / 20, rel=0.15)


def test_an_interval_stays_within_what_a_mean_can_be() -> None:
    values = torch.tensor([100.0] * 21 + [0.0]).double()
    low, high = Outcomes(values, torch.arange(22) // 5).interval(seed=0)
    assert 0 <= low < high <= 100


def test_few_groups_tell_no_more_than_the_range() -> None:
    values = torch.tensor([100.0, 0.0, 50.0, 50.0, 50.0, 50.0, 50.0, 75.0]).double()
    for groups in (1, 2, 4):
        assert Outcomes(values, 7 * (torch.arange(8) % groups)).interval(seed=0) == (0, 100)
    low, high = Outcomes(values, torch.arange(8) % 5).interval(seed=0)
    assert 0 < low < high < 100


def test_shapes_of_one_group_are_resampled_together() -> None:
    values = torch.tensor([0.0, 100.0]).double().repeat_interleave(50)
    alone = Outcomes(values, torch.arange(100)).interval(seed=0)
    tied = Outcomes(values, torch.arange(10).repeat_interleave(10)).interval(seed=0)
    assert tied[1] - tied[0] > 2 * (alone[1] - alone[0])


def test_noise_on_the_clouds_is_seen() -> None:
    reference, training = shapes(80, 64, 0), shapes(80, 64, 100)
    clean = shapes(80, 64, 200)
    noisy = clean + 0.08 * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    good, bad = (compare(x, reference, training).scores for x in (clean, noisy))
    assert bad["1nna_cd"].value > good["1nna_cd"].value + 15
    assert bad["mmd_cd"].value > 1.2 * good["mmd_cd"].value
    assert bad["jsd"].low > good["jsd"].high
    assert bad["fscore_1%"].high < good["fscore_1%"].low
    assert bad["dcd"].low > good["dcd"].high
    assert bad["1nna_cd"].floor == good["1nna_cd"].floor


def test_the_modality_gives_percentages_in_intervals_with_floors() -> None:
    samples, reference, training = shapes(30, 64, 0), shapes(40, 96, 100), shapes(35, 64, 200)
    scores = PointCloud().compare(Comparison(samples, reference, training, seed=3)).scores
    assert list(scores) == ["1nna_cd", "1nna_cd_ref", "1nna_cd_gen", "cov_cd", "mmd_cd", "dcd", "fscore_1%", "jsd"]
    for name, score in scores.items():
        assert score.low <= score.value <= score.high, name
        if name not in ("mmd_cd", "dcd", "jsd"):
            assert 0 <= score.low <= score.high <= 100, name
    halves = scores["1nna_cd_ref"].value + scores["1nna_cd_gen"].value
    assert scores["1nna_cd"].value == pytest.approx(halves / 2)
    # the smallest set and the sparsest cloud decide
    smaller = Comparison(samples, reference[:30, :64], training[:30], seed=3)
    assert scores == PointCloud().compare(smaller).scores


def test_arrays_of_numpy_are_clouds_and_no_training_set_is_needed() -> None:
    generator = torch.Generator().manual_seed(5)
    x, y, training = (torch.rand(12, 32, 3, generator=generator) for _ in range(3))
    a, b = x.numpy(), y.numpy()
    assert torch.equal(chamfer(a, b), chamfer(x, y))
    for distance in (emd.exact, emd.sinkhorn, emd.pointflow, emd.pytorchemd):
        assert torch.equal(distance(a, b), distance(x, y))
    floored, plain = compare(x, y, training), compare(a, b)
    assert nna(a, b) == plain.scores["1nna_cd"].value == floored.scores["1nna_cd"].value
    for name, score in plain.scores.items():
        assert score.value == floored.scores[name].value
        assert math.isnan(score.floor) and math.isfinite(floored.scores[name].floor)
    assert set(plain.facts["sha256"]) == {"samples", "reference"}  # type: ignore[call-overload]


def test_1nna_counts_sets_apart_and_refuses_unequal_ones() -> None:
    x = torch.rand(6, 16, 3, generator=torch.Generator().manual_seed(1))
    assert nna(x, x + 5) == 100
    with pytest.raises(ValueError, match="equally many clouds"):
        nna(x, x[:4])
    with pytest.raises(UnknownName, match="unknown distance 'emd': did you mean 'emd_"):
        nna(x, x, "emd")
    with pytest.raises(UnknownName, match="unknown protocol 'fullset': did you mean 'full-set'"):
        compare(x, x, protocol="fullset")
