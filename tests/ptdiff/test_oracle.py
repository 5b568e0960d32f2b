"""Exact denoisers agree with numerical integration, with each other, and are finite everywhere."""

import math

import pytest
import torch

from ptdiff.oracle import Gaussian, Mixture
from ptdiff.process import PROCESSES, Level

DTYPE = torch.float64


def _mixture() -> Mixture:
    means = torch.tensor([[-1.0], [0.4], [2.0]], dtype=DTYPE)
    return Mixture(means, torch.tensor([0.3, 0.05, 0.6], dtype=DTYPE), torch.tensor([0.5, 0.2, 0.3], dtype=DTYPE))


def _level(alpha: float, sigma: float) -> Level:
    return Level(torch.tensor(alpha, dtype=DTYPE), torch.tensor(sigma, dtype=DTYPE))


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.1), (0.7, 0.7), (0.05, 1.0), (1.0, 20.0)])
def test_the_mixture_is_the_posterior_mean_found_by_integration(alpha: float, sigma: float) -> None:
    mixture = _mixture()
    x0 = torch.linspace(-6, 8, 400_001, dtype=DTYPE)
    prior = sum(
        w / s * torch.exp(-0.5 * ((x0 - m) / s) ** 2)
        for w, s, m in zip(mixture.weights, mixture.stds, mixture.means[:, 0], strict=True)
    )
    for x in (-1.3, 0.0, 0.37, 2.5):
        weight = prior * torch.exp(-0.5 * ((x - alpha * x0) / sigma) ** 2)
        expected = float((weight * x0).sum() / weight.sum())
        got = mixture(torch.tensor([[x]], dtype=DTYPE), _level(alpha, sigma), {})
        assert float(got) == pytest.approx(expected, abs=1e-8)


def test_a_mixture_of_one_is_a_gaussian() -> None:
    mean, std = torch.tensor([0.3, -1.0], dtype=DTYPE), torch.tensor([0.8], dtype=DTYPE)
    one = Mixture(mean[None], std, torch.ones(1, dtype=DTYPE))
    x = torch.randn(50, 2, dtype=DTYPE)
    for level in (_level(0.6, 0.8), _level(1.0, 0.0), _level(0.0, 1.0)):
        assert torch.allclose(one(x, level, {}), Gaussian(mean, std)(x, level, {}), atol=1e-12)


def test_without_noise_the_data_comes_back_and_without_signal_the_mean() -> None:
    mixture = _mixture()
    x = torch.randn(20, 1, dtype=DTYPE)
    assert torch.allclose(mixture(0.5 * x, _level(0.5, 0.0), {}), x, atol=1e-12)
    mean = (mixture.weights[:, None] * mixture.means).sum(0)
    assert torch.allclose(mixture(x, _level(0.0, 1.0), {}), mean.expand(20, 1), atol=1e-12)


def test_a_data_set_without_noise_gives_its_nearest_point_and_with_much_noise_its_mean() -> None:
    points = torch.randn(30, 4, 3, dtype=DTYPE)
    oracle = Mixture.of_data(points)
    x = points[7:9] + 0.01
    assert torch.equal(oracle(x, _level(1.0, 0.0), {}), points[7:9])
    far = oracle(torch.randn(2, 4, 3, dtype=DTYPE) * 1e6, _level(1.0, 1e6), {})
    assert torch.allclose(far, points.mean(0).expand(2, 4, 3), atol=1e-3)


def test_a_tie_between_data_points_is_shared() -> None:
    oracle = Mixture.of_data(torch.tensor([[-1.0], [1.0]], dtype=DTYPE))
    assert float(oracle(torch.zeros(1, 1, dtype=DTYPE), _level(1.0, 0.0), {})) == 0


@pytest.mark.parametrize("name", PROCESSES)
def test_nothing_is_nan_at_both_ends_in_float32(name: str) -> None:
    level = PROCESSES[name]().level(torch.tensor([0.0, 1.0, 1.0, 0.0]))
    x = torch.tensor([[0.3, 0.1], [-80.0, 3.0], [0.0, 0.0], [50.0, -50.0]])
    points = torch.tensor([[0.3, 0.1], [1.0, 1.0]])
    oracles = [
        Gaussian(torch.zeros(2), torch.tensor([1.0, 0.0])),
        Mixture(points, torch.tensor([0.3, 0.0]), torch.tensor([0.5, 0.5])),
        Mixture.of_data(points),
    ]
    for oracle in oracles:
        assert torch.isfinite(oracle(x, level, {})).all()


def test_a_row_is_bit_equal_in_any_batch() -> None:
    torch.manual_seed(0)
    mixture = Mixture(torch.randn(13, 5, 3), torch.rand(13), torch.full((13,), 1 / 13))
    x = torch.randn(64, 5, 3)
    level = Level(torch.tensor(0.6), torch.tensor(0.8))
    together = mixture(x, level, {})
    for i in (0, 17, 63):
        assert torch.equal(mixture(x[i : i + 1], level, {})[0], together[i])
    assert math.isfinite(float(together.sum()))
