"""Consistency training: its levels, its fixed point in closed form, and what its loss is made of.

Of data N(0, 1) x / r = cos(theta) x_0 + sin(theta) eps, f(x) = x / r is the end of the flow, and squares with n
intervals are least at f_k(x) = prod_(j <= k) cos(theta_j - theta_(j-1)) x / r: cos(theta_n) x / r, the posterior mean,
for n = 1, and x / r in the limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import erf
from torch import Tensor, nn

from ptdiff.denoiser.network import PREDICTIONS, NetworkDenoiser
from ptdiff.denoiser.oracle import Gaussian, clean
from ptdiff.density import LogNormal, stratified
from ptdiff.modality.data import Condition
from ptdiff.objective.consistency import Consistency, ConsistencyObjective
from ptdiff.objective.loss import L2, Loss, PseudoHuber
from ptdiff.process import PROCESSES, VE, Level

DTYPE = torch.float64
UNIT = Gaussian(torch.tensor(0.0, dtype=DTYPE), torch.tensor(1.0, dtype=DTYPE))


def quadrature() -> tuple[Tensor, Tensor, Tensor]:
    """Data and noise (9, 1), and their shares (9,): expectations of squares are exact."""
    nodes, mass = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(3))
    mass = mass / mass.sum()
    return nodes.repeat_interleave(3)[:, None], nodes.repeat(3)[:, None], mass.repeat_interleave(3) * mass.repeat(3)


def inside(angles: Tensor) -> Level:
    """Levels in the middle of the intervals between angles."""
    middle = (angles[1:] + angles[:-1]) / 2
    return Level(torch.cos(middle), torch.sin(middle))


def at_all(objective: ConsistencyObjective, denoiser: NetworkDenoiser, n: int) -> tuple[Tensor, Tensor]:
    """Expected loss in each of n intervals, and what it is multiplied with there."""
    x0, eps, share = quadrature()
    angles = objective.consistency.angles(n)
    level = inside(angles)
    rows = Level(level.alpha.repeat_interleave(9), level.sigma.repeat_interleave(9))
    losses = objective(denoiser, x0.repeat(n, 1), eps.repeat(n, 1), rows, {})
    return (losses.reshape(n, 9) * share).sum(dim=1), 1 / torch.diff(torch.tan(angles))


class Exact(nn.Module):
    """What a network with a prediction must say for a denoiser to come out."""

    def __init__(self, wanted: Callable[[Tensor, Level, Condition], Tensor], prediction: str) -> None:
        super().__init__()
        self.wanted, self.kind = wanted, prediction

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        level = Level(torch.cos(angle), torch.sin(angle))
        numbers = PREDICTIONS[self.kind](level.like(x))
        there = numbers.out != 0
        return torch.where(
            there, (self.wanted(x, level, cond) - numbers.skip * x) / torch.where(there, numbers.out, 1), 0
        )


class Gains(nn.Module):
    """y = g_k x, a number for each of the levels."""

    def __init__(self, angles: Tensor) -> None:
        super().__init__()
        self.angles = angles
        self.gain = nn.Parameter(torch.zeros(len(angles), dtype=DTYPE))

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        return self.gain[(angle[:, None] - self.angles).abs().argmin(dim=1)][:, None] * x


@pytest.mark.parametrize("steps", [8, 1600, 400_000])
def test_the_intervals_double_as_in_the_paper(steps: int) -> None:
    plan = Consistency()
    for k in sorted({*range(0, steps, max(1, steps // 1000)), *(j * steps // 8 for j in range(8)), steps - 1}):
        each = steps // (math.floor(math.log2(1280 // 10)) + 1)
        assert plan.intervals(k / steps) == min(10 * 2 ** (k // each), 1280), k
    assert plan.intervals(1.0) == 1280


@pytest.mark.parametrize(("first", "last", "found"), [(1, 1, {1}), (3, 20, {3, 6, 12, 20}), (5, 9, {5})])
def test_other_ends_of_the_curriculum_are_kept(first: int, last: int, found: set[int]) -> None:
    plan = Consistency(first, last)
    # 9 // 5 = 1: without one doubling there is nothing to do but at the end
    assert {plan.intervals(k / 1000) for k in range(1000)} == found


def test_the_levels_are_those_of_karras_with_the_clean_one_in_the_place_of_the_last() -> None:
    angles = Consistency().angles(20)
    t = torch.linspace(0, 1, 21, dtype=DTYPE)
    assert angles[0] == 0
    torch.testing.assert_close(torch.tan(angles[1:]), VE().sigma(t)[1:])


@pytest.mark.parametrize("n", [10, 160])
def test_an_interval_is_drawn_as_often_as_the_error_functions_say(n: int) -> None:
    plan, count = Consistency(first=n, last=n), 1 << 18
    density = plan.density(LogNormal(-1.1, 2.0), VE())
    level = density.levels(stratified(torch.tensor([0.3], dtype=DTYPE), count), VE())
    noisy, less = plan.ends(level, 0.0)
    ends = np.tan(plan.angles(n).numpy())
    with np.errstate(divide="ignore"):
        heights = erf((np.log(ends) + 1.1) / (math.sqrt(2) * 2.0))
    expected = np.diff(heights) / (heights[-1] - heights[0])
    found = torch.stack([(noisy == angle).double().mean() for angle in plan.angles(n)[1:]]).numpy()
    # stratified: each count is right to one
    assert np.abs(found - expected).max() < 1.01 / count
    assert bool((less < noisy).all()) and bool((level.angle <= noisy).all()) and bool((level.angle >= less).all())


@pytest.mark.parametrize("name", ["flow", "vp", "chain"])
def test_a_level_of_any_process_falls_into_its_interval(name: str) -> None:
    plan, process = Consistency(first=40), PROCESSES[name]()
    level = process.level(torch.tensor([0.1, 0.4, 0.9], dtype=DTYPE))
    noisy, less = plan.ends(Level(3 * level.alpha, 3 * level.sigma), 0.0)
    assert bool((less < level.angle).all()) and bool((level.angle <= noisy).all())
    assert torch.isin(noisy, plan.angles(40)).all() and torch.isin(less, plan.angles(40)).all()


@pytest.mark.parametrize("prediction", ["velocity", "flow", "eps"])
def test_the_boundary_condition_holds_by_itself(prediction: str) -> None:
    x = torch.randn(4, 3, dtype=DTYPE)
    wild = NetworkDenoiser(Exact(lambda x, level, cond: 1e6 + 0 * x, "velocity"), prediction)
    assert torch.equal(wild(x, clean(x), {}), x)


@pytest.mark.parametrize("prediction", ["velocity", "flow", "eps"])
def test_the_loss_of_the_exact_function_tends_to_the_least_that_is_possible(prediction: str) -> None:
    denoiser = NetworkDenoiser(Exact(UNIT.end, prediction), prediction)
    excess = []
    for n in (40, 80, 160, 1280):
        found, weight = at_all(ConsistencyObjective(consistency=Consistency(first=n, last=n)), denoiser, n)
        # what x_k leaves open of the end that is reached from x_(k-1): its variance, for unit data
        least = torch.sin(torch.diff(Consistency().angles(n))) ** 2 * weight
        assert bool((found >= least * (1 - 1e-9)).all())
        excess.append(float((found / least).max() - 1))
    assert excess[0] / excess[1] == pytest.approx(4, rel=0.1)
    assert excess[1] / excess[2] == pytest.approx(4, rel=0.1)
    assert excess[3] < 1e-3


@pytest.mark.parametrize("n", [1, 4, 16])
def test_training_goes_to_the_fixed_point_and_that_to_the_end_of_the_flow(n: int) -> None:
    plan = Consistency(first=n, last=n)
    angles = plan.angles(n)
    net = Gains(angles)
    denoiser, objective = NetworkDenoiser(net), ConsistencyObjective(consistency=plan)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    for step in range(600):
        optimizer.param_groups[0]["lr"] = 0.1 * (1 - step / 600)
        optimizer.zero_grad()
        losses, weight = at_all(objective, denoiser, n)
        torch.autograd.backward((losses / weight).sum())
        optimizer.step()
    # f = (cos - sin g) x / r
    found = torch.cos(angles) - torch.sin(angles) * net.gain.detach()
    fixed = torch.cumprod(torch.cos(torch.diff(angles)), dim=0)
    torch.testing.assert_close(found[1:], fixed, rtol=0, atol=2e-3)
    mean = float(torch.cos(angles[-1]))
    assert float(fixed[-1]) == pytest.approx(mean, rel=1e-12) if n == 1 else float(fixed[-1]) > 20 * mean


def test_the_fixed_point_of_many_intervals_is_the_end_of_the_flow() -> None:
    short = [1 - float(torch.cos(torch.diff(Consistency().angles(n))).prod()) for n in (10, 160, 1280)]
    # computed by hand from the formula of the levels
    assert short == pytest.approx([0.22670873, 0.01596019, 0.00201084], abs=1e-8)


class Masked(nn.Module):
    """y is a dropout mask, whatever is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.dropout, self.bias = nn.Dropout(0.5), nn.Parameter(torch.zeros(()))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        self.seen.append(self.dropout(torch.ones_like(x)) + self.bias)
        return self.seen[-1]


