"""Tables and their loop: counting, end points, equivalences, independence of the batch."""

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import PROCESSES, Flow, Level
from ptdiff.solvers import ADAPTIVE, SOLVERS, Stage, State, Table, solve, trajectory
from ptdiff.solvers.exponential import DDIM, DDPM
from ptdiff.solvers.multistep import DPMpp2M
from ptdiff.solvers.runge_kutta import Euler, Heun

# on ten steps from pure noise to clean data: a step of k calls, its last one a single call, or the Runge-Kutta start
CALLS = (
    dict.fromkeys(["ddim", "ddpm", "dpm++2m", "dpm++3m", "dpm-solver-2m", "dpm-solver-3m", "euler", "ipndm"], 10)
    | dict.fromkeys(["dpm++2s", "dpm-solver-2s", "dpm-2", "heun", "midpoint"], 19)
    | dict.fromkeys(["dpm++3s", "dpm-solver-3s", "kutta3"], 28)
    | {
        "rk4": 37,
        "unipc-2": 10,
        "unipc-3": 19,
        "exp-ab": 16,
        "deis": 16,
        "ab": 14,
        "lms": 22,
        "ipndm-v": 22,
        "pndm": 19,
    }
)
MIXTURE = Mixture(
    torch.randn(6, 5, generator=torch.Generator().manual_seed(1)), torch.full((6,), 0.2), torch.full((6,), 1 / 6)
)


@pytest.mark.parametrize("name", SOLVERS)
def test_a_table_knows_its_cost_before_it_runs(name: str) -> None:
    calls = 0

    def counting(x, level, cond):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        assert float(level.sigma) > 0
        return 0 * x

    table = SOLVERS[name]().table(grid(Flow(), 10))
    solve(counting, torch.randn(2, 5), table, noise=lambda step: torch.zeros(2, 5))
    assert table.calls == calls == CALLS.get(name, calls)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("process", PROCESSES)
def test_the_whole_way_is_finite_in_float32_and_ends_on_the_data(process: str, solver: str) -> None:
    points = torch.tensor([[-1.0, 2.0], [1.0, 0.5]])
    oracle = Mixture.of_data(points)
    table = SOLVERS[solver]().table(grid(PROCESSES[process](), 60))
    alpha, sigma = table.levels[0]
    ids = torch.arange(32)
    x = normal(0, Stream.START, ids, 0, (2,)) * (alpha**2 + sigma**2) ** 0.5
    states = list(trajectory(oracle, x, table, {}, lambda step: normal(0, Stream.SOLVER, ids, step, (2,))))
    # solvers that go back up pass some levels more than once
    assert len(states) == len(table.levels) >= 61
    assert all(torch.isfinite(state.x).all() for state in states)
    gap = torch.cdist(states[-1].x, points).amin(dim=1)
    assert float(gap.max()) < 1e-3


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("process", PROCESSES)
def test_sample_17_is_bit_equal_alone_in_a_batch_and_in_any_order(process: str, solver: str) -> None:
    table = SOLVERS[solver]().table(grid(PROCESSES[process](), 10))
    alpha, sigma = table.levels[0]

    def samples(ids: torch.Tensor) -> torch.Tensor:
        x = normal(3, Stream.START, ids, 0, (5,)) * (alpha**2 + sigma**2) ** 0.5
        return solve(MIXTURE, x, table, {}, lambda step: normal(3, Stream.SOLVER, ids, step, (5,)))

    batch = samples(torch.arange(64))
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(samples(torch.tensor([17]))[0], batch[17])
    assert torch.equal(samples(order), batch[order])
    # an odd number of samples leaves another tail to the vectorized kernels
    assert torch.equal(samples(torch.arange(11, 18)), batch[11:18])


def test_ddim_with_eta_one_is_the_ancestral_step_of_ddpm() -> None:
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    bars = torch.cumprod(1 - betas, 0)
    t, s = 600, 599
    levels = Level(bars[[t, s]].sqrt(), (1 - bars[[t, s]]).sqrt())
    stage = DDPM().table(levels).stages[1]
    # Ho et al. 2020, eq. 7
    mean_x = (1 - betas[t]).sqrt() * (1 - bars[s]) / (1 - bars[t])
    mean_x0 = bars[s].sqrt() * betas[t] / (1 - bars[t])
    variance = betas[t] * (1 - bars[s]) / (1 - bars[t])
    assert stage.keep == pytest.approx(float(mean_x), rel=1e-9)
    assert stage.mix[0] == pytest.approx(float(mean_x0), rel=1e-9)
    assert stage.noise[0][1] ** 2 == pytest.approx(float(variance), rel=1e-9)


@pytest.mark.parametrize("chart", ["flow", "noise"])
def test_euler_in_a_straight_chart_is_ddim(chart: str) -> None:
    levels = grid(PROCESSES["vp"](), 9)
    for a, b in zip(Euler(chart).table(levels).stages, DDIM().table(levels).stages, strict=True):  # type: ignore[arg-type]
        assert a.keep == pytest.approx(b.keep, abs=1e-12)
        assert a.mix == pytest.approx(b.mix, abs=1e-12)


