"""Stochastic solvers: weak orders by exact moments, the formulas of their papers, paths, end points."""

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from ptdiff.certify.moments import coefficients, moments
from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import PROCESSES, Flow, Level, Process
from ptdiff.solvers import SOLVERS, Solver, Table, solve, trajectory
from ptdiff.solvers.ancestral import DPM2Ancestral, DPMpp2SAncestral, EulerAncestral
from ptdiff.solvers.brownian import BrownianPath
from ptdiff.solvers.euler_maruyama import EulerMaruyama
from ptdiff.solvers.exponential import DDIM, DDPM
from ptdiff.solvers.runge_kutta import Euler
from ptdiff.solvers.sa_solver import SASolver
from ptdiff.solvers.seeds import SEEDS1, SEEDS2, SEEDS3
from ptdiff.solvers.stochastic import DPMpp2MSDE, DPMpp3MSDE, DPMppSDE

DTYPE = torch.float64
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
CALLS = {
    "euler-maruyama": 10,
    "euler-ancestral": 10,
    "dpm-2-ancestral": 18,
    "dpm++2s-ancestral": 18,
    "dpm++sde": 18,
    "dpm++2m-sde": 10,
    "dpm++3m-sde": 10,
    "sa-solver": 10,
    "seeds-1": 10,
    "seeds-2": 18,
    "seeds-3": 26,
    "langevin": 51,
}
WEAK: list[Solver] = [
    EulerAncestral(),
    EulerAncestral(0.5),
    DPM2Ancestral(),
    DPMpp2SAncestral(),
    DPMpp2SAncestral(0.4),
    DPMppSDE(),
    DPMppSDE(0.5),
    DPMppSDE(r=0.7),
    DPMpp2MSDE(),
    DPMpp2MSDE(kind="heun"),
    DPMpp2MSDE(2.0),
    DPMpp3MSDE(),
    SASolver(1.0, 1, 0),
    SASolver(1.0, 2, 0),
    SASolver(1.0, 1, 2),
    SASolver(1.0, 3, 4),
    SEEDS1(),
    SEEDS2(),
    SEEDS3(),
    EulerMaruyama(),
    EulerMaruyama("log", 0.5),
]


def levels_between(process: Process, steps: int) -> Level:
    """Equal steps of the process's time between sigma / alpha = 5 and 0.1."""
    ends = process.time(torch.atan(torch.tensor([5.0, 0.1], dtype=DTYPE)))
    return process.level(torch.linspace(float(ends[0]), float(ends[1]), steps + 1, dtype=DTYPE))


def weak_slope(table: Callable[[Level], Table], process: Process, steps: int) -> float:
    errors = []
    for n in (steps, 2 * steps):
        made = table(levels_between(process, n))
        alpha, sigma = made.levels[-1]
        mean, variance = moments(made, 0.3, 0.5)
        assert mean == pytest.approx(0.3 * alpha, abs=1e-3)
        errors.append(abs(variance / (alpha**2 * 0.25 + sigma**2) - 1))
    return math.log2(errors[0] / errors[1])


@pytest.mark.parametrize("solver", WEAK, ids=repr)
@pytest.mark.parametrize("name", ["vp", "flow"])
def test_the_variance_converges_with_the_declared_weak_order(solver: Solver, name: str) -> None:
    slope = weak_slope(solver.table, PROCESSES[name](), 160)
    assert slope == pytest.approx(solver.order, abs=0.15)


def test_independent_noise_in_the_stages_costs_dpmpp_sde_an_order() -> None:
    def independent(levels: Level) -> Table:
        table = DPMppSDE().table(levels)
        stages = [
            stage
            if stage.advance
            else replace(stage, noise=tuple((replace(draw, fresh=0), weight) for draw, weight in stage.noise))
            for stage in table.stages
        ]
        return replace(table, stages=tuple(stages))

    assert weak_slope(independent, Flow(), 200) == pytest.approx(1, abs=0.15)


