"""Exponential multistep methods: the papers' formulas line by line, their start and their end."""

import math

import pytest
import torch
from scipy.integrate import quad
from torch import Tensor

from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.process import PROCESSES, Flow, Level, VPLinear
from ptdiff.solvers import solve
from ptdiff.solvers.multistep import DPMpp2M, DPMpp3M, DPMSolver2M, DPMSolver3M, ExpAB, Multistep
from ptdiff.solvers.weights import exponential_moments

DTYPE = torch.float64
ORACLE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
# unequal steps in lambda
LEVELS = VPLinear().level(torch.tensor([1.0, 0.83, 0.71, 0.5, 0.42, 0.2, 0.13, 0.01], dtype=DTYPE))
X = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)


def _published(order: int, estimate: str, levels: Level = LEVELS, final: bool = False) -> Tensor:
    """multistep_dpm_solver_update of the first to the third order, as the papers and their code write them."""
    alpha, sigma = levels.alpha, levels.sigma
    lam = torch.log(alpha) - torch.log(sigma)
    x, history = X, list[Tensor]()
    steps = len(alpha) - 1
    for i in range(steps):
        x0 = ORACLE(x, Level(alpha[i], sigma[i]), {})
        history.insert(0, x0 if estimate == "x0" else (x - alpha[i] * x0) / sigma[i])
        h = lam[i + 1] - lam[i]
        use = min(order, len(history), steps - i if final else order)
        d1 = d2 = torch.zeros_like(x)
        if use >= 2:
            r0 = (lam[i] - lam[i - 1]) / h
            d1 = d10 = (history[0] - history[1]) / r0
        if use == 3:
            r1 = (lam[i - 1] - lam[i - 2]) / h
            d11 = (history[1] - history[2]) / r1
            d1 = d10 + r0 / (r0 + r1) * (d10 - d11)
            d2 = (d10 - d11) / (r0 + r1)
        if estimate == "x0":
            phi1 = torch.expm1(-h)
            second = -0.5 * phi1 if use == 2 else phi1 / h + 1
            third = -(phi1 + h) / h**2 + 0.5
            x = sigma[i + 1] / sigma[i] * x + alpha[i + 1] * (-phi1 * history[0] + second * d1 + third * d2)
        else:
            phi1 = torch.expm1(h)
            second = 0.5 * phi1 if use == 2 else phi1 / h - 1
            third = (phi1 - h) / h**2 - 0.5
            x = alpha[i + 1] / alpha[i] * x - sigma[i + 1] * (phi1 * history[0] + second * d1 + third * d2)
    return x


@pytest.mark.parametrize(
    ("cls", "order", "estimate"),
    [(DPMpp2M, 2, "x0"), (DPMpp3M, 3, "x0"), (DPMSolver2M, 2, "eps"), (DPMSolver3M, 3, "eps")],
)
@pytest.mark.parametrize("final", [False, True])
def test_the_published_updates_of_dpm_solver(cls: type, order: int, estimate: str, final: bool) -> None:
    found = solve(ORACLE, X, cls(lower_order_final=final).table(LEVELS))
    assert torch.allclose(found, _published(order, estimate, final=final), rtol=0, atol=1e-12)


@pytest.mark.parametrize("estimate", ["x0", "eps"])
@pytest.mark.parametrize("points", [1, 2, 3, 4])
def test_exponential_adams_bashforth_integrates_the_interpolated_estimate(points: int, estimate: str) -> None:
    alpha, sigma = LEVELS.alpha.tolist(), LEVELS.sigma.tolist()
    lam = [math.log(a / b) for a, b in zip(alpha, sigma, strict=True)]
    x, history = X, list[Tensor]()
    for i in range(len(alpha) - 1):
        x0 = ORACLE(x, Level(LEVELS.alpha[i], LEVELS.sigma[i]), {})
        history.insert(0, x0 if estimate == "x0" else (x - alpha[i] * x0) / sigma[i])
        nodes = [lam[i - j] for j in range(min(points, len(history)))]
        total = torch.zeros_like(x)
        for j, node in enumerate(nodes):

            def integrand(u: float, node: float = node, j: int = j, nodes: list[float] = nodes) -> float:
                others = nodes[:j] + nodes[j + 1 :]
                lagrange = math.prod((u - other) / (node - other) for other in others)
                return math.exp(u if estimate == "x0" else -u) * lagrange

            total = total + history[j] * quad(integrand, lam[i], lam[i + 1], epsabs=0, epsrel=1e-12)[0]
        if estimate == "x0":
            x = sigma[i + 1] / sigma[i] * x + sigma[i + 1] * total
        else:
            x = alpha[i + 1] / alpha[i] * x - alpha[i + 1] * total
    solver = ExpAB(start="low", points=points, estimate=estimate)  # type: ignore[arg-type]
    assert torch.allclose(solve(ORACLE, X, solver.table(LEVELS)), x, rtol=0, atol=1e-11)


