"""Thresholds: limits in world units, each sample its own quantile, nothing done to what lies inside."""

import pytest
import torch
from torch import Tensor

from ptdiff.choices import choose
from ptdiff.denoiser.cost import calls
from ptdiff.guidance import CFG
from ptdiff.guidance.threshold import THRESHOLDS, Dynamic, Hooked, Static, Threshold
from ptdiff.modality.data import Data
from ptdiff.process import Level

LEVEL = Level(torch.tensor(0.6), torch.tensor(0.8))
DATA = Data(shape=(3, 4, 4), mean=(((0.5,),), ((0.4,),), ((0.6,),)), scale=0.25)


def _given(estimate: Tensor):  # type: ignore[no-untyped-def]
    return lambda x, level, cond: estimate


def _limited(rule: Threshold, world: Tensor) -> Tensor:
    estimate = DATA.normalize(world)
    return DATA.world(rule.limit(_given(estimate), DATA)(estimate, LEVEL, {}))


def test_static_limits_are_those_of_the_world() -> None:
    world = torch.randn(5, 3, 4, 4) + 0.5
    assert torch.allclose(_limited(Static(0, 1), world), world.clamp(0, 1), atol=1e-6)


@pytest.mark.parametrize("rule", [Static(0, 1), Dynamic(0, 1)])
def test_what_lies_within_the_limits_stays(rule: Threshold) -> None:
    world = torch.rand(5, 3, 4, 4)
    assert torch.allclose(_limited(rule, world), world, atol=1e-6)


@pytest.mark.parametrize("quantile", [0.3, 0.9, 0.995, 1.0])
def test_each_sample_is_clipped_to_its_own_quantile_and_shrunk(quantile: float) -> None:
    world = torch.randn(5, 3, 4, 4, dtype=torch.float64) * torch.tensor([0.1, 0.5, 1.0, 2.0, 8.0]).reshape(-1, 1, 1, 1)
    got = _limited(Dynamic(-1, 1, quantile=quantile), world)
    for one, expected in zip(got, world, strict=True):
        reach = max(1.0, float(torch.quantile(expected.abs().flatten(), quantile)))
        assert torch.allclose(one, expected.clamp(-reach, reach) / reach, atol=1e-12)
    assert float(got.abs().max()) <= 1 + 1e-12
    assert torch.equal(_limited(Dynamic(-1, 1, quantile=quantile), world[3:4])[0], got[3])


def test_a_hook_sees_x_before_and_the_estimate_after() -> None:
    hooked = Hooked(
        lambda x, level, cond: x + 1, before=lambda x, level: 2 * x, after=lambda x0, level: x0 * level.sigma
    )
    assert torch.allclose(hooked(torch.ones(2, 3), LEVEL, {}), torch.full((2, 3), 2.4))
    assert torch.equal(Hooked(_given(torch.ones(1)))(torch.ones(1), LEVEL, {}), torch.ones(1))


def test_a_threshold_costs_what_it_wraps() -> None:
    guided = CFG(2.0, low=1.0).guide(_given(torch.ones(1)))
    limited = Static(0, 1).limit(guided, DATA)
    assert [calls(limited, level) for level in ((0.5, 0.9), (0.9, 0.5))] == [2, 1]


def test_nonsense_is_refused() -> None:
    assert choose("threshold", THRESHOLDS, {"name": "dynamic", "low": 0, "quantile": 0.9}) == Dynamic(0, 1, 0.9)
    for name, options in (("static", {"low": 2}), ("dynamic", {"quantile": 0}), ("static", {"high": float("nan")})):
        with pytest.raises(ValueError, match=f"threshold {name}"):
            choose("threshold", THRESHOLDS, {"name": name, **options})
