"""Guidance: exact on Gaussians and mixtures, nothing where it is neutral, finite everywhere, honest about its cost."""

import math

import pytest
import torch
from torch import Tensor

from ptdiff.choices import choose
from ptdiff.denoiser.cost import Counted, planned
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.guidance import APG, CFG, GUIDANCE, TCFG, CFGZero, ClassifierGuided, Guidance, Mambo, plus_plus
from ptdiff.process import Flow, Level, VPCosine
from ptdiff.solvers import solve
from ptdiff.solvers.exponential import DDIM

DTYPE = torch.float64
LEVELS = [(0.6, 0.8), (1.0, 0.002), (0.01, 1.0), (1.0, 80.0)]


def _level(alpha: float, sigma: float, dtype: torch.dtype = DTYPE) -> Level:
    return Level(torch.tensor(alpha, dtype=dtype), torch.tensor(sigma, dtype=dtype))


def _labelled(shape: tuple[int, ...] = (2,), dtype: torch.dtype = DTYPE) -> Mixture:
    means = torch.randn(4, *shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    stds = torch.tensor([0.3, 0.5, 0.2, 0.4], dtype=dtype)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=dtype)
    return Mixture(means, stds, weights, torch.tensor([0, 1, 0, 1]))


def _x(shape: tuple[int, ...] = (2,), dtype: torch.dtype = DTYPE, n: int = 6) -> Tensor:
    return torch.randn(n, *shape, dtype=dtype, generator=torch.Generator().manual_seed(2))


COND = {"label": torch.tensor([0, 1, 0, 1, 1, 0])}
STRONG: list[Guidance] = [CFG(3.0), CFG(3.0, phi=0.7), APG(3.0, norm=1.0), CFGZero(3.0), TCFG(3.0), Mambo(3.0)]


def test_guidance_extrapolates_from_free_to_given() -> None:
    seen = []

    def denoiser(x, level, cond):  # type: ignore[no-untyped-def]
        seen.append(dict(cond))
        return x + 1 if cond else x

    x = torch.zeros(6, 3)
    assert torch.equal(CFG(3.0).guide(denoiser)(x, _level(0.6, 0.8), COND), torch.full((6, 3), 3.0))
    assert seen[1] == {}
    assert torch.equal(CFG(0.0).guide(denoiser)(x, _level(0.6, 0.8), COND), x)


@pytest.mark.parametrize("rule", [type(rule)(1.0) for rule in STRONG])
def test_a_scale_of_one_or_no_condition_costs_nothing(rule: Guidance) -> None:
    counted = Counted(_labelled())
    level, x = _level(0.6, 0.8), _x()
    assert torch.equal(rule.guide(counted)(x, level, COND), _labelled()(x, level, COND))
    assert torch.equal(type(rule)(4.0).guide(counted)(x, level, {}), _labelled()(x, level, {}))
    assert counted.rows == 12


