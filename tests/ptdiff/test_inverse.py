"""Inverse problems: exact on Gaussians, within a stated tolerance on a mixture, finite and cheap as declared."""

import math

import pytest
import torch
from torch import Tensor, nn

from ptdiff.choices import choose
from ptdiff.denoiser.cost import Counted, planned
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.oracle import FullMixture, Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.guidance import CFG
from ptdiff.inverse import (
    DPS,
    METHODS,
    MMPS,
    TMPD,
    Along,
    Average,
    Linear,
    Mask,
    Method,
    Observation,
    Operator,
    PiGDM,
    Replacement,
)
from ptdiff.modality.data import Data
from ptdiff.noise import Stream, normal
from ptdiff.process import Level, VPCosine, VPLinear
from ptdiff.solvers import solve, trajectory
from ptdiff.solvers.exponential import DDIM, DDPM
from ptdiff.solvers.runge_kutta import Heun

DTYPE = torch.float64
LEVELS = [(0.6, 0.8), (1.0, 0.05), (0.05, 1.0), (1.0, 20.0)]
SHAPES = [(6,), (5, 3), (2, 2, 4)]
ALL: list[Method] = [Replacement(), PiGDM(), TMPD(), MMPS(), DPS()]


def _level(alpha: float, sigma: float, dtype: torch.dtype = DTYPE) -> Level:
    return Level(torch.tensor(alpha, dtype=dtype), torch.tensor(sigma, dtype=dtype))


def _normal(*shape: int, seed: int = 1, dtype: torch.dtype = DTYPE) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def _operators(shape: tuple[int, ...]) -> list[Operator]:
    masks = [Mask(_normal(*shape, seed=9) > 0), Mask(torch.tensor([1.0] + [0.0] * (shape[-1] - 1)))]
    along = Along(_normal(2, shape[0], seed=8), axis=-len(shape))
    return [*masks, along, Linear(lambda x: along(x).cumsum(dim=-1), shape)]


def _matrix(operator: Operator, shape: tuple[int, ...]) -> Tensor:
    columns = torch.eye(math.prod(shape), dtype=DTYPE).reshape(-1, *shape)
    return operator(columns).flatten(1).T


@pytest.mark.parametrize("shape", SHAPES)
def test_adjoints_are_adjoint(shape: tuple[int, ...]) -> None:
    operators = _operators(shape) + ([Average(2)] if len(shape) == 3 else [])
    for operator in operators:
        x = _normal(4, *shape)
        y = _normal(*operator(x).shape, seed=2)
        ahead, back = (operator(x) * y).flatten(1).sum(1), (x * operator.adjoint(y)).flatten(1).sum(1)
        assert torch.allclose(ahead, back, atol=1e-12)


def test_operators_show_what_they_say() -> None:
    images = _normal(2, 3, 4, 6)
    assert torch.allclose(Average(2)(images), nn.functional.avg_pool2d(images, 2), atol=1e-12)
    gray = Along(torch.full((1, 3), 1 / 3, dtype=DTYPE), axis=-3)
    assert torch.allclose(gray(images), images.mean(dim=1, keepdim=True), atol=1e-12)
    cloud = Mask(torch.tensor([[True], [False]]))(_normal(3, 2, 3))
    assert torch.equal(cloud[:, 1], torch.zeros(3, 3, dtype=DTYPE)) and bool((cloud[:, 0] != 0).all())
    with pytest.raises(ValueError, match="must divide"):
        Average(4)(images)


def _round(shape: tuple[int, ...], kind: str) -> FullMixture:
    d = math.prod(shape)
    root = _normal(d, d, seed=3)
    covariance = {
        "white": torch.eye(d, dtype=DTYPE),
        "independent": torch.diag(torch.linspace(0.3, 2.0, d, dtype=DTYPE)),
        "any": root @ root.T / d + 0.05 * torch.eye(d, dtype=DTYPE),
    }[kind]
    mean = torch.zeros(1, *shape, dtype=DTYPE) if kind == "white" else _normal(1, *shape, seed=4)
    return FullMixture(mean, covariance[None], torch.ones(1, dtype=DTYPE))


