"""Singlestep methods: the algorithms of the papers line by line."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.oracle import Mixture
from ptdiff.process import Flow, Level, VPLinear
from ptdiff.solvers import Solver, solve
from ptdiff.solvers.singlestep import DPM2, DPMpp2S, DPMpp3S, DPMSolver2S, DPMSolver3S

DTYPE = torch.float64
ORACLE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
LEVELS = VPLinear().level(torch.tensor([1.0, 0.83, 0.71, 0.5, 0.42, 0.2, 0.13, 0.01], dtype=DTYPE))
X = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)


def _vp(lam: float) -> tuple[float, float]:
    return 1 / math.sqrt(1 + math.exp(-2 * lam)), 1 / math.sqrt(1 + math.exp(2 * lam))


def _x0(x: Tensor, lam: float) -> Tensor:
    alpha, sigma = _vp(lam)
    return ORACLE(x, Level(torch.tensor(alpha, dtype=DTYPE), torch.tensor(sigma, dtype=DTYPE)), {})


def _eps(x: Tensor, lam: float) -> Tensor:
    alpha, sigma = _vp(lam)
    return (x - alpha * _x0(x, lam)) / sigma


def _noise_second(x: Tensor, lam: float, h: float, r1: float) -> Tensor:
    (a, _), (a1, s1), (at, st) = _vp(lam), _vp(lam + r1 * h), _vp(lam + h)
    e = _eps(x, lam)
    u = a1 / a * x - s1 * math.expm1(r1 * h) * e
    return at / a * x - st * math.expm1(h) * e - st / (2 * r1) * math.expm1(h) * (_eps(u, lam + r1 * h) - e)


def _noise_third(x: Tensor, lam: float, h: float, r1: float, r2: float) -> Tensor:
    (a, _), (a1, s1), (a2, s2), (at, st) = _vp(lam), _vp(lam + r1 * h), _vp(lam + r2 * h), _vp(lam + h)
    e = _eps(x, lam)
    u1 = a1 / a * x - s1 * math.expm1(r1 * h) * e
    d1 = _eps(u1, lam + r1 * h) - e
    u2 = a2 / a * x - s2 * math.expm1(r2 * h) * e - s2 * r2 / r1 * (math.expm1(r2 * h) / (r2 * h) - 1) * d1
    d2 = _eps(u2, lam + r2 * h) - e
    return at / a * x - st * math.expm1(h) * e - st / r2 * (math.expm1(h) / h - 1) * d2


def _data_second(x: Tensor, lam: float, h: float, r1: float) -> Tensor:
    (_, s), (a1, s1), (at, st) = _vp(lam), _vp(lam + r1 * h), _vp(lam + h)
    d = _x0(x, lam)
    u = s1 / s * x - a1 * math.expm1(-r1 * h) * d
    mixed = (1 - 1 / (2 * r1)) * d + 1 / (2 * r1) * _x0(u, lam + r1 * h)
    return st / s * x - at * math.expm1(-h) * mixed


def _data_third(x: Tensor, lam: float, h: float, r1: float, r2: float) -> Tensor:
    (_, s), (a1, s1), (a2, s2), (at, st) = _vp(lam), _vp(lam + r1 * h), _vp(lam + r2 * h), _vp(lam + h)
    d = _x0(x, lam)
    u1 = s1 / s * x - a1 * math.expm1(-r1 * h) * d
    d1 = _x0(u1, lam + r1 * h) - d
    u2 = s2 / s * x - a2 * math.expm1(-r2 * h) * d + a2 * r2 / r1 * (math.expm1(-r2 * h) / (r2 * h) + 1) * d1
    d2 = _x0(u2, lam + r2 * h) - d
    return st / s * x - at * math.expm1(-h) * d + at / r2 * (math.expm1(-h) / h + 1) * d2


@pytest.mark.parametrize(
    ("solver", "step", "inner"),
    [
        (DPMSolver2S(), _noise_second, (0.5,)),
        (DPMSolver2S(0.7), _noise_second, (0.7,)),
        (DPMSolver3S(), _noise_third, (1 / 3, 2 / 3)),
        (DPMSolver3S(0.2, 0.9), _noise_third, (0.2, 0.9)),
        (DPMpp2S(), _data_second, (0.5,)),
        (DPMpp2S(0.3), _data_second, (0.3,)),
        (DPMpp3S(), _data_third, (1 / 3, 2 / 3)),
        (DPMpp3S(0.4, 0.5), _data_third, (0.4, 0.5)),
    ],
    ids=lambda value: getattr(value, "__name__", None) or repr(value),
)
def test_the_algorithms_of_the_papers(solver: Solver, step, inner: tuple[float, ...]) -> None:  # type: ignore[no-untyped-def]
    x = X
    lam = torch.log(LEVELS.alpha / LEVELS.sigma).tolist()
    for start, end in pairwise(lam):
        x = step(x, start, end - start, *inner)
    assert torch.allclose(solve(ORACLE, X, solver.table(LEVELS)), x, rtol=0, atol=1e-11)


def test_dpm_2_takes_the_slope_at_the_geometric_mean() -> None:
    sigmas = torch.tensor([10.0, 4.0, 1.0, 0.3, 0.0], dtype=DTYPE)
    one = torch.ones((), dtype=DTYPE)
    x = 10 * X
    for sigma, lower in pairwise(sigmas):
        slope = (x - ORACLE(x, Level(one, sigma), {})) / sigma
        if lower > 0:
            middle = (sigma * lower).sqrt()
            point = x + slope * (middle - sigma)
            slope = (point - ORACLE(point, Level(one, middle), {})) / middle
        x = x + slope * (lower - sigma)
    found = solve(ORACLE, 10 * X, DPM2().table(Level(torch.ones_like(sigmas), sigmas)))
    assert torch.allclose(found, x, rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", [DPMpp2S(), DPMpp3S(), DPMSolver2S(), DPMSolver3S(), DPM2()], ids=repr)
def test_the_scale_of_the_process_does_not_matter(solver: Solver) -> None:
    scale = torch.linspace(3, 0.5, len(LEVELS.alpha), dtype=DTYPE)
    found = solve(ORACLE, X * scale[0], solver.table(Level(LEVELS.alpha * scale, LEVELS.sigma * scale)))
    assert torch.allclose(found / scale[-1], solve(ORACLE, X, solver.table(LEVELS)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("solver", [DPMpp2S(), DPMpp3S(), DPMSolver2S(), DPMSolver3S(), DPM2()], ids=repr)
def test_steps_out_of_pure_noise_have_the_order_of_the_others(solver: Solver) -> None:
    def error(steps: int) -> float:
        levels = Flow().level(torch.linspace(1, 0.2, steps + 1, dtype=DTYPE))
        return float((solve(ORACLE, X, solver.table(levels)) - exact).abs().max())

    exact = solve(ORACLE, X, DPMSolver3S().table(Flow().level(torch.linspace(1, 0.2, 641, dtype=DTYPE))))
    # the orders themselves are certified elsewhere; a first step of order 1 would leave 2 of the 3
    assert math.log2(error(40) / error(80)) > solver.order - 0.4


@pytest.mark.parametrize("options", [(DPMpp2S, (0.0,)), (DPMSolver3S, (0.6, 0.4)), (DPMpp3S, (0.5, 1.1))])
def test_places_outside_the_step_are_refused(options) -> None:  # type: ignore[no-untyped-def]
    cls, values = options
    with pytest.raises(ValueError, match="r1"):
        cls(*values)