@pytest.mark.parametrize("scale", [0.5, 1.5, 3.0])
@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_on_gaussians_the_guided_score_is_that_of_the_tilted_density(scale: float, alpha: float, sigma: float) -> None:
    free = Gaussian(torch.tensor([0.2, -0.5], dtype=DTYPE), torch.tensor([1.0, 1.3], dtype=DTYPE))
    given = Gaussian(torch.tensor([1.0, 0.3], dtype=DTYPE), torch.tensor([0.4, 0.7], dtype=DTYPE))
    level, x = _level(alpha, sigma), _x().requires_grad_()
    guided = CFG(scale).guide(lambda x, level, cond: (given if cond else free)(x, level, {}))
    # p(x)^(1 - w) p(x|y)^w at this level
    tilted = (1 - scale) * free.log_prob(x, level) + scale * given.log_prob(x, level)
    score = torch.autograd.grad(tilted.sum(), x)[0]
    assert torch.allclose(alpha * guided(x, level, COND), x + sigma**2 * score, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("prediction", ["eps", "velocity"])
def test_guiding_x0_is_guiding_noise_or_velocity_at_the_same_level(prediction: str) -> None:
    alpha, sigma, oracle, x = 0.6, 0.8, _labelled(), _x()
    skip, out = {"eps": (1 / alpha, -sigma / alpha), "velocity": (alpha, -sigma)}[prediction]
    one, other = ((oracle(x, _level(alpha, sigma), c) - skip * x) / out for c in (COND, {}))
    there = skip * x + out * (other + 2.5 * (one - other))
    assert torch.allclose(CFG(2.5).guide(oracle)(x, _level(alpha, sigma), COND), there, atol=1e-12)


@pytest.mark.parametrize(("alpha", "sigma"), LEVELS)
def test_the_exact_classifier_turns_a_mixture_into_the_given_class(alpha: float, sigma: float) -> None:
    both, level, x = _labelled((3, 2)), _level(alpha, sigma), alpha * _x((3, 2)) + sigma * _x((3, 2)).flip(0)
    free = Mixture(both.means, both.stds, both.weights)

    def classifier(x: Tensor, level: Level, cond: dict[str, Tensor]) -> Tensor:
        return both.log_label(x, level, cond["label"])

    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode):
        with mode():
            inner = Level(level.alpha.clone(), level.sigma.clone())  # made in this mode, as a solver would
            got = ClassifierGuided(free, classifier)(x.clone(), inner, COND)
            assert torch.allclose(got, both(x, level, COND), atol=1e-8)
    assert torch.equal(ClassifierGuided(free, classifier)(x, _level(0.0, 1.0), COND), free(x, _level(0.0, 1.0), {}))


@pytest.mark.parametrize("rule", STRONG)
def test_a_model_guided_by_itself_stays_as_it_is(rule: Guidance) -> None:
    level, x, oracle = _level(0.6, 0.8), _x(), _labelled()
    assert torch.allclose(rule.guide(oracle, weak=oracle)(x, level, COND), oracle(x, level, COND), atol=1e-12)


def test_a_weaker_model_is_extrapolated_from() -> None:
    strong, level, x = _labelled(), _level(0.6, 0.8), _x()
    weak = Gaussian(torch.zeros(2, dtype=DTYPE), torch.ones(2, dtype=DTYPE))
    one, other = strong(x, level, COND), weak(x, level, COND)
    assert torch.allclose(CFG(2.0).guide(strong, weak)(x, level, COND), 2 * one - other, atol=1e-12)
    assert torch.allclose(CFG(2.0).guide(strong, weak)(x, level, {}), 2 * strong(x, level, {}) - other, atol=1e-12)


def test_outside_its_interval_guidance_is_nothing_and_costs_nothing() -> None:
    counted, rule, x = Counted(_labelled()), CFG(3.0, low=0.5, high=2.0), _x()
    full = CFG(3.0).guide(_labelled())
    pairs = [(1.0, 0.4), (1.0, 0.6), (0.5, 0.9), (0.5, 1.2), (0.0, 1.0)]
    for (alpha, sigma), inside in zip(pairs, (False, True, True, False, False), strict=True):
        level = _level(alpha, sigma)
        expected = full(x, level, COND) if inside else _labelled()(x, level, COND)
        assert torch.equal(rule.guide(counted)(x, level, COND), expected)
    assert counted.rows == 6 * planned(rule.guide(_labelled()), pairs) == 6 * 7
    assert torch.equal(CFG(3.0, low=2.0).guide(counted)(x, _level(0.0, 1.0), COND), full(x, _level(0.0, 1.0), COND))


@pytest.mark.parametrize("rule", [CFG(3.0, 0.5, 2.0), CFGZero(3.0, 0.5, 2.0, zero=10.0)])
def test_levels_of_a_batch_are_guided_one_by_one(rule: Guidance) -> None:
    x, guided = _x(), rule.guide(_labelled())
    sigma = torch.tensor([0.1, 0.7, 1.0, 3.0, 12.0, 1.0], dtype=DTYPE)
    alpha = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.0], dtype=DTYPE)
    got = guided(x, Level(alpha, sigma), COND)
    for i in range(6):
        one = guided(x[i : i + 1], Level(alpha[i], sigma[i]), {"label": COND["label"][i : i + 1]})
        assert torch.allclose(got[i : i + 1], one, atol=1e-12)