EXACT = [(Replacement(20), "white"), (PiGDM(20), "white"), (TMPD(40), "independent"), (MMPS(40), "any")]


@pytest.mark.parametrize(("method", "kind"), EXACT)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_on_gaussian_data_the_estimate_is_the_exact_posterior_mean(
    method: Method, kind: str, shape: tuple[int, ...], noise: float
) -> None:
    prior = _round(shape, kind)
    for operator in _operators(shape):
        matrix = _matrix(operator, shape)
        rows = matrix.abs().sum(1) > 0
        y = operator(_normal(1, *shape, seed=5))
        exact = prior.posterior(matrix[rows], y.flatten()[rows], noise)
        guided = method.given(Observation(operator, y, noise), prior)
        for alpha, sigma in LEVELS:
            level, x = _level(alpha, sigma), alpha * _normal(3, *shape) + sigma * _normal(3, *shape, seed=6)
            assert torch.allclose(guided(x, level, {}), exact(x, level, {}), atol=1e-6)


def test_moment_matching_samples_the_exact_posterior_of_a_gaussian() -> None:
    prior, operator = _round((2, 2), "any"), Along(_normal(1, 2, seed=8), axis=-1)
    y = torch.tensor([[[0.7], [-0.2]]], dtype=DTYPE)
    exact = prior.posterior(_matrix(operator, (2, 2)), y.flatten(), 0.2)
    given, x = MMPS(4).given(Observation(operator, y, 0.2), prior), _normal(64, 2, 2)
    for process, tolerance in ((VPLinear(), 1e-6), (VPCosine(), 0.05)):
        # the cosine starts at pure noise, where all that is known of the data is its unit variance
        table = DDIM().table(grid(process, 30))
        assert torch.allclose(solve(given, x, table), solve(exact, x, table), atol=tolerance)


def _square() -> Mixture:
    means = torch.tensor([[-1.0, -0.6], [1.0, -0.6], [1.0, 0.8], [-1.0, 0.4]], dtype=DTYPE)
    stds = torch.tensor([0.25, 0.3, 0.3, 0.25], dtype=DTYPE)
    return Mixture(means, stds, torch.tensor([0.3, 0.3, 0.2, 0.2], dtype=DTYPE))


# the largest error of a weight, an element of the mean and one of the covariance; the data has unit variance
TOLERANCES = [(MMPS(), 0.03), (PiGDM(), 0.03), (TMPD(), 0.04), (Replacement(), 0.1), (DPS(2.0), 0.2)]


@pytest.mark.parametrize(("method", "tolerance"), TOLERANCES)
@pytest.mark.parametrize("linear", [False, True])
def test_samples_agree_with_the_exact_posterior_of_a_mixture(method: Method, tolerance: float, linear: bool) -> None:
    mixture, noise, n = _square(), 0.05, 4000
    # the first coordinate is seen, as it is or after a turn of the plane
    turn = torch.tensor([[0.6, 0.8], [-0.8, 0.6]], dtype=DTYPE) if linear else torch.eye(2, dtype=DTYPE)
    mixture = Mixture(mixture.means @ turn, mixture.stds, mixture.weights)
    exact = mixture.full().posterior(turn[:1], torch.tensor([0.9], dtype=DTYPE), noise)
    if linear:
        seen = Observation(Along(turn[:1]), torch.tensor([[0.9]], dtype=DTYPE), noise)
    else:
        seen = Observation(Mask(torch.tensor([True, False])), torch.tensor([[0.9, 0.0]], dtype=DTYPE), noise)
    x = normal(0, Stream.START, torch.arange(n), 0, (2,)).to(DTYPE)
    with torch.inference_mode():
        x = solve(method.given(seen, mixture), x, Heun().table(grid(VPCosine(), 20)))
    nothing, zero = _level(0.0, 1.0), torch.zeros(1, 2, dtype=DTYPE)
    weights = mixture.responsibilities(x, _level(1.0, 0.0)).mean(0)
    assert float((weights - exact.weights).abs().max()) < tolerance
    assert float((x.mean(0) - exact(zero, nothing, {})[0]).abs().max()) < tolerance
    assert float((x.T.cov() - exact.covariance(zero, nothing)[0]).abs().max()) < tolerance