# -- the formulas of the papers, with given noise, in the papers' own terms --------------------------------------------

SIGMAS = [9.0, 5.0, 2.5, 1.1, 0.4, 0.15]
VE_LEVELS = Level(torch.ones(6, dtype=DTYPE), torch.tensor(SIGMAS, dtype=DTYPE))
START = 9 * torch.randn(5, 2, generator=torch.Generator().manual_seed(3), dtype=DTYPE)


def d(x: torch.Tensor, sigma: float) -> torch.Tensor:
    return MIXTURE(x, Level(torch.tensor(1.0, dtype=DTYPE), torch.tensor(sigma, dtype=DTYPE)), {})


def given(table: Table) -> Callable[[int], torch.Tensor]:
    return lambda k: torch.randn(5, 2, generator=torch.Generator().manual_seed(100 + k), dtype=DTYPE)


def close(solver: Solver, reference: Callable[..., torch.Tensor], *args: Any) -> None:
    table = solver.table(VE_LEVELS)
    z = iter(given(table)(k) for k in range(len(table.draws)))
    x, memory = START, []
    for s, t in pairwise(SIGMAS):
        x = reference(x, s, t, z, memory, *args)
    assert torch.allclose(solve(MIXTURE, START, table, noise=given(table)), x, atol=1e-9)
    assert next(z, None) is None


def up_down(s: float, t: float, eta: float) -> tuple[float, float]:
    up = min(t, eta * math.sqrt(t**2 * (s**2 - t**2) / s**2))
    return up, math.sqrt(t**2 - up**2)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_euler_ancestral_as_written(eta: float) -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        up, down = up_down(s, t, eta)
        return x + (x - d(x, s)) / s * (down - s) + up * next(z)

    close(EulerAncestral(eta), step)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_dpm_2_ancestral_as_written(eta: float) -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        up, down = up_down(s, t, eta)
        middle = math.exp((math.log(s) + math.log(down)) / 2)
        inner = x + (x - d(x, s)) / s * (middle - s)
        return x + (inner - d(inner, middle)) / middle * (down - s) + up * next(z)

    close(DPM2Ancestral(eta), step)


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_dpmpp_2s_ancestral_as_written(eta: float) -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        up, down = up_down(s, t, eta)
        h = math.log(s / down)
        middle = s * math.exp(-h / 2)
        inner = middle / s * x - math.expm1(-h / 2) * d(x, s)
        return down / s * x - math.expm1(-h) * d(inner, middle) + up * next(z)

    close(DPMpp2SAncestral(eta), step)


def test_dpmpp_sde_as_written() -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        middle = math.sqrt(s * t)
        first, second = next(z), next(z)
        up, down = up_down(s, middle, 1.0)
        inner = down / s * x + (1 - down / s) * d(x, s) + up * first
        up, down = up_down(s, t, 1.0)
        # one Brownian path over the step, in the time 1 / sigma^2
        spans = 1 / middle**2 - 1 / s**2, 1 / t**2 - 1 / middle**2
        whole = (math.sqrt(spans[0]) * first + math.sqrt(spans[1]) * second) / math.sqrt(sum(spans))
        return down / s * x + (1 - down / s) * d(inner, middle) + up * whole

    close(DPMppSDE(), step)


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("kind", ["midpoint", "heun"])
def test_dpmpp_2m_sde_as_written(kind: str, eta: float) -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        h, new = math.log(s / t), d(x, s)
        eta_h = eta * h
        x = t / s * math.exp(-eta_h) * x - math.expm1(-h - eta_h) * new
        if memory:
            last, h_last = memory[-1]
            r = h_last / h
            factor = -0.5 * math.expm1(-h - eta_h)
            if kind == "heun":
                factor = -math.expm1(-h - eta_h) / (-h - eta_h) + 1
            x = x + factor / r * (new - last)
        memory.append((new, h))
        return x + t * math.sqrt(-math.expm1(-2 * eta_h)) * next(z)

    close(DPMpp2MSDE(eta, kind), step)  # type: ignore[arg-type]


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_dpmpp_3m_sde_as_written(eta: float) -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        h, new = math.log(s / t), d(x, s)
        h_eta = h * (1 + eta)
        x = math.exp(-h_eta) * x - math.expm1(-h_eta) * new
        phi_2 = math.expm1(-h_eta) / h_eta + 1
        if len(memory) >= 2:
            (one, h_1), (two, h_2) = memory[-1], memory[-2]
            r0, r1 = h_1 / h, h_2 / h
            d1_0, d1_1 = (new - one) / r0, (one - two) / r1
            d1 = d1_0 + (d1_0 - d1_1) * r0 / (r0 + r1)
            d2 = (d1_0 - d1_1) / (r0 + r1)
            x = x + phi_2 * d1 - (phi_2 / h_eta - 0.5) * d2
        elif memory:
            one, h_1 = memory[-1]
            x = x + phi_2 * (new - one) / (h_1 / h)
        memory.append((new, h))
        return x + t * math.sqrt(-math.expm1(-2 * h * eta)) * next(z)

    close(DPMpp3MSDE(eta), step)


