"""Linear multistep methods and the PNDM family: the published formulas line by line."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.process import Flow, Level, VPLinear
from ptdiff.solvers import Solver, solve
from ptdiff.solvers.linear import IPNDM, LMS, PNDM, AdamsBashforth, IPNDMv

DTYPE = torch.float64
ORACLE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
LEVELS = VPLinear().level(torch.tensor([1.0, 0.83, 0.71, 0.5, 0.42, 0.2, 0.13, 0.01], dtype=DTYPE))
X = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
EQUAL = {1: [1.0], 2: [3 / 2, -1 / 2], 3: [23 / 12, -16 / 12, 5 / 12], 4: [55 / 24, -59 / 24, 37 / 24, -9 / 24]}


def _noise(x: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    return (x - alpha * ORACLE(x, Level(alpha, sigma), {})) / sigma


def _transfer(x: Tensor, e: Tensor, s: tuple[Tensor, Tensor], t: tuple[Tensor, Tensor]) -> Tensor:
    """Liu et al. 2022, eq. 11, in their alpha-bar."""
    now, then = s[0] ** 2, t[0] ** 2
    root = now.sqrt() * (((1 - then) * now).sqrt() + ((1 - now) * then).sqrt())
    return (then / now).sqrt() * x - (then - now) / root * e


def _mean(history: list[Tensor]) -> Tensor:
    return sum((w * e for w, e in zip(EQUAL[len(history)], history, strict=True)), torch.zeros_like(X))


@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_ab_in_the_noise_chart_is_the_linear_multistep_method_in_sigma(points: int) -> None:
    sigmas = torch.tensor([10.0, 7.0, 4.0, 1.5, 1.0, 0.3, 0.2], dtype=DTYPE)
    one, x, history = torch.ones((), dtype=DTYPE), 10 * X, list[Tensor]()
    for i in range(len(sigmas) - 1):
        history = [_noise(x, one, sigmas[i]), *history][:points]
        nodes = [float(sigmas[i - j]) for j in range(len(history))]
        for j, slope in enumerate(history):
            others = nodes[:j] + nodes[j + 1 :]
            integral = (
                np.polynomial.Polynomial.fromroots(others).integ() if others else np.polynomial.Polynomial([0, 1])
            )
            area = integral(float(sigmas[i + 1])) - integral(float(sigmas[i]))
            x = x + slope * area / math.prod(nodes[j] - other for other in others)
    levels = Level(torch.ones_like(sigmas), sigmas)
    for cls in (LMS, IPNDMv):
        found = solve(ORACLE, 10 * X, cls(start="low", points=points).table(levels))
        assert torch.allclose(found, x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("chart", ["angle", "flow", "log"])
def test_ab_of_two_points_extrapolates_the_slope_in_its_chart(chart: str) -> None:
    alpha, sigma = LEVELS.alpha, LEVELS.sigma
    scale = {"angle": torch.hypot(alpha, sigma), "flow": alpha + sigma, "log": alpha}[chart]
    u = {"angle": torch.atan2(sigma, alpha), "flow": sigma / (alpha + sigma), "log": torch.log(sigma / alpha)}[chart]
    y, history = X / scale[0], list[Tensor]()
    for i in range(len(u) - 1):
        x0 = ORACLE(y * scale[i], Level(alpha[i], sigma[i]), {})
        slope = {
            "angle": (y * torch.cos(u[i]) - x0) / torch.sin(u[i]),
            "flow": (y - x0) / u[i],
            "log": y - x0,
        }[chart]
        h = u[i + 1] - u[i]
        mean = slope + (slope - history[-1]) * h / (2 * (u[i] - u[i - 1])) if history else slope
        history.append(slope)
        y = y + h * mean
    solver = AdamsBashforth(start="low", points=2, chart=chart)  # type: ignore[arg-type]
    assert torch.allclose(solve(ORACLE, X, solver.table(LEVELS)), y * scale[-1], rtol=0, atol=1e-11)


@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_ipndm_transfers_the_mean_of_the_newest_noises(points: int) -> None:
    x, history = X, list[Tensor]()
    ends = list(zip(LEVELS.alpha, LEVELS.sigma, strict=True))
    for s, t in pairwise(ends):
        history = [_noise(x, *s), *history][:points]
        x = _transfer(x, _mean(history), s, t)
    assert torch.allclose(solve(ORACLE, X, IPNDM(points=points).table(LEVELS)), x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("begin", ["prk", "plms"])
def test_pndm_begins_as_it_says_and_goes_on_with_four_points(begin: str) -> None:
    x, history = X, list[Tensor]()
    ends = list(zip(LEVELS.alpha, LEVELS.sigma, strict=True))
    for s, t in pairwise(ends):
        history = [_noise(x, *s), *history][:4]
        e = _mean(history)
        if begin == "prk" and len(history) < 4:
            angle = (torch.atan2(s[1], s[0]) + torch.atan2(t[1], t[0])) / 2
            middle = torch.cos(angle), torch.sin(angle)
            e1 = history[0]
            e2 = _noise(_transfer(x, e1, s, middle), *middle)
            e3 = _noise(_transfer(x, e2, s, middle), *middle)
            e4 = _noise(_transfer(x, e3, s, t), *t)
            e = (e1 + 2 * e2 + 2 * e3 + e4) / 6
        elif begin == "plms" and len(history) == 1:
            e = (history[0] + _noise(_transfer(x, history[0], s, t), *t)) / 2
        x = _transfer(x, e, s, t)
    table = PNDM(begin).table(LEVELS)  # type: ignore[arg-type]
    assert torch.allclose(solve(ORACLE, X, table), x, rtol=0, atol=1e-10)
    assert table.calls == len(ends) - 1 + (9 if begin == "prk" else 1)


SOLVERS = [AdamsBashforth(), AdamsBashforth(points=4, chart="flow"), LMS(), IPNDM(), IPNDMv(), PNDM(), PNDM("plms")]


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_the_scale_of_the_process_does_not_matter(solver: Solver) -> None:
    scale = torch.linspace(3, 0.5, len(LEVELS.alpha), dtype=DTYPE)
    found = solve(ORACLE, X * scale[0], solver.table(Level(LEVELS.alpha * scale, LEVELS.sigma * scale)))
    assert torch.allclose(found / scale[-1], solve(ORACLE, X, solver.table(LEVELS)), rtol=0, atol=1e-11)


@pytest.mark.parametrize("solver", SOLVERS, ids=repr)
def test_pure_noise_and_clean_data_are_fit_to_start_and_end_with(solver: Solver) -> None:
    points = torch.tensor([[-1.0, 2.0], [1.0, 0.5]], dtype=DTYPE)
    for steps in (1, 2, 3, 40):
        end = solve(Mixture.of_data(points), X, solver.table(grid(Flow(), steps)))
        assert torch.isfinite(end).all()
    assert float(torch.cdist(end, points).amin(dim=1).max()) < 1e-3


@pytest.mark.parametrize("cls", [AdamsBashforth, LMS, IPNDM])
def test_other_numbers_of_points_are_refused(cls: type) -> None:
    with pytest.raises(ValueError, match=r"points must lie in \[1, 4\]"):
        cls(points=5)
