"""Exact denoisers agree with numerical integration, with each other, and are finite everywhere."""

import math

import pytest
import torch

from ptdiff.denoiser.oracle import FullMixture, Gaussian, Mixture
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


def _labelled() -> Mixture:
    mixture = _mixture()
    return Mixture(mixture.means, mixture.stds, mixture.weights, torch.tensor([0, 1, 0]))


def _slope(oracle: Gaussian | Mixture, x: torch.Tensor, level: Level) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(oracle.log_prob(x, level).sum(), x)[0]


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.1), (0.7, 0.7), (0.0, 1.0), (1.0, 20.0)])
def test_tweedies_formula_joins_log_density_and_denoiser(alpha: float, sigma: float) -> None:
    level, x = _level(alpha, sigma), torch.randn(7, 4, 3, dtype=DTYPE)
    mixture = Mixture(torch.randn(3, 4, 3, dtype=DTYPE), torch.tensor([0.5, 0.2, 1.0]), torch.tensor([0.2, 0.3, 0.5]))
    gaussian = Gaussian(torch.randn(3, dtype=DTYPE), torch.tensor([0.5], dtype=DTYPE))
    for oracle in (mixture, gaussian):
        # alpha E[x_0|x] = x + sigma^2 grad log p_t(x)
        assert torch.allclose(alpha * oracle(x, level, {}), x + sigma**2 * _slope(oracle, x, level), atol=1e-10)


def test_densities_integrate_to_one() -> None:
    x = torch.linspace(-60, 60, 600_001, dtype=DTYPE)[:, None]
    for level in (None, _level(0.8, 0.3), _level(0.0, 1.0), _level(1.0, 5.0)):
        for oracle in (_mixture(), Gaussian(torch.tensor([0.4], dtype=DTYPE), torch.tensor([0.5], dtype=DTYPE))):
            assert float(oracle.log_prob(x, level).exp().sum() * 120 / 600_000) == pytest.approx(1, abs=1e-9)


def test_the_log_density_of_a_mixture_of_one_is_a_gaussians() -> None:
    mean, std = torch.randn(4, 3, dtype=DTYPE), torch.tensor([0.8], dtype=DTYPE)
    x = torch.randn(5, 4, 3, dtype=DTYPE)
    one = Mixture(mean[None], std, torch.ones(1, dtype=DTYPE))
    normal = torch.distributions.Normal(mean, std)
    assert torch.allclose(one.log_prob(x), normal.log_prob(x).sum(dim=(1, 2)), atol=1e-10)
    assert torch.allclose(Gaussian(mean, std).log_prob(x), normal.log_prob(x).sum(dim=(1, 2)), atol=1e-10)


def test_a_point_has_infinite_density_where_it_sits_and_none_elsewhere() -> None:
    points = Mixture.of_data(torch.randn(5, 3, dtype=DTYPE))
    got = points.log_prob(torch.cat([points.means[:1], points.means[1:2] + 0.1]))
    assert got.tolist() == [math.inf, -math.inf]


def test_a_label_keeps_the_components_of_its_class() -> None:
    both, x, level = _labelled(), torch.randn(6, 1, dtype=DTYPE), _level(0.6, 0.8)
    pick = torch.tensor([0, 2])
    first = Mixture(both.means[pick], both.stds[pick], both.weights[pick] / both.weights[pick].sum())
    label = torch.tensor([0, 1, -1, 0, 1, -1])
    got = both(x, level, {"label": label})
    second = Gaussian(both.means[1], both.stds[1:2])
    expected = [first, second, _mixture()] * 2
    for i, oracle in enumerate(expected):
        assert torch.allclose(got[i : i + 1], oracle(x[i : i + 1], level, {}), atol=1e-12)
        one = both.log_prob(x[i : i + 1], level, {"label": label[i : i + 1]})
        assert torch.allclose(one, oracle.log_prob(x[i : i + 1], level), atol=1e-12)
    assert torch.equal(both(x, level, {}), _mixture()(x, level, {}))


def test_the_classifier_of_a_mixture_sums_its_responsibilities() -> None:
    both, x, level = _labelled(), torch.randn(6, 1, dtype=DTYPE), _level(0.6, 0.8)
    parts = both.responsibilities(x, level)
    for label, expected in ((0, parts[:, 0] + parts[:, 2]), (1, parts[:, 1])):
        got = both.log_label(x, level, torch.full((6,), label)).exp()
        assert torch.allclose(got, expected, atol=1e-12)


