"""Runge-Kutta methods: tableaux checked, orders proved by conditions and measured on exact flows, in every chart."""

import math
from typing import get_args

import pytest
import torch

from ptdiff.choices import choose
from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.process import PROCESSES, Flow, Level
from ptdiff.solvers import SOLVERS, solve
from ptdiff.solvers.dormand_prince import DORMAND_PRINCE
from ptdiff.solvers.runge_kutta import RK4, Chart, Euler, Heun, Kutta3, Midpoint, Ralston, Ralston3, RungeKutta
from ptdiff.solvers.tableau import Tableau

DTYPE = torch.float64
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
NAMED = [Ralston, Kutta3, Ralston3, RungeKutta]
X = torch.randn(17, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE) * math.hypot(1, 5)


def _levels(steps: int) -> Level:
    # equal steps of the angle: smooth in every chart
    u = torch.linspace(math.atan(5.0), math.atan(0.1), steps + 1, dtype=DTYPE)
    return Level(torch.ones_like(u), torch.tan(u))


EXACT = solve(MIXTURE, X, RungeKutta("angle", DORMAND_PRINCE.inner, DORMAND_PRINCE.outer).table(_levels(300)))


@pytest.mark.parametrize(
    ("method", "order"),
    [(Euler, 1), (Midpoint, 2), (Heun, 2), (Ralston, 2), (Kutta3, 3), (Ralston3, 3), (RK4, 4), (RungeKutta, 4)],
)
def test_the_order_conditions_give_the_known_orders(method: type, order: int) -> None:
    assert method().order == order


@pytest.mark.parametrize("chart", get_args(Chart))
@pytest.mark.parametrize("method", NAMED)
def test_the_error_falls_with_the_order_in_every_chart(method: type[RungeKutta], chart: Chart) -> None:
    solver = method(chart)
    errors = [float((solve(MIXTURE, X, solver.table(_levels(n))) - EXACT).abs().max()) for n in (100, 200)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(solver.order, abs=0.18)


@pytest.mark.parametrize("spoiled", [0, 1, 2, 3])
def test_a_spoiled_tableau_has_no_order_to_declare(spoiled: int) -> None:
    good = RungeKutta()
    outer = list(good.outer)
    outer[spoiled] += 1e-3
    outer[(spoiled + 1) % 4] -= 1e-3
    assert RungeKutta("angle", good.inner, tuple(outer)).order == 1


def test_a_spoiled_inner_coefficient_lowers_the_order() -> None:
    # the node of the second stage stays, its coupling does not: the tree of order 3 that sees a_32 fails
    assert RungeKutta("angle", ((0.5,), (0.1, 0.4), (0.0, 0.0, 1.0)), RK4.tableau.outer).order == 2


@pytest.mark.parametrize(
    ("inner", "outer", "message"),
    [
        (((0.5, 0.5),), (0.5, 0.5), "rows of 1"),
        (((1.0,), (1.0,)), (0.5, 0.5), "rows of 1"),
        (((1.0,),), (0.5, 0.6), "sum to 1"),
        (((math.nan,),), (0.5, 0.5), "finite"),
        (((2.0,),), (0.75, 0.25), "must lie in"),
    ],
)
def test_what_is_no_explicit_consistent_tableau_is_refused(inner: tuple, outer: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RungeKutta("angle", inner, outer)
    with pytest.raises(ValueError, match=message):
        choose("solver", SOLVERS, {"name": "runge-kutta", "inner": [list(row) for row in inner], "outer": list(outer)})


def test_a_tableau_comes_from_plain_lists() -> None:
    made = choose("solver", SOLVERS, {"name": "runge-kutta", "inner": [[0.5]], "outer": [0, 1], "chart": "flow"})
    assert made.table(grid(Flow(), 5)) == Midpoint("flow").table(grid(Flow(), 5))


def test_the_log_chart_refuses_pure_noise() -> None:
    with pytest.raises(ValueError, match="log chart cannot start at pure noise"):
        RK4("log").table(grid(Flow(), 3))


@pytest.mark.parametrize("method", NAMED)
@pytest.mark.parametrize("process", PROCESSES)
def test_the_way_from_pure_noise_is_finite_in_float32(process: str, method: type[RungeKutta]) -> None:
    table = method().table(grid(PROCESSES[process](), 40))
    x = X.float() / math.hypot(1, 5) * math.hypot(*table.levels[0])
    end = solve(Mixture.of_data(MIXTURE.means.float()), x, table)
    assert bool(torch.isfinite(end).all())
    assert float(torch.cdist(end, MIXTURE.means.float()).amin(dim=1).max()) < 1e-3


def test_the_embedded_pair_of_dormand_and_prince_has_orders_5_and_4() -> None:
    last = (*DORMAND_PRINCE.outer, 0.0)
    lower = Tableau((*DORMAND_PRINCE.inner, DORMAND_PRINCE.outer), DORMAND_PRINCE.lower)
    assert (DORMAND_PRINCE.order, Tableau((*DORMAND_PRINCE.inner, DORMAND_PRINCE.outer), last).order) == (5, 5)
    assert lower.order == 4
