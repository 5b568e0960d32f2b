"""Traces: a solver written in forms is the table it should be."""

from itertools import pairwise

import pytest
import torch

from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.oracle import Mixture
from ptdiff.process import PROCESSES, Level
from ptdiff.solvers import solve
from ptdiff.solvers.runge_kutta import RK4, Kutta3, Midpoint
from ptdiff.solvers.table import Pair, pairs
from ptdiff.solvers.trace import Trace, epsilon, runge_kutta

ORACLE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=torch.float64),
    torch.tensor([0.3, 0.2, 0.4], dtype=torch.float64),
    torch.tensor([0.3, 0.5, 0.2], dtype=torch.float64),
)
X = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def _levels(steps: int) -> Level:
    return PROCESSES["sub-vp"]().level(torch.linspace(0.9, 0.2, steps + 1, dtype=torch.float64))


def _noise(oracle: Denoiser, x: torch.Tensor, level: Pair) -> torch.Tensor:
    alpha, sigma = (torch.tensor(v, dtype=torch.float64) for v in level)
    return (x - alpha * oracle(x, Level(alpha, sigma), {})) / sigma


def test_noise_found_at_earlier_points_keeps_its_meaning_when_x_moves_on() -> None:
    found = pairs(_levels(5))
    trace = Trace(found[0])
    noises = [epsilon(trace, trace.x, trace.newest, found[0])]
    # a step along the oldest noise of all: every form has to be carried through every move
    for t in found[1:]:
        trace.evaluate(trace.sum((0.7, trace.x), (0.1, noises[0]), (0.2, noises[-1])), t)
        noises.append(epsilon(trace, trace.x, trace.newest, t))
    x, seen = X, [_noise(ORACLE, X, found[0])]
    for t in found[1:]:
        x = 0.7 * x + 0.1 * seen[0] + 0.2 * seen[-1]
        seen.append(_noise(ORACLE, x, t))
    assert torch.allclose(solve(ORACLE, X, trace.table(found)), x, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("order", "method"), [(2, Midpoint), (3, Kutta3), (4, RK4)])
def test_the_runge_kutta_step_is_that_of_the_angle_chart(order: int, method: type) -> None:
    levels = _levels(3)
    found = pairs(levels)
    trace = Trace(found[0])
    for s, t in pairwise(found):
        trace.evaluate(runge_kutta(trace, trace.x, s, t, order), t)
    for ours, theirs in zip(trace.table(found).stages, method("angle").table(levels).stages, strict=True):
        assert ours.keep == pytest.approx(theirs.keep, abs=1e-13)
        assert ours.mix == pytest.approx(theirs.mix, abs=1e-13)
        assert ours.level == pytest.approx(theirs.level)