def test_both_estimates_see_the_same_dropout_and_only_the_noisier_is_differentiated() -> None:
    net = Masked()
    objective, level = ConsistencyObjective(), inside(Consistency().angles(10))
    x0, eps = torch.randn(10, 8), torch.randn(10, 8)
    for _ in range(2):
        losses = objective(NetworkDenoiser(net), x0, eps, Level(level.alpha.float(), level.sigma.float()), {})
        torch.autograd.backward(losses.mean())
    first, second, third, _ = net.seen
    assert torch.equal(first, second) and not torch.equal(second, third)
    assert not first.requires_grad and second.requires_grad
    assert 0 < float((first == 0).float().mean()) < 1


@pytest.mark.parametrize("d", [2, 3072])
def test_the_pseudo_huber_metric_of_the_paper_is_a_norm_of_the_whole_residual(d: int) -> None:
    z = (torch.randn(5, d, dtype=DTYPE) * torch.logspace(-5, 1, 5, dtype=DTYPE)[:, None]).requires_grad_()
    ours: Loss = L2(norm_p=0.5, norm_eps=0.00054**2)
    c = 0.00054 * math.sqrt(d)
    theirs = torch.sqrt(z.square().sum(dim=1) + c**2) - c
    (mine,) = torch.autograd.grad(ours(z, torch.ones(5, dtype=DTYPE)).sum(), z)
    (paper,) = torch.autograd.grad(theirs.sum(), z)
    torch.testing.assert_close(mine, 2 / math.sqrt(d) * paper)


