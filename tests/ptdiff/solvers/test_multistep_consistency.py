"""Multistep consistency sampling: the algorithm, and that with an exact function every number of steps is right."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ptdiff.certify.moments import moments
from ptdiff.denoiser.oracle import Gaussian, clean
from ptdiff.grid import grid
from ptdiff.process import PROCESSES, Flow, Level
from ptdiff.solvers import SOLVERS, solve, trajectory
from ptdiff.solvers.brownian import BrownianPath
from ptdiff.solvers.consistency import MultistepConsistency

DTYPE = torch.float64


def test_a_step_is_the_estimate_noised_to_the_next_level() -> None:
    table = MultistepConsistency().table(grid(Flow(), 3))
    assert table.calls == 3
    for stage, (alpha, sigma) in zip(table.stages[1:], table.levels[1:], strict=True):
        assert (stage.keep, stage.mix) == (0.0, (alpha,))
        assert [weight for _, weight in stage.noise] == ([sigma] if sigma else [])
    # noise that is added again belongs to no Brownian path
    assert all(draw.fresh is not None for draw in table.draws) and len(set(table.draws)) == 2


@pytest.mark.parametrize("name", ["flow", "ve", "vp", "chain"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_exact_function_gives_the_data_in_any_number_of_steps(name: str, steps: int) -> None:
    # everything is linear: a unit of the start or of a draw gives its weight in the sample, so moments are exact
    mean, std = 0.7, 0.4
    oracle = Gaussian(torch.tensor(mean, dtype=DTYPE), torch.tensor(std, dtype=DTYPE))
    table = MultistepConsistency().table(grid(PROCESSES[name](), steps))
    units = torch.eye(1 + len(table.draws), dtype=DTYPE)
    units = torch.cat([torch.zeros_like(units[:1]), units])[..., None]
    alpha, sigma = table.levels[0]
    start = alpha * mean + math.hypot(alpha * std, sigma) * units[:, 0]
    found: Tensor = solve(oracle.end, start, table, {}, lambda k: units[:, 1 + k])[:, 0]
    assert float(found[0]) == pytest.approx(mean, rel=1e-12)
    assert float((found[1:] - found[0]).square().sum()) == pytest.approx(std**2, rel=1e-12)


def test_a_posterior_mean_is_too_narrow_whatever_the_steps() -> None:
    spread = [moments(MultistepConsistency().table(grid(Flow(), n)), 0.3, 0.5)[1] for n in (1, 2, 10, 100)]
    assert spread[0] == 0 and spread[1:3] == sorted(spread[1:3]) and max(spread) < 0.9 * 0.25
    assert MultistepConsistency().order == 0


def test_on_a_gaussian_the_function_is_where_the_flow_ends() -> None:
    oracle = Gaussian(torch.tensor([0.3, -0.2], dtype=DTYPE), torch.tensor([0.5, 1.3], dtype=DTYPE))
    x = torch.randn(6, 2, dtype=DTYPE)
    states = list(trajectory(oracle, x, SOLVERS["rk4"]().table(grid(Flow(), 400, "log-snr"))))
    for state in (states[0], states[100], states[300]):
        alpha, sigma = (torch.tensor(v, dtype=DTYPE) for v in state.level)
        torch.testing.assert_close(oracle.end(state.x, Level(alpha, sigma), {}), states[-1].x, rtol=0, atol=2e-5)
    torch.testing.assert_close(oracle.end(x, clean(x), {}), x, rtol=0, atol=1e-15)


def test_a_sample_is_the_same_alone_and_in_a_batch() -> None:
    oracle, table = Gaussian(torch.zeros(2), torch.ones(2)), MultistepConsistency().table(grid(Flow(), 4))
    ids = torch.arange(5)
    x = torch.randn(5, 2)
    whole = solve(oracle.end, x, table, {}, BrownianPath(3, ids, (2,)).noise(table))
    alone = solve(oracle.end, x[3:4], table, {}, BrownianPath(3, ids[3:4], (2,)).noise(table))
    assert torch.equal(whole[3:4], alone)