def test_rectified_flow_euler_steps_along_the_velocity() -> None:
    levels = grid(Flow(), 4)
    oracle = Gaussian(torch.zeros(3), torch.ones(3))
    x = torch.randn(5, 3)
    states = list(trajectory(oracle, x, Euler("flow").table(levels)))
    t, s = levels.sigma[0], levels.sigma[1]
    x0 = oracle(x, Level(1 - t, t), {})
    velocity = (x - x0) / t
    assert torch.allclose(states[1].x, (x + (s - t) * velocity).float(), atol=1e-6)


def test_heun_in_the_noise_chart_is_edms() -> None:
    levels = grid(PROCESSES["ve"](), 8)
    oracle = Gaussian(torch.zeros(2, dtype=torch.float64), torch.full((2,), 0.5, dtype=torch.float64))
    x = 80 * torch.randn(4, 2, dtype=torch.float64)
    got = solve(oracle, x, Heun("noise").table(levels))
    for sigma, lower in zip(levels.sigma, levels.sigma[1:], strict=False):
        d = (x - oracle(x, Level(torch.ones_like(sigma), sigma), {})) / sigma
        euler = x + (lower - sigma) * d
        if lower > 0:
            d_end = (euler - oracle(euler, Level(torch.ones_like(lower), lower), {})) / lower
            x = x + (lower - sigma) * (d + d_end) / 2
        else:
            x = euler
    assert torch.allclose(got, x, atol=1e-10)


def test_multistep_falls_back_to_first_order_into_the_clean_level() -> None:
    stages = DPMpp2M().table(grid(PROCESSES["ve"](), 6)).stages
    assert len(stages[-1].mix) == 1
    assert stages[-1].keep == 0
    assert all(len(stage.mix) == 2 for stage in stages[2:-1])


def test_states_report_step_level_and_estimate() -> None:
    table = DDIM().table(grid(Flow(), 3))
    states = list(trajectory(MIXTURE, torch.randn(2, 5), table))
    assert [state.step for state in states] == [0, 1, 2, 3]
    assert states[0].x0 is None
    assert [state.level for state in states] == list(table.levels)
    assert torch.equal(states[-1].x, states[-1].x0)  # type: ignore[arg-type]


def test_noise_that_is_needed_but_missing_is_an_error() -> None:
    with pytest.raises(ValueError, match="adds noise"):
        solve(MIXTURE, torch.randn(2, 5), DDPM().table(grid(Flow(), 3)))


def test_levels_that_do_not_fall_are_refused() -> None:
    twice = Level(torch.tensor([0.0, 0.5, 0.5, 1.0]), torch.tensor([1.0, 0.5, 0.5, 0.0]))
    with pytest.raises(ValueError, match="must fall from level to level"):
        DDIM().table(twice)


def test_the_noise_chart_refuses_pure_noise() -> None:
    with pytest.raises(ValueError, match="noise chart cannot start at pure noise"):
        Heun("noise").table(grid(Flow(), 3))


def test_eta_outside_its_range_is_refused() -> None:
    with pytest.raises(ValueError, match="eta must lie"):
        DDIM(1.5)


def test_the_loop_compiles_into_one_graph() -> None:
    table = Table(
        (Stage(1.0, level=(0.0, 1.0)), Stage(0.5, (0.5,), level=(0.5, 0.5)), Stage(0.0, (2.0, -1.0))),
        ((0.0, 1.0), (0.5, 0.5), (1.0, 0.0)),
    )
    oracle = Gaussian(torch.zeros(5), torch.ones(5))
    compiled = torch.compile(lambda x: solve(oracle, x, table), fullgraph=True, backend="eager")
    x = torch.randn(2, 5)
    assert torch.allclose(compiled(x), solve(oracle, x, table))


class Scaled(torch.nn.Module):
    """A denoiser with a parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(0.5, dtype=torch.float64))

    def forward(self, x: Tensor, level: Level, cond: object) -> Tensor:
        return self.factor * x


@pytest.mark.parametrize("name", ["heun", "dpm++2m", "dopri5"])
def test_no_graph_is_kept_unless_asked_for(name: str) -> None:
    denoiser, x, levels = Scaled(), torch.ones(2, 3, dtype=torch.float64), grid(Flow(), 4)

    def states(**options: bool) -> list[State]:
        if name in ADAPTIVE:
            return list(ADAPTIVE[name]().trajectory(denoiser, x, levels, **options))
        return list(trajectory(denoiser, x, SOLVERS[name]().table(levels), **options))

    seen = [torch.is_grad_enabled() for state in states() if not state.x.requires_grad]
    assert seen == [True] * len(states()), "a state has a graph, or the caller's mode was changed"
    end = states(gradients=True)[-1].x
    end.sum().backward()
    slope = denoiser.factor.grad
    assert slope is not None
    with torch.no_grad():
        denoiser.factor += 1e-6
    # an adaptive solver's steps move with the factor, which its derivative does not see
    close = 0.1 if name in ADAPTIVE else 1e-3
    assert float((states()[-1].x - end.detach()).sum() / 1e-6) == pytest.approx(float(slope), rel=close)
    with torch.no_grad():
        assert not states(gradients=True)[-1].x.requires_grad


def test_a_run_may_be_left_in_the_middle_without_touching_the_mode_of_autograd() -> None:
    for _ in trajectory(Scaled(), torch.ones(1, 3, dtype=torch.float64), SOLVERS["heun"]().table(grid(Flow(), 4))):
        assert torch.is_grad_enabled()
        break
    assert torch.is_grad_enabled()