@pytest.mark.parametrize("loss", [L2(), PseudoHuber(delta=0.01)])
def test_the_weight_multiplies_the_distance_whatever_it_is(loss: Loss) -> None:
    denoiser = NetworkDenoiser(Exact(UNIT, "velocity"))
    plan = Consistency(first=10)
    x0, eps, level = torch.randn(10, 1, dtype=DTYPE), torch.randn(10, 1, dtype=DTYPE), inside(plan.angles(10))
    found = ConsistencyObjective(loss=loss, consistency=plan)(denoiser, x0, eps, level, {})
    angles = plan.angles(10)
    cos, sin = torch.cos(angles)[:, None], torch.sin(angles)[:, None]
    means = cos[1:] * (cos[1:] * x0 + sin[1:] * eps), cos[:-1] * (cos[:-1] * x0 + sin[:-1] * eps)
    expected = loss(means[0] - means[1], torch.ones(10, dtype=DTYPE)) / torch.diff(torch.tan(angles))
    torch.testing.assert_close(found, expected)


def test_wrong_options_are_refused() -> None:
    for options, message in (
        ({"first": 0}, "first must lie between 1 and last"),
        ({"first": 20, "last": 10}, "first must lie between 1 and last"),
        ({"low": 90.0}, "low must lie below high, not 90.0 and 80.0"),
        ({"rho": 0.0}, "rho must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            Consistency(**options)
    with pytest.raises(ValueError, match="no levels with sigma / alpha below 80"):
        Consistency().density(LogNormal(40.0, 1.0), VE())