def test_a_runge_kutta_start_makes_a_third_order_method_one_of_third_order() -> None:
    process = Flow()
    ends = process.time(torch.atan(torch.tensor([5.0, 0.1], dtype=DTYPE)))

    def end(solver: Multistep, steps: int) -> Tensor:
        levels = process.level(torch.linspace(float(ends[0]), float(ends[1]), steps + 1, dtype=DTYPE))
        return solve(ORACLE, X * levels.scale[0], solver.table(levels))

    def slope(solver: Multistep) -> float:
        exact = end(ExpAB(points=4), 1280)
        errors = [float((end(solver, n) - exact).abs().max()) for n in (200, 400)]
        return math.log2(errors[0] / errors[1])

    assert ExpAB().order == 3
    assert slope(ExpAB()) == pytest.approx(3, abs=0.15)
    assert ExpAB(start="low").order == 2
    assert slope(ExpAB(start="low")) == pytest.approx(2, abs=0.2)
    # the published weight of the second difference is half the right one, whatever the start
    assert DPMpp3M(start="rk").order == 2
    assert slope(DPMpp3M(start="rk")) == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("points", [2, 3, 4])
def test_the_start_takes_runge_kutta_steps_until_there_are_estimates_enough(points: int) -> None:
    table = ExpAB(points=points).table(LEVELS)
    calls = [stage for stage in table.stages if not stage.advance]
    assert len(calls) == (points - 1) ** 2
    assert table.calls == len(LEVELS.alpha) - 1 + (points - 1) ** 2
    # one step more where the first level is pure noise and cannot be interpolated in lambda
    noise = Flow().level(torch.linspace(1, 0.1, 9, dtype=DTYPE))
    assert ExpAB(points=points).table(noise).calls == 8 + points * (points - 1)


@pytest.mark.parametrize("estimate", ["x0", "eps"])
def test_nothing_is_extrapolated_into_clean_data_or_from_pure_noise(estimate: str) -> None:
    stages = ExpAB(start="low", points=4, estimate=estimate).table(grid(Flow(), 8)).stages  # type: ignore[arg-type]
    assert stages[-1].keep == 0
    assert stages[-1].mix == (1.0,)
    # the first two steps have one usable estimate each
    if estimate == "x0":
        assert [len(stage.mix) for stage in stages] == [0, 1, 1, 2, 3, 4, 4, 4, 1]


@pytest.mark.parametrize("solver", [DPMpp2M(), DPMSolver3M(), ExpAB(), ExpAB(estimate="eps")], ids=repr)
def test_the_scale_of_the_process_does_not_matter(solver: Multistep) -> None:
    scale = torch.linspace(3, 0.5, len(LEVELS.alpha), dtype=DTYPE)
    scaled = Level(LEVELS.alpha * scale, LEVELS.sigma * scale)
    found = solve(ORACLE, X * scale[0], solver.table(scaled)) / scale[-1]
    assert torch.allclose(found, solve(ORACLE, X, solver.table(LEVELS)), rtol=0, atol=1e-12)


def test_weights_keep_their_digits_for_very_short_steps() -> None:
    """On 4000 levels the weights for D = const, D = lambda and D = lambda^2 are still exact to rounding."""
    levels = PROCESSES["ve"]().level(torch.linspace(0.6, 0.59, 4001, dtype=DTYPE))
    stage = ExpAB(start="low").table(levels).stages[-1]
    s, t = levels.sigma[-2].item(), levels.sigma[-1].item()
    h = math.log(s / t)
    assert sum(stage.mix) == pytest.approx(h * exponential_moments(h, 1)[0], rel=1e-12)
    assert stage.mix[0] / sum(stage.mix) == pytest.approx(23 / 12, abs=1e-3)


@pytest.mark.parametrize("points", [0, 5])
def test_other_numbers_of_points_are_refused(points: int) -> None:
    with pytest.raises(ValueError, match=r"points must lie in \[1, 4\]"):
        ExpAB(points=points)