def test_seeds_1_as_written() -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        h = math.log(s / t)
        return x - 2 * t * math.expm1(h) * (x - d(x, s)) / s + t * math.sqrt(math.expm1(2 * h)) * next(z)

    close(SEEDS1(), step)


def test_seeds_2_as_written() -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        h, one, two = math.log(s / t), next(z), next(z)
        m = s * math.exp(-h / 2)
        u = x - 2 * m * math.expm1(h / 2) * (x - d(x, s)) / s + m * math.sqrt(math.expm1(h)) * one
        noise = math.sqrt(math.exp(2 * h) - math.exp(h)) * one + math.sqrt(math.expm1(h)) * two
        return x - 2 * t * math.expm1(h) * (u - d(u, m)) / m + t * noise

    close(SEEDS2(), step)


def test_seeds_3_as_written() -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        h, (one, two, three) = math.log(s / t), (next(z), next(z), next(z))
        r1, r2 = 1 / 3, 2 / 3
        m1, m2 = s * math.exp(-r1 * h), s * math.exp(-r2 * h)
        f0 = (x - d(x, s)) / s
        u1 = x - 2 * m1 * math.expm1(r1 * h) * f0 + m1 * math.sqrt(math.expm1(2 * r1 * h)) * one
        f1 = (u1 - d(u1, m1)) / m1
        noise = math.sqrt(math.exp(2 * r2 * h) - math.exp(2 * r1 * h)) * one + math.sqrt(math.expm1(2 * r1 * h)) * two
        u2 = x - 2 * m2 * math.expm1(r2 * h) * f0 + m2 * noise
        u2 = u2 - 2 * m2 * r2 / r1 * (math.expm1(r2 * h) / (r2 * h) - 1) * (f1 - f0)
        f2 = (u2 - d(u2, m2)) / m2
        noise = math.sqrt(math.exp(2 * h) - math.exp(2 * r2 * h)) * one
        noise = noise + math.sqrt(math.exp(2 * r2 * h) - math.exp(2 * r1 * h)) * two
        noise = noise + math.sqrt(math.expm1(2 * r1 * h)) * three
        x = x - 2 * t * math.expm1(h) * f0 - 2 * t / r2 * (math.expm1(h) / h - 1) * (f2 - f0)
        return x + t * noise

    close(SEEDS3(), step)


def test_euler_maruyama_as_written() -> None:
    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        return x + 2 * (x - d(x, s)) / s * (t - s) + math.sqrt(2 * s * (s - t)) * next(z)

    close(EulerMaruyama(), step)


