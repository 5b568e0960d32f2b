"""Exact moments of a table agree with closed forms and with many samples; overlapping draws are refused."""

import math

import pytest
import torch

from ptdiff.certify.moments import coefficients, moments
from ptdiff.denoiser.oracle import Gaussian
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import PROCESSES, Flow
from ptdiff.solvers import SOLVERS, Draw, Solver, Stage, Table, solve
from ptdiff.solvers.exponential import DDPM
from ptdiff.solvers.stochastic import DPMppSDE

MEAN, STD = 0.3, 0.5


def test_a_run_is_its_coefficients_times_the_numbers_that_it_draws() -> None:
    table = DPMppSDE().table(grid(PROCESSES["vp"](), 12))
    oracle = Gaussian(torch.tensor([MEAN], dtype=torch.float64), torch.tensor([STD], dtype=torch.float64))
    ids = torch.arange(50)
    z = torch.stack([normal(0, Stream.SOLVER, ids, k, (1,)).double() for k in range(len(table.draws))])
    start = normal(0, Stream.START, ids, 0, (1,)).double()
    alpha, sigma = table.levels[0]
    x = alpha * MEAN + math.hypot(alpha * STD, sigma) * start
    found = solve(oracle, x, table, noise=lambda k: z[k])
    row = torch.from_numpy(coefficients(table, MEAN, STD))
    assert torch.allclose(found, row[0] + row[1] * start + (row[2:, None, None] * z).sum(dim=0), atol=1e-12)


@pytest.mark.parametrize("name", SOLVERS)
def test_many_steps_bring_the_moments_of_the_data(name: str) -> None:
    solver: Solver = SOLVERS[name]()
    mean, variance = moments(solver.table(grid(PROCESSES["vp-cosine"](), 200)), MEAN, STD)
    assert mean == pytest.approx(MEAN, abs=2e-3)
    if name == "consistency":
        # it takes each mean for a sample, and no number of steps mends that
        assert 0 < variance < 0.9 * STD**2
        return
    # cooler noise shrinks the spread, and Langevin steps of a given size widen it
    wide = {"tempered": 0.15, "langevin": 0.15}.get(name, 0.01 if solver.order > 1 else 0.06)
    assert variance == pytest.approx(STD**2, rel=wide)


def test_ddpm_on_a_point_has_the_variance_of_its_level() -> None:
    levels = grid(Flow(), 20)
    table = DDPM().table(type(levels)(levels.alpha[:11], levels.sigma[:11]))
    assert moments(table, 1.0, 0.0) == pytest.approx((0.5, 0.25))


def test_equal_draws_are_the_same_number_wherever_they_are() -> None:
    one, other = (0.0, 1.0), (0.5, 0.5)
    draw = Draw(one, other)
    twice = Table((Stage(1.0), Stage(0.0, noise=((draw, 1.0),)), Stage(1.0, noise=((draw, 1.0),))), (one, other, other))
    assert moments(twice, 0.0, 1.0)[1] == pytest.approx(4)
    apart = Draw(one, other, fresh=0)
    once = Table((Stage(1.0), Stage(0.0, noise=((draw, 1.0),)), Stage(1.0, noise=((apart, 1.0),))), (one, other, other))
    assert moments(once, 0.0, 1.0)[1] == pytest.approx(2)


def test_draws_that_overlap_are_refused() -> None:
    a, b, c = (0.0, 1.0), (0.5, 0.5), (0.8, 0.2)
    table = Table((Stage(1.0), Stage(1.0, noise=((Draw(a, b), 1.0), (Draw(a, c), 1.0)))), (a, c))
    with pytest.raises(ValueError, match="overlap"):
        moments(table, 0.0, 1.0)


def test_a_fresh_draw_belongs_to_one_step() -> None:
    one, other = (0.0, 1.0), (0.5, 0.5)
    noise = ((Draw(one, other, fresh=0), 1.0),)
    within = Table((Stage(1.0), Stage(1.0, noise=noise, advance=False), Stage(1.0, noise=noise)), (one, other))
    assert moments(within, 0.0, 1.0)[1] == pytest.approx(2)
    again = Table((Stage(1.0), Stage(1.0, noise=noise), Stage(1.0, noise=noise)), (one, other, other))
    with pytest.raises(ValueError, match="one fresh draw"):
        moments(again, 0.0, 1.0)
