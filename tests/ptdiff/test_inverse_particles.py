"""Particles find the exact posterior where one guided path per sample does not."""

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.inverse import MMPS, Along, Mask, Observation, particles, pick
from ptdiff.noise import Stream, normal, uniform
from ptdiff.process import Level, VPCosine
from ptdiff.solvers import solve
from ptdiff.solvers.runge_kutta import Heun

DTYPE = torch.float64
LEVELS = grid(VPCosine(), 40)


def _mixture() -> Mixture:
    # what is seen of the first coordinate lies between the components, and the farthest but widest explain it best
    means = torch.tensor([[-1.0, -1.0], [1.0, -0.6], [0.6, 1.0]], dtype=DTYPE)
    return Mixture(means, torch.tensor([0.25, 0.3, 0.2]).to(DTYPE), torch.tensor([0.3, 0.4, 0.3]).to(DTYPE))


def _seen(noise: float) -> Observation:
    return Observation(Mask(torch.tensor([True, False])), torch.tensor([[0.2, 0.0]], dtype=DTYPE), noise)


def _walk(seen: Observation, ids: Tensor, p: int) -> tuple[Tensor, Tensor]:
    with torch.inference_mode():
        return particles(
            _mixture(),
            seen,
            normal(0, Stream.START, ids, 0, (p, 2)).to(DTYPE),
            LEVELS,
            lambda i: normal(0, Stream.SOLVER, ids, i, (p, 2)),
            lambda i: uniform(0, Stream.SOLVER, ids, i + 1000),
        )


def _shares(x: Tensor) -> Tensor:
    return _mixture().responsibilities(x, Level(x.new_ones(()), x.new_zeros(())))


@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_weighted_particles_agree_with_the_exact_posterior(noise: float) -> None:
    matrix, y = torch.tensor([[1.0, 0.0]], dtype=DTYPE), torch.tensor([0.2], dtype=DTYPE)
    exact = _mixture().full().posterior(matrix, y, noise)
    x, weights = (v[0] for v in _walk(_seen(noise), torch.tensor([3]), 2000))
    mean = (weights[:, None] * x).sum(0)
    covariance = (weights[:, None, None] * (x - mean)[..., None] * (x - mean)[:, None]).sum(0)
    nothing, zero = Level(x.new_zeros(()), x.new_ones(())), x.new_zeros(1, 2)
    assert float(((weights[:, None] * _shares(x)).sum(0) - exact.weights).abs().max()) < 0.04
    assert float((mean - exact(zero, nothing, {})[0]).abs().max()) < 0.08
    assert float((covariance - exact.covariance(zero, nothing)[0]).abs().max()) < 0.08
    # the best of the methods without particles is far off
    x = normal(0, Stream.START, torch.arange(800), 0, (2,)).to(DTYPE)
    alone = solve(MMPS().given(_seen(noise), _mixture()), x, Heun().table(grid(VPCosine(), 20)))
    assert float((_shares(alone).mean(0) - exact.weights).abs().max()) > 0.2


def test_the_likelihood_alone_weighs_particles_that_were_not_guided() -> None:
    # an operator that sees nothing of the data leaves the prior, with equal weights
    seen = Observation(Along(torch.zeros(1, 2, dtype=DTYPE)), torch.zeros(1, 1, dtype=DTYPE), 0.3)
    x, weights = _walk(seen, torch.tensor([0]), 2000)
    assert torch.allclose(weights, torch.full_like(weights, 1 / 2000))
    assert torch.allclose(_shares(x[0]).mean(0), _mixture().weights, atol=0.04)


def test_a_sample_does_not_depend_on_its_batch_and_one_particle_is_picked_by_weight() -> None:
    ids = torch.tensor([4, 7, 11])
    x, weights = _walk(_seen(0.2), ids, 8)
    one, its = _walk(_seen(0.2), ids[1:2], 8)
    assert torch.equal(one[0], x[1]) and torch.equal(its[0], weights[1])
    assert x.shape == (3, 8, 2) and torch.allclose(weights.sum(1), torch.ones(3, dtype=DTYPE))
    few = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5]], dtype=DTYPE)
    places = torch.arange(6.0).reshape(2, 3, 1)
    assert pick(places, few, torch.tensor([0.999, 0.6])).flatten().tolist() == [1, 5]


def test_what_cannot_be_weighed_is_refused() -> None:
    with pytest.raises(ValueError, match="noise above 0"):
        _walk(_seen(0.0), torch.tensor([0]), 4)
    x, short = torch.zeros(1, 4, 2, dtype=DTYPE), Level(LEVELS.alpha[:-1], LEVELS.sigma[:-1])
    with pytest.raises(ValueError, match="clean"):
        particles(_mixture(), _seen(0.1), x, short, lambda i: x, lambda i: x[:, 0])