def test_sa_solver_integrates_the_polynomial_through_the_estimates() -> None:
    tau2, order = 0.6, 3

    def integral(t: float, s: float, known: list[float], j: int) -> float:
        # sigma_t int exp(-tau^2 (lambda_t - l)) (1 + tau^2) exp(l) L_j(l) dl, by a fine midpoint rule
        start, end = -math.log(s), -math.log(t)
        grid = start + (torch.arange(4000, dtype=DTYPE) + 0.5) / 4000 * (end - start)
        basis = torch.ones_like(grid)
        for other in known[:j] + known[j + 1 :]:
            basis = basis * (grid - other) / (known[j] - other)
        values = torch.exp(-tau2 * (end - grid)) * (1 + tau2) * torch.exp(grid) * basis
        return t * float(values.mean()) * (end - start)

    def step(x, s, t, z, memory):  # type: ignore[no-untyped-def]
        noise = t * math.sqrt(-math.expm1(-2 * tau2 * math.log(s / t))) * next(z)
        memory.append((-math.log(s), d(x, s) if not memory else memory.pop()))
        still = t / s * (t / s) ** tau2 * x + noise
        newest = memory[::-1][: order - 1]
        known = [place for place, _ in newest]
        predicted = still + sum(integral(t, s, known, j) * value for j, (_, value) in enumerate(newest))
        new = d(predicted, t)
        newest = [(-math.log(t), new), *memory[::-1]][:order]
        known = [place for place, _ in newest]
        memory.append(new)
        return still + sum(integral(t, s, known, j) * value for j, (_, value) in enumerate(newest))

    table = SASolver(tau2, order - 1, order).table(VE_LEVELS)
    x, memory, z = START, [], iter(given(table)(k) for k in range(5))
    for s, t in pairwise(SIGMAS):
        x = step(x, s, t, z, memory)
    assert torch.allclose(solve(MIXTURE, START, table, noise=given(table)), x, atol=1e-5)


def same(one: Table, other: Table) -> None:
    for a, b in zip(one.stages, other.stages, strict=True):
        assert a.keep == pytest.approx(b.keep, abs=1e-12)
        assert a.mix == pytest.approx(b.mix, abs=1e-12)
        assert [w for _, w in a.noise] == pytest.approx([w for _, w in b.noise], abs=1e-12)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (EulerAncestral(0.3), DDIM(0.3)),
        (EulerAncestral(), DDPM()),
        (DPMppSDE(0.0), DPMpp2SAncestral(0.0)),
        (EulerMaruyama("flow", 0.0), Euler("flow")),
        (EulerMaruyama("angle", 0.0), Euler("angle")),
        (SASolver(0.5, 2, 0), DPMpp2MSDE(0.5, "heun")),
        (SASolver(0.0, 1, 0), DDIM()),
    ],
    ids=repr,
)
def test_solvers_meet_where_they_are_the_same(one: Solver, other: Solver) -> None:
    same(one.table(levels_between(Flow(), 9)), other.table(levels_between(Flow(), 9)))


@pytest.mark.parametrize(
    ("solver", "bound"), [(SEEDS1(), math.log(3)), (SEEDS2(), 2 * math.log(1.5)), (SEEDS3(), 1.237)], ids=repr
)
def test_seeds_lets_noise_grow_beside_its_level_in_steps_longer_than_stated(solver: Solver, bound: float) -> None:
    def growth(h: float) -> float:
        sigma = torch.tensor([1.0, math.exp(-h)], dtype=DTYPE)
        start = coefficients(solver.table(Level(torch.ones_like(sigma), sigma)), 0.0, 0.0)[1]
        return abs(float(start)) * math.exp(h)

    assert growth(0.99 * bound) < 1 < growth(1.01 * bound)
    assert growth(0.01) == pytest.approx(math.exp(-0.01), rel=1e-3)