def _network() -> NetworkDenoiser:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 3)

        def forward(self, x: Tensor, angle: Tensor, cond: dict[str, Tensor]) -> Tensor:
            return self.layer(x) * torch.cos(angle).reshape(-1, 1, 1) + x.tanh()

    torch.manual_seed(0)
    return NetworkDenoiser(Net()).eval()


@pytest.mark.parametrize("method", ALL)
def test_a_network_is_differentiated_whatever_the_callers_mode(method: Method) -> None:
    net, x = _network(), _normal(4, 5, 3, dtype=torch.float32)
    seen = Observation(Mask(torch.arange(5)[:, None] < 2), _normal(1, 5, 3, seed=3, dtype=torch.float32), 0.1)
    expected = method.given(seen, net)(x, _level(0.6, 0.8, torch.float32), {})
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            # made in this mode, as a solver would: x, the level, and even the observation
            here = Observation(Mask(torch.arange(5)[:, None] < 2), seen.y.clone(), 0.1)
            got = method.given(here, net)(x.clone(), _level(0.6, 0.8, torch.float32), {"label": torch.zeros(4)})
        assert torch.equal(got, expected) and not got.requires_grad


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_everything_is_finite_in_float32_and_each_row_its_own(
    method: Method, shape: tuple[int, ...], noise: float
) -> None:
    mixture = Mixture(
        _normal(4, *shape, dtype=torch.float32), torch.tensor([0.3, 0.5, 0.2, 0.0]), torch.full((4,), 0.25)
    )
    x, y = (_normal(3, *shape, seed=s, dtype=torch.float32) for s in (2, 3))
    mask = Mask(_normal(*shape, seed=9) > 0)
    guided = method.given(Observation(mask, mask(y), noise), mixture)
    one = method.given(Observation(mask, mask(y)[1:2], noise), mixture)
    for alpha, sigma in [*LEVELS, (0.0, 1.0), (1.0, 0.0), (0.0, 80.0), (1.0, 1e-4), (1e-4, 1.0)]:
        level = _level(alpha, sigma, torch.float32)
        got = guided(x, level, {})
        assert got.shape == x.shape and got.dtype == x.dtype and bool(torch.isfinite(got).all())
        assert torch.equal(one(x[1:2], level, {})[0], got[1])
        if sigma == 0:
            assert torch.equal(got, mixture(x, level, {}))


def test_levels_of_a_batch_are_taken_one_by_one() -> None:
    prior, x = _round((5, 3), "any"), _normal(3, 5, 3)
    seen = Observation(Mask(torch.arange(5)[:, None] < 2), _normal(1, 5, 3, seed=3), 0.1)
    level = Level(torch.tensor([0.6, 0.0, 1.0], dtype=DTYPE), torch.tensor([0.8, 1.0, 0.1], dtype=DTYPE))
    for method in ALL:
        got = method.given(seen, prior)(x, level, {})
        for i in range(3):
            one = method.given(seen, prior)(x[i : i + 1], Level(level.alpha[i], level.sigma[i]), {})
            assert torch.allclose(one[0], got[i], atol=1e-10)


@pytest.mark.parametrize("method", ALL)
def test_the_declared_cost_is_the_real_one(method: Method) -> None:
    counted, x, cond = Counted(_square_labelled()), _normal(7, 2), {"label": torch.zeros(7, dtype=torch.int64)}
    seen = Observation(Mask(torch.tensor([True, False])), torch.tensor([[0.9, 0.0]], dtype=DTYPE), 0.1)
    for inner in (counted, CFG(2.0).guide(counted)):
        counted.rows = 0
        given = method.given(seen, inner)
        given(x, _level(0.6, 0.8), cond)
        assert counted.rows == 7 * planned(given, [(0.6, 0.8)])