def test_samples_have_the_moments_and_do_not_depend_on_the_batch() -> None:
    both, ids = _labelled(), torch.arange(200_000)
    x = both.sample(3, ids)
    mean = float((both.weights * both.means[:, 0]).sum())
    variance = float((both.weights * (both.means[:, 0].square() + both.stds.square())).sum()) - mean**2
    assert float(x.mean()) == pytest.approx(mean, abs=4 * math.sqrt(variance / 2e5))
    assert float(x.var()) == pytest.approx(variance, rel=0.015)
    assert torch.equal(both.sample(3, ids[17:18])[0], x[17])
    assert torch.equal(both.sample(3, torch.tensor([9, 5]), {"label": torch.tensor([-1, 1])})[0], x[9])
    only = both.sample(3, ids[:9], {"label": torch.ones(9, dtype=torch.int64)})
    assert float((only - both.means[1]).abs().max()) < 5 * float(both.stds[1])
    gaussian = Gaussian(torch.tensor(2.0, dtype=DTYPE), torch.tensor(0.5, dtype=DTYPE))
    x = gaussian.sample(0, ids[:50_000], (4,))
    assert x.shape == (50_000, 4) and float(x.mean()) == pytest.approx(2, abs=0.01)
    assert float(x.std()) == pytest.approx(0.5, abs=0.005)


def _full() -> FullMixture:
    root = torch.randn(3, 4, 4, dtype=DTYPE, generator=torch.Generator().manual_seed(5))
    means = torch.randn(3, 2, 2, dtype=DTYPE, generator=torch.Generator().manual_seed(6))
    return FullMixture(means, root @ root.mT / 4 + 0.1 * torch.eye(4), torch.tensor([0.5, 0.2, 0.3], dtype=DTYPE))


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.1), (0.7, 0.7), (0.0, 1.0), (1.0, 0.0), (1.0, 20.0)])
def test_a_full_mixture_of_round_components_is_the_mixture(alpha: float, sigma: float) -> None:
    means = torch.randn(3, 2, 2, dtype=DTYPE)
    mixture = Mixture(means, torch.tensor([0.5, 0.2, 1.0]).to(DTYPE), torch.tensor([0.2, 0.3, 0.5]).to(DTYPE))
    x, level = torch.randn(7, 2, 2, dtype=DTYPE), _level(alpha, sigma)
    assert torch.allclose(mixture.full()(x, level, {}), mixture(x, level, {}), atol=1e-12)
    assert torch.allclose(mixture.full().log_prob(x, level), mixture.log_prob(x, level), atol=1e-10)


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.1), (0.7, 0.7), (1.0, 20.0)])
def test_density_mean_and_covariance_of_a_full_mixture_agree(alpha: float, sigma: float) -> None:
    full, level, x = _full(), _level(alpha, sigma), torch.randn(5, 2, 2, dtype=DTYPE)
    at = x.clone().requires_grad_()
    score = torch.autograd.grad(full.log_prob(at, level).sum(), at)[0]
    assert torch.allclose(alpha * full(x, level, {}), x + sigma**2 * score, atol=1e-9)
    for i in range(5):
        slope = torch.autograd.functional.jacobian(lambda v: full(v[None], level, {})[0].flatten(), x[i])
        covariance = sigma**2 / alpha * slope.reshape(4, 4)
        assert torch.allclose(full.covariance(x, level)[i], covariance, atol=1e-8)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_posterior_of_a_mixture_is_bayes_rule(noise: float) -> None:
    full = _full()
    matrix = torch.randn(2, 4, dtype=DTYPE, generator=torch.Generator().manual_seed(7))
    y = torch.tensor([0.4, -0.3], dtype=DTYPE)
    found = full.posterior(matrix, y, noise)
    assert float(found.weights.sum()) == pytest.approx(1)
    if noise == 0:
        x = found.sample(0, torch.arange(50))
        assert torch.allclose(x.flatten(1) @ matrix.mT, y.expand(50, 2), atol=1e-5)
        return
    x = torch.randn(9, 2, 2, dtype=DTYPE)
    # log p(x) + log p(y|x) - log p(x|y) = log p(y), whatever x is
    seen = torch.distributions.Normal(x.flatten(1) @ matrix.mT, noise).log_prob(y).sum(1)
    evidence = full.log_prob(x) + seen - found.log_prob(x)
    assert torch.allclose(evidence, evidence[:1].expand(9), atol=1e-9)


def test_samples_of_a_full_mixture_have_its_moments() -> None:
    full = _full()
    x = full.sample(1, torch.arange(100_000)).flatten(1)
    nothing = _level(0.0, 1.0)  # where the posterior is the prior
    assert torch.allclose(x.mean(0), full(torch.zeros(1, 2, 2, dtype=DTYPE), nothing, {}).flatten(), atol=0.02)
    assert torch.allclose(x.T.cov(), full.covariance(torch.zeros(1, 2, 2, dtype=DTYPE), nothing)[0], atol=0.04)


def test_without_noise_a_label_gives_the_nearest_point_of_its_class() -> None:
    points = Mixture.of_data(torch.tensor([[0.0], [1.0], [3.0]], dtype=DTYPE), torch.tensor([0, 1, 1]))
    got = points(torch.tensor([[0.1], [0.1]], dtype=DTYPE), _level(1.0, 0.0), {"label": torch.tensor([0, 1])})
    assert got.flatten().tolist() == [0.0, 1.0]