def test_rules_become_plain_guidance_at_their_neutral_options() -> None:
    level, x, oracle = _level(0.6, 0.8), _x((4, 3)), _labelled((4, 3))
    plain = CFG(3.0).guide(oracle)(x, level, COND)
    for rule in (CFG(3.0, phi=0.0), APG(3.0, eta=1.0), APG(3.0, eta=1.0, norm=1e9), Mambo(3.0, damping=0.0)):
        assert torch.allclose(rule.guide(oracle)(x, level, COND), plain, atol=1e-12)
    for other in (CFG(3.0, phi=1.0), APG(3.0), APG(3.0, eta=1.0, norm=0.1), Mambo(3.0), CFGZero(3.0), TCFG(3.0)):
        assert not torch.allclose(other.guide(oracle)(x, level, COND), plain, atol=1e-3)


def _pair(x: Tensor, level: Level, oracle: Mixture) -> tuple[Tensor, Tensor]:
    return oracle(x, level, COND), oracle(x, level, {})


def test_rescaling_gives_back_the_deviation_of_each_sample() -> None:
    level, x, oracle = _level(0.6, 0.8), _x((4, 3)), _labelled((4, 3))
    given, _ = _pair(x, level, oracle)
    plain, full, half = (CFG(5.0, phi=phi).guide(oracle)(x, level, COND) for phi in (0.0, 1.0, 0.5))
    assert torch.allclose(full.flatten(1).std(dim=1), given.flatten(1).std(dim=1), atol=1e-12)
    assert torch.allclose(half, (plain + full) / 2, atol=1e-12)


def test_projection_leaves_no_part_along_the_estimate_and_bounds_the_change() -> None:
    level, x, oracle = _level(0.6, 0.8), _x((4, 3)), _labelled((4, 3))
    given, free = _pair(x, level, oracle)
    change = (APG(3.0).guide(oracle)(x, level, COND) - given).flatten(1)
    assert torch.allclose((change * given.flatten(1)).sum(1), torch.zeros(6, dtype=DTYPE), atol=1e-12)
    assert float(change.norm(dim=1).max()) > 0.1
    bounded = (APG(3.0, eta=1.0, norm=0.5).guide(oracle)(x, level, COND) - given).flatten(1).norm(dim=1)
    assert torch.allclose(bounded, 2 * (given - free).flatten(1).norm(dim=1).clamp(max=0.5), atol=1e-12)


def test_the_scale_of_cfg_zero_fits_the_velocities_best() -> None:
    alpha, sigma, oracle, x = 0.7, 0.3, _labelled((4, 3)), _x((4, 3))
    level = _level(alpha, sigma)
    one, other = (((x - (alpha + sigma) * d) / sigma).flatten(1) for d in _pair(x, level, oracle))
    best = torch.stack([torch.linalg.lstsq(b[:, None], a).solution[0] for a, b in zip(one, other, strict=True)])
    other = best[:, None] * other
    velocity = other + 3.0 * (one - other)
    got = ((x - (alpha + sigma) * CFGZero(3.0).guide(oracle)(x, level, COND)) / sigma).flatten(1)
    assert torch.allclose(got, velocity, atol=1e-10)


def test_zero_init_leaves_a_flow_where_it_is_without_a_call() -> None:
    counted, x = Counted(_labelled()), _x()
    guided = CFGZero(3.0, zero=9.0).guide(counted)
    table = DDIM().table(Level(torch.tensor([0.0, 0.1], dtype=DTYPE), torch.tensor([1.0, 0.9], dtype=DTYPE)))
    assert torch.allclose(solve(guided, x, table, COND), x, atol=1e-12)
    assert counted.rows == 0 == planned(guided, table.called)
    assert planned(guided, [(0.1, 0.9), (0.2, 0.8), (0.0, 1.0)]) == 2


