"""The variational bound of a chain is the one in closed form, lies above the truth and closes in on it."""

import math
from itertools import pairwise
from typing import Literal

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.cost import Counted
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.likelihood.chain import Decoder, prior_term, variational_bound
from ptdiff.process import VE, Chain, Flow, Level, Process, VPCosine, VPLinear

DTYPE = torch.float64
MEAN, STD = 0.2, 0.6
BITS = Gaussian(torch.full((3,), MEAN, dtype=DTYPE), torch.full((3,), STD, dtype=DTYPE))


def _data(n: int) -> Tensor:
    return MEAN + STD * torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=DTYPE)


CHAIN = Chain(steps=25, beta_start=4e-3, beta_end=0.8)


def _normal_kl(mean: float, variance: float, mean_q: float, variance_q: float) -> float:
    return 0.5 * (variance / variance_q - 1 - math.log(variance / variance_q) + (mean - mean_q) ** 2 / variance_q)


def _closed_form(levels: Level, variance: Literal["lower", "upper"]) -> float:
    """The expected bound a dimension for x_0 ~ N(MEAN, STD^2), by Bayes' rule for normal laws, step by step."""
    found = list(zip(levels.alpha.tolist(), levels.sigma.tolist(), strict=True))
    alpha, sigma = found[0]
    r2 = alpha**2 + sigma**2
    total = 0.5 * (sigma**2 / r2 - 1 - math.log(sigma**2 / r2) + alpha**2 * (MEAN**2 + STD**2) / r2)
    for (a_s, s_s), (a_t, s_t) in pairwise(found):
        error = STD**2 * s_s**2 / (a_s**2 * STD**2 + s_s**2)  # E (x_0 - E[x_0 | x_s])^2
        forward = s_s**2 - (a_s / a_t) ** 2 * s_t**2
        unit = 1 / (1 / (a_t**2 + s_t**2) + (a_s / a_t) ** 2 / forward)  # Var[x_t | x_s] for data of unit variance
        if s_t == 0:
            total += 0.5 * (error / unit + math.log(2 * math.pi * unit))
            continue
        posterior = 1 / (1 / s_t**2 + (a_s / a_t) ** 2 / forward)
        reverse = posterior if variance == "lower" else unit
        # mean of q(x_t | x_s, x_0) = posterior (alpha_t x_0 / sigma_t^2 + …)
        slope = posterior * a_t / s_t**2
        total += 0.5 * (posterior / reverse - 1 - math.log(posterior / reverse) + slope**2 * error / reverse)
    return total


@pytest.mark.parametrize("variance", ["lower", "upper"])
@pytest.mark.parametrize("process", [Flow(), VPCosine(), VPLinear(), VE(), CHAIN])
def test_the_bound_of_a_gaussian_is_the_one_in_closed_form(
    process: Process, variance: Literal["lower", "upper"]
) -> None:
    levels = grid(process, 25, "uniform" if process == CHAIN else "karras")
    x = _data(6000)
    found = variational_bound(BITS, x, levels, variance=variance)
    expected = 3 * _closed_form(levels, variance)
    spread = float(found.nats.std()) / math.sqrt(len(x))
    assert float(found.nats.mean()) == pytest.approx(expected, abs=3.5 * spread)
    assert spread < 0.02 * abs(expected)
    assert found.steps.shape == (24, 6000)
    assert torch.allclose(found.nats, found.prior + found.steps.sum(dim=0) + found.decoder)


@pytest.mark.parametrize(("variance", "spacing"), [("upper", "uniform"), ("upper", "log-snr"), ("lower", "log-snr")])
def test_the_bound_lies_above_the_truth_and_converges_to_it(variance: Literal["lower", "upper"], spacing: str) -> None:
    entropy = 0.5 + math.log(STD * math.sqrt(2 * math.pi))
    gaps = [_closed_form(grid(VPCosine(), n, spacing), variance) - entropy for n in (32, 128, 512)]
    assert 0 < gaps[2] < 0.3 * gaps[1] < 0.3 * gaps[0]
    x = _data(300)
    found = variational_bound(BITS, x, grid(VPCosine(), 512, spacing), variance=variance, draws=2)
    truth = 3 * math.log(STD * math.sqrt(2 * math.pi)) + (0.5 * ((x - MEAN) / STD) ** 2).sum(dim=1)
    # the same data on both sides: what is left is the noise of the levels
    gap = float((found.nats - truth).mean())
    assert gap == pytest.approx(3 * gaps[2], abs=3 * float(found.standard_error.mean()) / math.sqrt(300) + 0.02)


def test_the_lower_variance_never_closes_in_where_the_last_steps_halve_the_noise() -> None:
    entropy = 0.5 + math.log(STD * math.sqrt(2 * math.pi))
    gaps = [_closed_form(grid(VPCosine(), n, "uniform"), "lower") - entropy for n in (32, 512, 2048)]
    assert gaps[0] < gaps[1] < gaps[2]


