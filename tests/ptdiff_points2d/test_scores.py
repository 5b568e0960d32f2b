"""Scores that know the distribution, and what evaluation says of its metrics."""

import math

import pytest
import torch

from ptdiff.modality import Comparison
from ptdiff_datasets.points.toys import TOYS
from ptdiff_points2d import Points2D


def drawn(name: str, count: int, start: int) -> torch.Tensor:
    return torch.from_numpy(TOYS[name].draw(count, seed=11, start=start)[0])


def test_real_samples_reach_the_floor_of_every_score() -> None:
    kind = Points2D(data="two-gaussians")
    sets = [drawn("two-gaussians", 400, 400 * k) for k in range(3)]
    measured = kind.compare(Comparison(*sets))
    assert set(measured.scores) == {"sliced_wasserstein", "energy", "mmd_squared", "nll"}
    assert "Gaussian" in measured.facts["mmd_kernel"]
    nll = measured.scores["nll"]
    assert nll.low < nll.value < nll.high
    # two Gaussians far apart: log 2 + log(2 pi e) + 2 log std
    entropy = math.log(2) + math.log(2 * math.pi * math.e) + 2 * math.log(0.5)
    assert nll.floor == pytest.approx(entropy, abs=0.1)
    assert nll.value == pytest.approx(entropy, abs=0.1)


def test_samples_that_are_off_or_crowded_have_another_likelihood() -> None:
    kind = Points2D(data="8-gaussians")
    real = drawn("8-gaussians", 300, 0)
    floor = kind.compare(Comparison(real, real, real)).scores["nll"].floor
    assert kind.compare(Comparison(real + 0.3, real, real)).scores["nll"].low > floor + 1
    modes = 2 * (real / real.norm(dim=1, keepdim=True))
    assert kind.compare(Comparison(modes, real, real)).scores["nll"].value < floor


def test_coins_are_scored_by_their_sum() -> None:
    kind = Points2D(data="coins")
    real = drawn("coins", 200, 0)
    scores = kind.compare(Comparison(real, drawn("coins", 200, 200), drawn("coins", 200, 400))).scores
    for name, value in (("sum_mean", 36), ("sum_sd", 0), ("sum_right", 1)):
        assert (scores[name].value, scores[name].low, scores[name].high, scores[name].floor) == (value,) * 4
    independent = (torch.rand(2000, 48, generator=torch.Generator().manual_seed(0)) < 0.75).float()
    loose = kind.compare(Comparison(independent, real, real)).scores
    assert loose["sum_mean"].value == pytest.approx(36, abs=0.3)
    assert loose["sum_sd"].value == pytest.approx(3, rel=0.1)
    # 36 of 48 independent coins
    assert loose["sum_right"].value == pytest.approx(math.comb(48, 36) * 0.75**36 * 0.25**12, abs=0.05)
    assert kind.compare(Comparison(real, real, real)).facts["independent"] == "sum 36 ± 3"


def test_a_distribution_without_a_density_has_the_distances_alone() -> None:
    real = drawn("checkerboard", 50, 0)
    assert set(Points2D(data="checkerboard").compare(Comparison(real, real, real)).scores) == {
        "sliced_wasserstein",
        "energy",
        "mmd_squared",
    }
