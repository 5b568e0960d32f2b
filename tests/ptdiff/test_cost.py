"""Costs: what is planned is what runs."""

import torch

from ptdiff.denoiser.cost import Counted, calls, planned
from ptdiff.denoiser.oracle import Gaussian
from ptdiff.grid import grid
from ptdiff.guidance import CFG
from ptdiff.process import Flow, Level
from ptdiff.solvers import SOLVERS, solve

ORACLE = Gaussian(torch.zeros(3), torch.ones(3))


def test_the_rows_that_run_are_the_calls_that_were_planned() -> None:
    counted = Counted(ORACLE)
    table = SOLVERS["heun"]().table(grid(Flow(), 6))
    solve(counted, torch.randn(5, 3), table)
    assert planned(counted, table.called) == table.calls == 11
    assert counted.rows == 5 * 11


def test_guidance_costs_two_calls_and_one_where_it_does_nothing() -> None:
    guided = CFG(2.0).guide(ORACLE)
    assert calls(guided, (0.5, 0.5)) == 2
    assert calls(CFG(3.0).guide(guided), (0.5, 0.5)) == 4
    assert calls(CFG(1.0).guide(ORACLE), (0.5, 0.5)) == 1


def test_a_gradient_counts_once_more() -> None:
    counted = Counted(ORACLE)
    x = torch.randn(4, 3, requires_grad=True)
    level = Level(torch.tensor(0.5), torch.tensor(0.5))
    counted(x, level, {}).sum().backward()
    assert counted.rows == 8
    with torch.no_grad():
        counted(x, level, {})
    assert counted.rows == 12