@pytest.mark.parametrize(("solver", "steps"), [(SEEDS2(), 16), (SEEDS3(), 10)], ids=repr)
def test_seeds_needs_as_many_steps_as_stated(solver: Solver, steps: int) -> None:
    def spread(steps: int) -> float:
        return math.sqrt(moments(solver.table(grid(Flow(), steps, "log-snr")), 0.0, 1.0)[1])

    assert spread(steps) < 1.8
    assert spread(steps // 2) > 100


# -- end points, paths, samples ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
def test_calls_are_as_many_as_the_papers_say(name: str) -> None:
    assert SOLVERS[name]().table(grid(Flow(), 10)).calls == CALLS[name]


@pytest.mark.parametrize("name", [name for name in CALLS if name != "langevin"])
def test_out_of_pure_noise_and_into_the_clean_level_steps_are_ddpms(name: str) -> None:
    stages, ddpm = SOLVERS[name]().table(grid(Flow(), 6)).stages, DDPM().table(grid(Flow(), 6)).stages
    for i in (1, -1):
        same(Table(stages[i:][:1], ()), Table(ddpm[i:][:1], ()))
    assert not stages[-1].noise


@pytest.mark.parametrize("solver", CALLS)
@pytest.mark.parametrize("process", ["flow", "vp", "ve"])
def test_samples_along_a_path_are_finite_and_bit_equal_alone_or_in_any_order(process: str, solver: str) -> None:
    points = Mixture.of_data(torch.tensor([[-1.0, 2.0], [1.0, 0.5]]))
    table = SOLVERS[solver]().table(grid(PROCESSES[process](), 9))
    alpha, sigma = table.levels[0]

    def samples(ids: torch.Tensor) -> torch.Tensor:
        x = normal(3, Stream.START, ids, 0, (2,)) * math.hypot(alpha, sigma)
        states = list(trajectory(points, x, table, {}, BrownianPath(3, ids, (2,)).noise(table)))
        assert len(states) == len(table.levels)
        assert all(torch.isfinite(state.x).all() for state in states)
        return states[-1].x

    order = torch.tensor([5, 17, 0, 18, 2, 12, 9])
    batch = samples(torch.arange(19))
    assert torch.equal(samples(order), batch[order])
    assert torch.equal(samples(torch.tensor([17]))[0], batch[17])


@pytest.mark.parametrize("solver", [DDPM(), DPMppSDE()], ids=repr)
def test_runs_with_more_steps_approach_one_sample_along_a_path_and_only_there(solver: Solver) -> None:
    # modes so far apart that a small change of the noise decides between them would hide the rate
    smooth = replace(MIXTURE, stds=torch.full((3,), 0.6, dtype=DTYPE))
    ids = torch.arange(200)
    x = 5.1 * normal(1, Stream.START, ids, 0, (2,)).double()

    def ends(along_path: bool) -> list[torch.Tensor]:
        found = []
        for steps in (8, 16, 32, 64):
            table = solver.table(levels_between(PROCESSES["ve"](), steps))
            path = BrownianPath(1, ids, (2,))
            noise = path.noise(table) if along_path else lambda k: normal(1, Stream.SOLVER, ids, k, (2,))
            found.append(solve(smooth, x, table, noise=noise))
        return found

    gaps = [float((a - b).square().mean().sqrt()) for a, b in pairwise(ends(True))]
    apart = [float((a - b).square().mean().sqrt()) for a, b in pairwise(ends(False))]
    assert gaps[1] < 0.65 * gaps[0]
    assert gaps[2] < 0.65 * gaps[1]
    assert apart[2] > 0.8 * apart[0]


@pytest.mark.parametrize(
    ("cls", "options", "words"),
    [
        (EulerAncestral, {"eta": 1.5}, "eta must lie"),
        (DPMppSDE, {"eta": -1.0}, "at least 0"),
        (DPMppSDE, {"r": 1.0}, r"must lie in \(0, 1\)"),
        (DPMpp2MSDE, {"eta": math.inf}, "finite"),
        (SASolver, {"predictor": 0}, "predictor must lie"),
        (EulerMaruyama, {"eta": math.nan}, "finite"),
    ],
)
def test_options_out_of_range_are_refused(cls: Any, options: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        cls(**options)
