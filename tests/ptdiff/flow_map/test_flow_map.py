"""Flow maps: exact ones satisfy every identity, wrong ones none; spoiled objectives are caught by their gradient."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from ptdiff.certify.flow_maps import FEW, MANY, MAPS, gradients, probes, significance
from ptdiff.certify.problem import GAUSSIAN, MIXTURE
from ptdiff.flow_map import FlowMap, arrive, walk
from ptdiff.flow_map.exact import GaussianMap, IntegratedMap, velocity
from ptdiff.flow_map.identities import IDENTITIES, along, forward, to_end
from ptdiff.flow_map.objectives import RESIDUALS, alphaflow, improved, meanflow, mixed
from ptdiff.flow_map.walk import wide
from ptdiff.modality.data import Condition

EXACT = MAPS["gaussian"]


@dataclass(frozen=True)
class Wrong:
    """The exact map of the normal distribution, changed off the diagonal."""

    size: float = 1e-3

    def __call__(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition, /) -> Tensor:
        return EXACT(x, t, s, cond) + self.size * wide(t - s, x) * x


@pytest.mark.parametrize("name", IDENTITIES)
def test_an_identity_holds_for_the_exact_map_and_for_no_other(name: str) -> None:
    at = probes("gaussian", FEW)
    assert float(IDENTITIES[name](EXACT, at.x, at.t, at.s, {}).abs().max()) < 1e-12
    assert float(IDENTITIES[name](Wrong(), at.x, at.t, at.s, {}).abs().max()) > 1e-4


def test_the_map_of_a_mixture_ends_where_scipy_ends() -> None:
    at = probes("mixture", 4)
    found = IntegratedMap(MIXTURE).end(at.x, at.t, at.s, {})
    for k in range(4):

        def slope(angle: float, x: Any) -> Any:
            return velocity(MIXTURE, torch.tensor(x)[None], torch.tensor([angle], dtype=torch.float64), {})[0].numpy()

        ways = solve_ivp(slope, (float(at.t[k]), float(at.s[k])), at.x[k].numpy(), "DOP853", rtol=1e-12, atol=1e-13)
        assert torch.allclose(found[k], torch.from_numpy(ways.y[:, -1].copy()), rtol=0, atol=1e-10)


def test_a_short_way_joins_the_velocity_without_a_jump() -> None:
    at, integrated = probes("gaussian", FEW), IntegratedMap(GAUSSIAN)
    for gap in (0.0, 0.9e-6, 1.1e-6, 1e-3):
        there = at.t - gap
        assert torch.allclose(integrated(at.x, at.t, there, {}), EXACT(at.x, at.t, there, {}), rtol=0, atol=1e-5)


def test_one_call_and_many_end_at_the_same_points() -> None:
    x = probes("gaussian", FEW).eps
    one, many = (walk(EXACT, x, angles) for angles in ([1.5, 0.0], [1.5, 1.2, 0.7, 0.1, 0.0]))
    assert torch.allclose(one, many, rtol=0, atol=1e-13)


def test_a_walk_with_noise_has_the_distribution_of_the_data() -> None:
    ids = 20_000
    generator = torch.Generator().manual_seed(0)
    noise = [torch.randn(ids, 2, generator=generator, dtype=torch.float64) for _ in range(4)]
    found = walk(EXACT, noise[3], [math.pi / 2, 1.0, 0.4, 0.0], noise=lambda step: noise[step])
    # four standard errors of a mean and of a standard deviation
    assert float(((found.mean(dim=0) - GAUSSIAN.mean) / GAUSSIAN.std).abs().max()) < 4 / math.sqrt(ids)
    assert float((found.std(dim=0) / GAUSSIAN.std - 1).abs().max()) < 4 / math.sqrt(2 * ids)


@pytest.mark.parametrize("angles", [[0.5, 0.5], [0.1, 0.5], [2.0, 0.1], [0.5, -0.1]])
def test_a_walk_that_does_not_go_from_noise_to_data_is_refused(angles: list[float]) -> None:
    with pytest.raises(ValueError, match="must decrease and lie in"):
        walk(EXACT, torch.zeros(1, 2, dtype=torch.float64), angles)


def _without_derivative(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    x, pair = mixed(x0, eps, t)
    value, gap = flow_map(x, t, s, cond), wide(t - s, x)
    return value - (value + torch.cos(gap) * (pair - value) - torch.sin(gap) * x).detach()


def _tangent(t: float, s: float) -> Callable[..., Tensor]:
    def residual(flow_map: FlowMap, x0: Tensor, eps: Tensor, at: Tensor, to: Tensor, cond: Condition) -> Tensor:
        x, pair = mixed(x0, eps, at)
        directions = (pair, torch.full_like(at, t), torch.full_like(to, s))
        value, slope = forward(lambda x, at, to: flow_map(x, at, to, cond), (x, at, to), directions)
        gap = wide(at - to, x)
        moved = torch.cos(gap) * (pair - value) - torch.sin(gap) * (x + slope)
        moved_value: Tensor = value - (value + moved).detach()
        return moved_value

    return residual


def _opposite(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    x, pair = mixed(x0, eps, t)
    value, slope = along(flow_map, x, t, s, cond, flow_map(x, t, t, cond).detach())
    gap = wide(t - s, x)
    return torch.cos(gap) * (value - pair) - torch.sin(gap) * (x + slope.detach())


def _late_velocity(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    x, _ = mixed(x0, eps, t)
    end, slope = to_end(flow_map, x, t, s, cond)
    return slope - flow_map(end.detach(), t, t, cond).detach()


def _unequal_halves(flow_map: FlowMap, x0: Tensor, eps: Tensor, t: Tensor, s: Tensor, cond: Condition) -> Tensor:
    x, _ = mixed(x0, eps, t)
    middle = (t + s) / 2
    end = arrive(flow_map, arrive(flow_map, x, t, middle, cond), t, middle, cond).detach()
    gap = wide(t - s, x)
    return flow_map(x, t, s, cond) - (torch.cos(gap) * x - end) / torch.sin(gap)


SPOILED: dict[str, Callable[..., Tensor]] = {
    "meanflow without the derivative": _without_derivative,
    "meanflow with a tangent that leaves out t": _tangent(0.0, 0.0),
    "meanflow with a tangent that moves s as well": _tangent(1.0, 1.0),
    "improved with the wrong sign": _opposite,
    "lagrangian with the velocity of the beginning": _late_velocity,
    "semigroup that walks the first half twice": _unequal_halves,
    "alphaflow at half the way": partial(alphaflow, alpha=0.5),
}


@pytest.mark.parametrize("name", [name for name in RESIDUALS if name != "alphaflow"])
def test_the_gradient_of_an_objective_is_zero_at_the_exact_map(name: str) -> None:
    (slopes,) = gradients(RESIDUALS[name], EXACT, probes("gaussian", MANY), [0.0])
    assert significance(slopes) < 4


@pytest.mark.parametrize("name", SPOILED)
def test_the_gradient_of_a_spoiled_objective_is_not(name: str) -> None:
    (slopes,) = gradients(SPOILED[name], EXACT, probes("gaussian", MANY), [0.0])
    assert significance(slopes) > 5


@pytest.mark.parametrize("name", [name for name in RESIDUALS if name != "alphaflow"])
def test_the_gradient_of_an_objective_corrects_a_wrong_map(name: str) -> None:
    # F is too large by a multiple of (t - s) x, and for the diagonal by a multiple of x
    class Larger:
        def __call__(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition, /) -> Tensor:
            return EXACT(x, t, s, cond) + 0.3 * (x if name == "diagonal" else wide(t - s, x) * x)

    at = probes("gaussian", MANY)
    (slopes,) = gradients(RESIDUALS[name], Larger(), at, [0.0])
    mean = slopes.mean(dim=0)
    # the direction of the error, in the four changes: x, or t x - s x
    uphill = mean[1] if name == "diagonal" else mean[2] - mean[3]
    assert float(uphill) > 0


def test_the_target_of_meanflow_and_improved_holds_no_gradient_of_the_derivative() -> None:
    scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    at = probes("gaussian", FEW)

    class Scaled:
        def __call__(self, x: Tensor, t: Tensor, s: Tensor, cond: Condition, /) -> Tensor:
            return scale * EXACT(x, t, s, cond)

    gap = wide(at.t - at.s, at.x)
    for objective, weight in ((meanflow, torch.ones_like(gap)), (improved, torch.cos(gap))):
        residual = objective(Scaled(), at.x0, at.eps, at.t, at.s, {})
        (found,) = torch.autograd.grad(residual.sum(), scale)
        expected = (weight * EXACT(at.x, at.t, at.s, {})).sum()
        assert float((found - expected).abs()) < 1e-10


def test_alphaflow_with_alpha_one_regresses_on_the_pair() -> None:
    at = probes("gaussian", FEW)
    residual = alphaflow(EXACT, at.x0, at.eps, at.t, at.s, {}, alpha=1.0)
    there, _ = mixed(at.x0, at.eps, at.s)
    gap = wide(at.t - at.s, at.x)
    expected = (there - arrive(EXACT, at.x, at.t, at.s, {})) / torch.sin(gap)
    assert torch.allclose(residual, expected, rtol=0, atol=1e-12)


def test_the_gaussian_map_serves_a_point_mass_and_single_precision() -> None:
    at = probes("gaussian", FEW)
    point = GaussianMap(type(GAUSSIAN)(GAUSSIAN.mean, torch.zeros(2, dtype=torch.float64)))
    clean = arrive(point, at.x, at.t, torch.zeros_like(at.t), {})
    assert torch.allclose(clean, GAUSSIAN.mean.expand_as(clean), rtol=0, atol=1e-12)
    single = EXACT(at.x.float(), at.t.float(), at.s.float(), {})
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), EXACT(at.x, at.t, at.s, {}), rtol=0, atol=1e-4)