def test_tangential_damping_projects_the_noise_on_the_first_singular_vector() -> None:
    alpha, sigma, oracle, x = 0.8, 0.6, _labelled((4, 3)), 3 * _x((4, 3))
    level = _level(alpha, sigma)
    one, other = (((x - alpha * d) / sigma).flatten(1) for d in _pair(x, level, oracle))
    first = torch.linalg.svd(torch.stack([one, other], dim=1), full_matrices=False)[2][:, 0]
    other = (other * first).sum(1, keepdim=True) * first
    noise = other + 3.0 * (one - other)
    got = ((x - alpha * TCFG(3.0).guide(oracle)(x, level, COND)) / sigma).flatten(1)
    assert torch.allclose(got, noise, atol=1e-10)


def test_the_larger_the_difference_the_less_mambo_guides() -> None:
    level, x, oracle = _level(0.7, 0.3), _x((4, 3)), _labelled((4, 3))
    given, free = _pair(x, level, oracle)
    factor = ((Mambo(3.0, damping=2.0).guide(oracle)(x, level, COND) - given) / (given - free)).flatten(1)
    size = (given - free).flatten(1).norm(dim=1) / (x - free).flatten(1).norm(dim=1)
    assert torch.allclose(factor, (2 * torch.exp(-2 * size))[:, None].expand_as(factor), atol=1e-10)


@pytest.mark.parametrize("steps", [1, 7])
def test_cfg_plus_plus_keeps_the_noise_of_the_free_estimate(steps: int) -> None:
    levels, oracle, x = grid(VPCosine(), steps), _labelled(), _x()
    got = solve(plus_plus(oracle, levels, 0.6), x, DDIM().table(levels), COND)
    for i in range(steps):
        (a, b), (s, t) = levels.alpha[i : i + 2], levels.sigma[i : i + 2]
        given, free = _pair(x, Level(a, s), oracle)
        x = b * (free + 0.6 * (given - free)) + t * (x - a * free) / s
    assert torch.allclose(got, x, atol=1e-10)


@pytest.mark.parametrize("rule", STRONG)
@pytest.mark.parametrize("shape", [(2,), (7, 3), (3, 4, 4)])
def test_everything_is_finite_in_float32_and_each_row_its_own(rule: Guidance, shape: tuple[int, ...]) -> None:
    oracle, x = _labelled(shape, torch.float32), _x(shape, torch.float32)
    guided = rule.guide(oracle)
    for alpha, sigma in [*LEVELS, (0.0, 1.0), (1.0, 0.0), (0.0, 80.0)]:
        level = _level(alpha, sigma, torch.float32)
        got = guided(x, level, COND)
        assert got.shape == x.shape and got.dtype == x.dtype and bool(torch.isfinite(got).all())
        assert torch.equal(guided(x[4:5], level, {"label": COND["label"][4:5]})[0], got[4])
    nothing = rule.guide(lambda x, level, cond: torch.zeros_like(x))(torch.zeros_like(x), _level(0.0, 1.0), COND)
    assert torch.equal(nothing, torch.zeros_like(x))


def test_guidance_composes_and_its_cost_multiplies() -> None:
    counted, x, level = Counted(_labelled()), _x(), _level(0.6, 0.8)
    weak = Gaussian(torch.zeros(2, dtype=DTYPE), torch.ones(2, dtype=DTYPE))
    nested = CFG(1.5).guide(CFG(2.0).guide(counted), CFG(3.0).guide(weak))
    assert nested(x, level, COND).shape == x.shape
    assert planned(nested, [(0.6, 0.8)]) == 4 and counted.rows == 12


def test_the_catalog_builds_rules_from_names_and_refuses_nonsense() -> None:
    assert choose("guidance", GUIDANCE, {"name": "apg", "scale": 2, "norm": 5}) == APG(2.0, norm=5.0)
    for name, options in {
        "cfg": [{"phi": 2}, {"scale": math.inf}, {"low": 3, "high": 2}, {"low": -1}],
        "apg": [{"norm": 0}],
        "cfg-zero": [{"zero": 0}],
        "mambo": [{"damping": -1}],
    }.items():
        for option in options:
            with pytest.raises(ValueError, match=f"guidance {name}"):
                choose("guidance", GUIDANCE, {"name": name, **option})
    with pytest.raises(ValueError, match="CFG"):
        plus_plus(_labelled(), grid(Flow(), 4), 1.5)