def _square_labelled() -> Mixture:
    square = _square()
    return Mixture(square.means, square.stds, square.weights, torch.tensor([0, 1, 0, 1]))


def test_replacing_the_known_estimate_replaces_the_known_part_of_x() -> None:
    mixture, known = _square(), torch.tensor([True, False])
    y = torch.tensor([[0.9, 0.0]], dtype=DTYPE)
    given, levels, x = Replacement().given(Observation(Mask(known), y), mixture), grid(VPCosine(), 12), _normal(5, 2)
    noise = _normal(13, 5, 2, seed=7)
    for state in trajectory(given, x, DDIM().table(levels)):
        alpha, sigma = state.level
        assert torch.allclose(state.x[:, 0], alpha * y[0, 0] + sigma * x[:, 0], atol=1e-10)
    *_, last = trajectory(given, x, DDPM().table(levels), None, lambda k: noise[k])
    assert torch.allclose(last.x[:, 0], y[0, 0].expand(5), atol=1e-10)


def test_an_observation_in_world_units_becomes_one_in_model_units() -> None:
    data = Data(shape=(2, 4, 4), mean=(((0.5,),), ((0.4,),)), scale=0.25)
    operator, world = Average(2), _normal(3, 2, 4, 4)
    seen = Observation.of_world(operator, operator(world), data, noise=0.1)
    assert torch.allclose(seen.y, operator(data.normalize(world)), atol=1e-12) and seen.noise == pytest.approx(0.4)


@pytest.mark.parametrize("name", ["replacement", "mmps", "pigdm"])
def test_channels_with_scales_of_their_own_are_observed_in_world_units(name: str) -> None:
    # two channels, one five times as large; what is seen is their sum, and the second channel of one element
    data = Data(shape=(3, 2), mean=(0.5, -2.0), scale=(1.0, 5.0))
    matrix = _normal(4, 6)
    operator = Linear(lambda x: x.flatten(1) @ matrix.T, (3, 2))
    world = data.world(_normal(2, 3, 2))
    seen = Observation.of_world(operator, operator(world), data)
    assert torch.allclose(seen.operator(data.normalize(world)), seen.y, atol=1e-10)
    x, y = _normal(2, 3, 2), _normal(2, 4)
    assert torch.allclose((seen.operator(x) * y).sum(), (x * seen.operator.adjoint(y)).sum(), atol=1e-10)
    # data of unit variance in model units: the estimate of the clean level agrees with what was seen
    white = Gaussian(torch.zeros(3, 2, dtype=torch.float64), torch.ones(3, 2, dtype=torch.float64))
    level = Level(torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64))
    found = data.world(METHODS[name](steps=6).given(seen, white)(_normal(2, 3, 2), level, {}))
    assert torch.allclose(operator(found), operator(world), atol=1e-6)


def test_the_noise_of_an_observation_keeps_its_size_under_several_scales() -> None:
    data = Data(shape=(3, 2), scale=(3.0, 4.0))
    seen = Observation.of_world(Mask(torch.ones(3, 2)), torch.zeros(1, 3, 2, dtype=torch.float64), data, noise=0.1)
    # in world units again
    assert seen.noise * 12.5**0.5 == pytest.approx(0.1)
    assert torch.equal(seen.operator(torch.ones(1, 3, 2))[0, 0] * 12.5**0.5, torch.tensor([3.0, 4.0]))


def test_the_catalog_builds_methods_from_names_and_refuses_nonsense() -> None:
    assert choose("method", METHODS, {"name": "mmps", "steps": 5}) == MMPS(5)
    for name, option in (("mmps", {"steps": 0}), ("dps", {"scale": -1}), ("pigdm", {"steps": "many"})):
        with pytest.raises(ValueError, match=f"method {name}"):
            choose("method", METHODS, {"name": name, **option})
    with pytest.raises(ValueError, match="noise"):
        Observation(Average(2), torch.zeros(1, 1, 1, 1), -1.0)