def test_the_upper_variance_is_exact_for_data_of_unit_variance() -> None:
    unit = Gaussian(torch.zeros(3, dtype=DTYPE), torch.ones(3, dtype=DTYPE))
    x = torch.randn(4000, 3, generator=torch.Generator().manual_seed(2), dtype=DTYPE)
    entropy = 3 * (0.5 + 0.5 * math.log(2 * math.pi))
    # in as few as three steps
    found = variational_bound(unit, x, grid(Flow(), 3), variance="upper")
    assert float(found.nats.mean()) == pytest.approx(entropy, abs=4 * float(found.nats.std()) / math.sqrt(4000))
    lower = variational_bound(unit, x, grid(Flow(), 3), variance="lower")
    assert float(lower.nats.mean()) > entropy + 0.3


def test_the_prior_term_is_the_divergence_of_two_normal_laws() -> None:
    x = torch.tensor([[0.5], [-2.0]], dtype=DTYPE)
    level = Level(torch.tensor(0.6, dtype=DTYPE), torch.tensor(1.2, dtype=DTYPE))
    expected = [_normal_kl(0.6 * v, 1.2**2, 0.0, 0.6**2 + 1.2**2) for v in (0.5, -2.0)]
    assert prior_term(x, level).tolist() == pytest.approx(expected, rel=1e-12)
    pure = Level(torch.tensor(0.0, dtype=DTYPE), torch.tensor(1.0, dtype=DTYPE))
    assert prior_term(x, pure).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("shape", [(), (4,), (5, 3), (1, 2, 2)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_every_shape_and_type_is_finite(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    target = Gaussian(torch.zeros((), dtype=dtype), torch.tensor(0.5, dtype=dtype))
    x = 0.5 * torch.randn(6, *shape, dtype=dtype, generator=torch.Generator().manual_seed(0))
    for levels in (grid(Flow(), 6), grid(VE(), 6), grid(CHAIN, 25)):
        for decoder in (Decoder(), Decoder(width=1 / 255), Decoder(std=1e-3, width=1e-4)):
            found = variational_bound(target, x, levels, decoder=decoder)
            assert found.nats.shape == found.standard_error.shape == (6,)
            assert torch.isfinite(found.nats).all()
            assert (found.steps >= 0).all()


def test_the_standard_error_is_that_of_the_draws() -> None:
    x = _data(1).expand(3000, 3)
    few = variational_bound(BITS, x, grid(VPCosine(), 8), draws=4)
    assert float(few.standard_error.square().mean().sqrt()) == pytest.approx(float(few.nats.std()), rel=0.06)


def test_draws_belong_to_samples_and_calls_are_counted() -> None:
    x, counted = _data(5), Counted(BITS)
    together = variational_bound(counted, x, grid(Flow(), 7), draws=3, seed=2)
    assert together.calls == 21
    assert counted.rows == 5 * 21
    alone = variational_bound(BITS, x[3:4], grid(Flow(), 7), draws=3, seed=2, ids=torch.tensor([3]))
    assert torch.equal(alone.nats, together.nats[3:4])
    assert not torch.equal(variational_bound(BITS, x, grid(Flow(), 7), draws=3, seed=1).nats, together.nats)


def test_bins_of_the_decoder_share_out_the_probability() -> None:
    decoder = Decoder(std=0.07, width=0.1)
    errors = torch.arange(-60, 61, dtype=DTYPE) * 0.1 + 0.033
    assert float(torch.exp(-decoder.negative_log(errors, 1.0)).sum()) == pytest.approx(1, abs=1e-12)
    # narrow bins: density times width, also where both tails are tiny
    for error in (0.01, -2.0, 2.0):
        gap = torch.tensor([error], dtype=DTYPE)
        fine, density = Decoder(std=0.07, width=1e-6), Decoder(std=0.07)
        expected = float(density.negative_log(gap, 1.0)) - math.log(1e-6)
        assert float(fine.negative_log(gap, 1.0)) == pytest.approx(expected, abs=1e-3)


def test_a_discretized_decoder_bounds_the_bits_of_quantised_data() -> None:
    # two values, equally likely: one bit, and the bound of the exact denoiser stays above it and comes near
    values = torch.tensor([[-1.0], [1.0]], dtype=DTYPE)
    x = values[torch.arange(400) % 2]
    found = variational_bound(
        Mixture.of_data(values), x, grid(VPCosine(), 200), decoder=Decoder(std=0.05, width=2.0), draws=2
    )
    assert math.log(2) < float(found.nats.mean()) < math.log(2) * 1.15


def test_what_makes_no_chain_is_refused() -> None:
    noisy = Level(torch.tensor([0.0, 0.5]), torch.tensor([1.0, 0.5]))
    x = torch.zeros(1, 3)
    for levels in (noisy, Level(noisy.alpha.flip(0), noisy.sigma.flip(0)), Level(torch.ones(1), torch.zeros(1))):
        with pytest.raises(ValueError, match="levels must fall"):
            variational_bound(BITS, x, levels)
    with pytest.raises(ValueError, match="draws must be at least 2"):
        variational_bound(BITS, x, grid(Flow(), 3), draws=1)
    with pytest.raises(ValueError, match="variance must be"):
        variational_bound(BITS, x, grid(Flow(), 3), variance="middle")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="width must be positive"):
        Decoder(width=0.0)
