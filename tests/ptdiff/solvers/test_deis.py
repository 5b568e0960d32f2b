"""DEIS: polynomials of the noise in a variable, integrated exactly."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from ptdiff.denoiser.oracle import Mixture
from ptdiff.process import Level, VPLinear
from ptdiff.solvers import Solver, solve
from ptdiff.solvers.deis import DEIS
from ptdiff.solvers.linear import LMS
from ptdiff.solvers.multistep import ExpAB

DTYPE = torch.float64
ORACLE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
TIMES = [1.0, 0.83, 0.71, 0.5, 0.42, 0.2, 0.13, 0.01]
LEVELS = VPLinear().level(torch.tensor(TIMES, dtype=DTYPE))
X = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)


def _rho(t: float) -> float:
    return math.sqrt(math.expm1(0.1 * t + 0.5 * 19.9 * t * t))


@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_tab_integrates_polynomials_of_the_time_of_vp(points: int) -> None:
    x, history = X, list[Tensor]()
    for i in range(len(TIMES) - 1):
        x0 = ORACLE(x, Level(LEVELS.alpha[i], LEVELS.sigma[i]), {})
        history = [(x - LEVELS.alpha[i] * x0) / LEVELS.sigma[i], *history][:points]
        nodes = [TIMES[i - j] for j in range(len(history))]
        total = torch.zeros_like(x)
        for j, e in enumerate(history):

            def integrand(t: float, j: int = j, nodes: list[float] = nodes) -> float:
                others = nodes[:j] + nodes[j + 1 :]
                lagrange = math.prod((t - other) / (nodes[j] - other) for other in others)
                rho = _rho(t)
                return (rho * rho + 1) * (0.1 + 19.9 * t) / (2 * rho) * lagrange

            total = total + e * quad(integrand, TIMES[i], TIMES[i + 1], epsabs=0, epsrel=1e-11)[0]
        x = LEVELS.alpha[i + 1] * (x / LEVELS.alpha[i] + total)
    found = solve(ORACLE, X, DEIS(start="low", points=points).table(LEVELS))
    assert torch.allclose(found, x, rtol=0, atol=1e-9)


@pytest.mark.parametrize("points", [2, 3, 4])
def test_the_other_variables_are_known_methods(points: int) -> None:
    pairs: list[tuple[Solver, Solver]] = [
        (DEIS(points=points, variable="rho"), LMS(points=points)),
        (DEIS(points=points, variable="log-rho"), ExpAB(points=points, estimate="eps")),
    ]
    for ours, other in pairs:
        found = [solve(ORACLE, X, solver.table(LEVELS)) for solver in (ours, other)]
        assert torch.allclose(*found, rtol=0, atol=1e-11)


@pytest.mark.parametrize("variable", ["time", "rho", "log-rho"])
def test_constant_estimates_are_exact_on_two_thousand_very_short_steps(variable: str) -> None:
    levels = VPLinear().level(torch.linspace(0.5, 0.49, 2001, dtype=DTYPE))
    table = DEIS(start="low", points=4, variable=variable).table(levels)  # type: ignore[arg-type]
    for constant in (0.0, 1.7):
        end = solve(lambda x, level, cond, c=constant: torch.full_like(x, c), X, table)
        keep = levels.sigma[-1] / levels.sigma[0]
        assert torch.allclose(
            end, keep * X + (levels.alpha[-1] - keep * levels.alpha[0]) * constant, atol=1e-12, rtol=0
        )


def test_a_lower_order_at_the_end_is_declared() -> None:
    assert DEIS().order == 3
    assert DEIS(lower_order_final=True).order == 2
    assert DEIS(start="low").order == 2
