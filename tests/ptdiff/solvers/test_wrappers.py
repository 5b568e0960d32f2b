"""Solvers around solvers: churn, restart, resampling, corrector, temperature."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch

from ptdiff.certify.moments import moments
from ptdiff.choices import choose, described
from ptdiff.denoiser.oracle import Mixture
from ptdiff.grid import grid
from ptdiff.noise import Stream, normal
from ptdiff.process import PROCESSES, Flow, Level
from ptdiff.solvers import SOLVERS, Draw, Solver, Stage, Table, solve, trajectory
from ptdiff.solvers.ancestral import EulerAncestral
from ptdiff.solvers.brownian import BrownianPath
from ptdiff.solvers.churn import Churn
from ptdiff.solvers.exponential import DDIM, DDPM
from ptdiff.solvers.langevin import Corrector, Langevin, langevin_step
from ptdiff.solvers.multistep import DPMpp2M
from ptdiff.solvers.restart import Resample, Restart
from ptdiff.solvers.runge_kutta import RK4, Heun
from ptdiff.solvers.sa_solver import SASolver
from ptdiff.solvers.singlestep import DPMpp3S
from ptdiff.solvers.stochastic import DPMpp2MSDE, DPMppSDE
from ptdiff.solvers.tempered import Tempered

DTYPE = torch.float64
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
SIGMAS = [9.0, 5.0, 2.5, 1.1, 0.4, 0.15]
VE_LEVELS = Level(torch.ones(6, dtype=DTYPE), torch.tensor(SIGMAS, dtype=DTYPE))
START = 9 * torch.randn(5, 2, generator=torch.Generator().manual_seed(3), dtype=DTYPE)
WRAPPERS = ("churn", "restart", "resample", "corrector", "tempered")


def d(x: torch.Tensor, sigma: float) -> torch.Tensor:
    return MIXTURE(x, Level(torch.tensor(1.0, dtype=DTYPE), torch.tensor(sigma, dtype=DTYPE)), {})


def given(k: int) -> torch.Tensor:
    return torch.randn(5, 2, generator=torch.Generator().manual_seed(100 + k), dtype=DTYPE)


def end(table: Table) -> torch.Tensor:
    return solve(MIXTURE, START, table, noise=given)


def weak_slope(solver: Solver, steps: int) -> float:
    process, errors = Flow(), []
    ends = process.time(torch.atan(torch.tensor([5.0, 0.1], dtype=DTYPE)))
    for n in (steps, 2 * steps):
        table = solver.table(process.level(torch.linspace(float(ends[0]), float(ends[1]), n + 1, dtype=DTYPE)))
        alpha, sigma = table.levels[-1]
        _, variance = moments(table, 0.3, 0.5)
        errors.append(abs(variance / (alpha**2 * 0.25 + sigma**2) - 1))
    return math.log2(errors[0] / errors[1])


@pytest.mark.parametrize(
    "solver",
    [
        Churn(amount=10),
        Churn(DPMppSDE(), amount=5),
        Churn(DDIM(), amount=5),
        Restart(),
        Restart(DPMpp2MSDE()),
        Restart(intervals=((0.1, 0.3), (0.5, 2.0))),
        Resample(),
        Resample(Heun()),
        Resample(DPMpp3S()),
        Resample(RK4()),
        Resample(DPMpp2M()),
        Resample(DPMppSDE()),
        Resample(DPMpp2MSDE(), jump=4, repeats=3),
        Resample(EulerAncestral(0.5)),
        Tempered(temperature=1.0),
    ],
    ids=repr,
)
def test_the_variance_converges_with_the_declared_weak_order(solver: Solver) -> None:
    assert weak_slope(solver, 160) == pytest.approx(solver.order, abs=0.15)


def test_churn_stalls_while_gamma_is_capped() -> None:
    assert weak_slope(Churn(amount=200), 20) < 1.5
    assert weak_slope(Churn(amount=4), 20) > 1.85


# -- churn ----------------------------------------------------------------------------------------------------


def test_churn_around_heun_is_edms_algorithm_2() -> None:
    amount, low, high, scale = 1.5, 0.3, 4.0, 1.003
    z = iter(range(9))
    x = START
    for s, t in pairwise(SIGMAS):
        gamma = min(amount / 5, math.sqrt(2) - 1) if low <= s <= high else 0.0
        raised = s * (1 + gamma)
        if gamma:
            x = x + math.sqrt(raised**2 - s**2) * scale * given(next(z))
        slope = (x - d(x, raised)) / raised
        euler = x + (t - raised) * slope
        x = x + (t - raised) * (slope + (euler - d(euler, t)) / t) / 2
    table = Churn(Heun("noise"), amount, low, high, scale).table(VE_LEVELS)
    assert torch.allclose(end(table), x, atol=1e-10)
    assert len(table.draws) == next(z) == 3
    assert table.calls == 10


def test_churn_of_nothing_is_the_base_step_by_step() -> None:
    levels = grid(Flow(), 8)
    for base in (Heun(), DPMppSDE()):
        plain, churned = base.table(levels), Churn(base, amount=0).table(levels)
        x = torch.randn(3, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
        noise: Callable[[int], torch.Tensor] = lambda k: given(k)[:3]  # noqa: E731
        assert churned.calls == plain.calls
        assert churned.levels == plain.levels
        assert torch.equal(solve(MIXTURE, x, churned, noise=noise), solve(MIXTURE, x, plain, noise=noise))


def test_churn_is_capped_and_keeps_to_its_interval() -> None:
    table = Churn(amount=1000.0, low=0.5, high=3.0).table(VE_LEVELS)
    raised = [b / a for (_, a), (_, b) in pairwise(table.levels) if b > a]
    assert raised == pytest.approx([math.sqrt(2)] * 2)
    assert [level[1] for level in table.levels] == pytest.approx(
        [9.0, 5.0, 2.5, 2.5 * 2**0.5, 1.1, 1.1 * 2**0.5, 0.4, 0.15]
    )


# -- going back up ----------------------------------------------------------------------------------------------------


def test_restart_goes_back_up_from_low_to_high_and_walks_down_again() -> None:
    table = Restart(DDIM(), ((0.4, 2.5),), repeats=2).table(VE_LEVELS)
    assert [sigma for _, sigma in table.levels] == [9.0, 5.0, 2.5, 1.1, 0.4, 2.5, 1.1, 0.4, 2.5, 1.1, 0.4, 0.15]
    x = START
    for k, way in enumerate(([9.0, 5.0, 2.5, 1.1, 0.4], [2.5, 1.1, 0.4], [2.5, 1.1, 0.4], [0.4, 0.15])):
        if k in (1, 2):
            x = x + math.sqrt(2.5**2 - 0.4**2) * given(k - 1)
        for s, t in pairwise(way):
            x = d(x, s) + t / s * (x - d(x, s))
    assert torch.allclose(end(table), x, atol=1e-10)


def test_several_intervals_are_restarted_from_the_noisiest_down() -> None:
    table = Restart(DDIM(), ((0.15, 0.4), (1.1, 5.0)), repeats=1).table(VE_LEVELS)
    assert [sigma for _, sigma in table.levels] == [9.0, 5.0, 2.5, 1.1, 5.0, 2.5, 1.1, 0.4, 0.15, 0.4, 0.15]


def test_going_up_reaches_the_variance_of_the_noisier_level_under_every_process() -> None:
    for name in ("flow", "vp", "ve", "sub-vp"):
        levels = grid(PROCESSES[name](), 12)
        table = Restart(intervals=((0.05, 20.0),)).table(levels)
        k = next(i for i, ((a, s), (b, t)) in enumerate(pairwise(table.levels)) if t * a > s * b)
        (a, s), (b, t) = table.levels[k : k + 2]
        at = [i for i, stage in enumerate(table.stages) if stage.advance][k + 1]
        stage = table.stages[at]
        # data of variance 0.7 at the cleaner level becomes data of variance 0.7 at the noisier one
        variance = stage.keep**2 * (a * a * 0.7 + s * s) + stage.noise[0][1] ** 2
        assert variance == pytest.approx(b * b * 0.7 + t * t, rel=1e-9)


def test_resampling_walks_every_jump_as_often_as_asked() -> None:
    table = Resample(DDPM(), jump=2, repeats=3).table(grid(Flow(), 5))
    walked = [round(5 * sigma) for _, sigma in table.levels]
    # the first jump is out of pure noise; the others go down, up, down, up, down
    assert walked == [5, 4, 3, 2, 4, 3, 2, 4, 3, 2, 1, 0, 2, 1, 0, 2, 1, 0]


def test_resampling_needs_signal_to_return_to() -> None:
    repeated = Resample(DDPM(), jump=4, repeats=3).table(grid(Flow(), 4))
    assert [round(4 * sigma) for _, sigma in repeated.levels] == [4, 3, 2, 1, 0]
    ve = Resample(DDPM(), jump=4, repeats=3).table(grid(PROCESSES["ve"](), 4))
    assert len(ve.levels) == 15


@pytest.mark.parametrize("base", [DDPM(), DPMppSDE(), Langevin(repeats=2), Churn(), Corrector(repeats=2)], ids=repr)
@pytest.mark.parametrize("wrap", [Restart, Resample, Churn, Corrector, lambda base: Corrector(Resample(base))])
def test_every_pass_draws_numbers_of_its_own(wrap: Callable[..., Solver], base: Solver) -> None:
    table = wrap(base).table(grid(PROCESSES["ve"](), 20))
    used: set[object] = set()
    now: set[object] = set()
    for stage in table.stages:
        now |= {draw for draw, weight in stage.noise if weight}
        if stage.advance:
            assert not now & used
            used |= now
            now = set()
    # and what remains on the path does not overlap
    moments(table, 0.3, 0.5)


@pytest.mark.parametrize("base", [Restart(), Resample(), Corrector(Tempered(Resample()))], ids=repr)
@pytest.mark.parametrize("wrap", [Restart, Resample, Churn])
def test_what_needs_a_whole_grid_is_refused_by_name_within_what_hands_out_parts(
    wrap: Callable[..., Solver], base: Solver
) -> None:
    name = "restart" if base == Restart() else "resample"
    with pytest.raises(ValueError, match=f"{wrap.__name__.lower()} cannot wrap {name}"):  # type: ignore[attr-defined]
        wrap(base)
    wrap(Churn())


def test_a_grid_without_the_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than two levels"):
        Restart(intervals=((0.5, 0.6),)).table(VE_LEVELS)


# -- Langevin dynamics -----------------------------------------------------------------------------------------------


def test_langevin_steps_leave_their_level_as_it_is_up_to_the_step_size() -> None:
    level, s2 = (0.8, 0.6), 0.25
    for size in (0.4, 0.1):
        first = Stage(1.0, level=level)
        taken: set[Draw] = set()
        table = Table((first, *(langevin_step(level, size, taken) for _ in range(400))), (level,) * 401)
        mean, variance = moments(table, 0.3, math.sqrt(s2))
        exact = level[0] ** 2 * s2 + level[1] ** 2
        assert mean == pytest.approx(0.3 * level[0])
        assert variance == pytest.approx(exact / (1 - size * level[1] ** 2 / (4 * exact)), rel=1e-9)


def test_annealed_langevin_dynamics_as_written() -> None:
    epsilon, sigma_last, repeats = 2e-3, 0.15, 3
    x, k = START, 0
    for sigma in SIGMAS:
        alpha = epsilon * sigma**2 / sigma_last**2
        for _ in range(repeats):
            score = (d(x, sigma) - x) / sigma**2
            x, k = x + alpha / 2 * score + math.sqrt(alpha) * given(k), k + 1
    table = Langevin(epsilon / sigma_last**2, repeats).table(VE_LEVELS)
    assert torch.allclose(end(table), x, atol=1e-9)
    assert table.calls == 6 * 3


def _corrected(x: torch.Tensor, sigma: float, snr: float, k: int) -> torch.Tensor:
    # Song et al. 2021, algorithm 5, with the norm of the score that of noise over sigma
    step = 2 * (snr * sigma) ** 2
    return x + step * (d(x, sigma) - x) / sigma**2 + math.sqrt(2 * step) * given(k)


def test_a_corrector_after_every_step_as_written() -> None:
    x, k = START, 0
    for s, t in pairwise(SIGMAS):
        x = d(x, s) + t / s * (x - d(x, s))
        for _ in range(2):
            x, k = _corrected(x, t, 0.16, k), k + 1
    table = Corrector(DDIM(), snr=0.16, repeats=2).table(VE_LEVELS)
    assert torch.allclose(end(table), x, atol=1e-9)
    assert table.calls == 1 + 4 * 3 + 2


def test_a_multistep_base_looks_back_on_corrected_estimates() -> None:
    x, found = START, [d(START, SIGMAS[0])]
    base = DPMpp2MSDE(0.0).table(VE_LEVELS)
    for k, (t, stage) in enumerate(zip(SIGMAS[1:], base.stages[1:], strict=True)):
        x = stage.keep * x + sum(weight * value for weight, value in zip(stage.mix, found, strict=False))
        x = _corrected(x, t, 0.1, k)
        found.insert(0, d(x, t))
    table = Corrector(DPMpp2MSDE(0.0)).table(VE_LEVELS)
    assert len(base.stages[2].mix) == 2
    assert torch.allclose(end(table), x, atol=1e-9)


def test_a_corrector_draws_anew_when_its_base_comes_back_to_a_level() -> None:
    table = Corrector(Resample()).table(grid(PROCESSES["vp"](), 160))
    _, variance = moments(table, 0.0, 1.0)
    # the bias of DDPM leaves 0.94; with the same numbers at every visit of a level it is 1.26
    assert variance == pytest.approx(1, abs=0.1)


def test_a_base_that_calls_before_it_arrives_goes_on_from_the_corrected_estimate() -> None:
    # SA-Solver calls at the predicted point; after a corrector its next step must not start from that estimate
    x, found, k = START, [d(START, SIGMAS[0])], 0
    stages = SASolver(0.0, 2, 2).table(VE_LEVELS).stages
    for t, predict, correct in zip(SIGMAS[1:], stages[1::2], stages[2::2], strict=True):
        predicted = predict.keep * x + sum(w * v for w, v in zip(predict.mix, found, strict=False))
        seen = [d(predicted, t), *found]
        x = correct.keep * x + sum(w * v for w, v in zip(correct.mix, seen, strict=False))
        x, k = _corrected(x, t, 0.1, k), k + 1
        found.insert(0, d(x, t))
    assert torch.allclose(end(Corrector(SASolver(0.0, 2, 2)).table(VE_LEVELS)), x, atol=1e-9)


# -- all of them ----------------------------------------------------------------------------------------------------


def test_temperature_scales_the_noise_and_nothing_else() -> None:
    plain, cool = DPMppSDE().table(VE_LEVELS), Tempered(DPMppSDE(), 0.5).table(VE_LEVELS)
    for a, b in zip(plain.stages, cool.stages, strict=True):
        assert (a.keep, a.mix, a.level) == (b.keep, b.mix, b.level)
        assert [weight / 2 for _, weight in a.noise] == [weight for _, weight in b.noise]


@pytest.mark.parametrize("base", ["heun", "dpm++2m", "dpm++sde", "unipc-2", "deis", "lms", "langevin"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_take_any_base_and_each_other(name: str, base: str) -> None:
    solver = choose("solver", SOLVERS, {"name": name, "base": {"name": "corrector", "base": base}})
    assert choose("solver", SOLVERS, described(SOLVERS, solver)) == solver
    table = solver.table(grid(PROCESSES["ve"](), 8))
    points, ids = Mixture.of_data(torch.tensor([[-1.0, 2.0], [1.0, 0.5]])), torch.arange(6)
    calls = 0

    def counting(x, level, cond):  # type: ignore[no-untyped-def]
        nonlocal calls
        calls += 1
        return points(x, level, cond)

    x = normal(3, Stream.START, ids, 0, (2,)) * math.hypot(*table.levels[0])
    states = list(trajectory(counting, x, table, {}, BrownianPath(3, ids, (2,)).noise(table)))
    assert len(states) == len(table.levels)
    assert all(torch.isfinite(state.x).all() for state in states)
    assert calls == table.calls


@pytest.mark.parametrize("process", ["flow", "vp", "ve"])
@pytest.mark.parametrize("name", WRAPPERS)
def test_samples_are_finite_and_bit_equal_alone_or_in_any_order(name: str, process: str) -> None:
    points = Mixture.of_data(torch.tensor([[-1.0, 2.0], [1.0, 0.5]]))
    table = SOLVERS[name]().table(grid(PROCESSES[process](), 10))

    def samples(ids: torch.Tensor) -> torch.Tensor:
        x = normal(3, Stream.START, ids, 0, (2,)) * math.hypot(*table.levels[0])
        return solve(points, x, table, {}, BrownianPath(3, ids, (2,)).noise(table))

    order = torch.tensor([5, 17, 0, 18, 2, 12, 9])
    batch = samples(torch.arange(19))
    assert torch.isfinite(batch).all()
    assert torch.equal(samples(order), batch[order])
    assert torch.equal(samples(torch.tensor([17]))[0], batch[17])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Churn(amount=-1.0), "amount must be"),
        (lambda: Churn(low=2.0, high=1.0), "0 <= low < high"),
        (lambda: Churn(noise=math.nan), "noise must be"),
        (lambda: Restart(intervals=((0.0, 1.0),)), "0 < low < high"),
        (lambda: Restart(repeats=0), "repeats must be"),
        (lambda: Resample(jump=0), "jump must be"),
        (lambda: Langevin(size=2.5), r"must lie in \(0, 2\)"),
        (lambda: Corrector(snr=0.9), r"must lie in \(0, 2\)"),
        (lambda: Tempered(temperature=-0.1), "temperature must be"),
    ],
)
def test_options_out_of_range_are_refused(make: Callable[[], Solver], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()
