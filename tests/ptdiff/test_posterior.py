"""Posterior mean and covariance by differentiation are those of closed-form mixtures."""

import pytest
import torch

from ptdiff.denoiser.oracle import FullMixture, Gaussian
from ptdiff.denoiser.posterior import posterior, pullback, total
from ptdiff.process import Level

DTYPE = torch.float64


def _full() -> FullMixture:
    root = torch.randn(3, 4, 4, dtype=DTYPE, generator=torch.Generator().manual_seed(5))
    means = torch.randn(3, 2, 2, dtype=DTYPE, generator=torch.Generator().manual_seed(6))
    return FullMixture(means, root @ root.mT / 4 + 0.1 * torch.eye(4), torch.tensor([0.5, 0.2, 0.3], dtype=DTYPE))


@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.1), (0.7, 0.7), (0.02, 1.0), (1.0, 20.0)])
def test_the_covariance_is_the_exact_one(alpha: float, sigma: float) -> None:
    full, level = _full(), Level(torch.tensor(alpha, dtype=DTYPE), torch.tensor(sigma, dtype=DTYPE))
    x, v = torch.randn(2, 5, 2, 2, dtype=DTYPE).unbind()
    found, exact = posterior(full, x, level, {}), full.covariance(x, level)
    assert torch.allclose(found.mean, full(x, level, {}), atol=1e-12)
    assert torch.allclose(found.covariance(v).flatten(1), (exact @ v.reshape(5, 4, 1))[..., 0], atol=1e-8)
    assert torch.allclose(found.variance().flatten(1), exact.diagonal(dim1=1, dim2=2), atol=1e-8)


def test_without_signal_the_covariance_is_that_of_unit_variance_and_without_noise_it_is_zero() -> None:
    x, v = torch.randn(2, 5, 2, 2, dtype=DTYPE).unbind()
    ends = Level(
        torch.tensor([0.0, 1.0, 0.0, 1.0, 0.6], dtype=DTYPE), torch.tensor([1.0, 0.0, 80.0, 0.0, 0.8]).double()
    )
    found = posterior(_full(), x, ends, {}).covariance(v)
    assert torch.equal(found[[0, 2]], v[[0, 2]]) and torch.equal(found[[1, 3]], torch.zeros(2, 2, 2, dtype=DTYPE))


def test_gradients_pass_through_where_the_caller_takes_them() -> None:
    full, level = _full(), Level(torch.tensor(0.6, dtype=DTYPE), torch.tensor(0.8, dtype=DTYPE))

    def shifted(x: torch.Tensor) -> torch.Tensor:
        found = posterior(full, x, level, {})
        return found.mean + found.covariance(found.mean)

    x = torch.randn(2, 2, 2, dtype=DTYPE)
    assert torch.autograd.gradcheck(shifted, (x.requires_grad_(),))
    with torch.no_grad():
        assert not shifted(x).requires_grad


def test_a_constant_has_no_slope() -> None:
    flat = Gaussian(torch.zeros(2, dtype=DTYPE), torch.zeros(2, dtype=DTYPE))
    level = Level(torch.tensor(0.6, dtype=DTYPE), torch.tensor(0.8, dtype=DTYPE))
    value, pull = pullback(lambda x, level, cond: torch.ones_like(x), torch.zeros(3, 2, dtype=DTYPE), level, {})
    assert torch.equal(pull(value), torch.zeros_like(value))
    assert torch.equal(posterior(flat, value, level, {}).covariance(value), torch.zeros_like(value))


def test_sums_are_bit_equal_alone_and_in_a_batch() -> None:
    x = torch.randn(8, 60_000)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert all(torch.equal(total(x[i : i + 1])[0], total(x)[i]) for i in range(8))
    finally:
        torch.set_num_threads(threads)
