"""Adaptive solvers: errors follow the tolerance, samples do not know each other, calls are counted, nothing hangs."""

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ptdiff.choices import choose
from ptdiff.denoiser.cost import Counted
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.modality.data import Condition
from ptdiff.process import PROCESSES, Flow, Level
from ptdiff.solvers import ADAPTIVE, Adaptive, State, solve
from ptdiff.solvers.dormand_prince import DORMAND_PRINCE, Dopri5
from ptdiff.solvers.dpm_adaptive import DPMAdaptive
from ptdiff.solvers.runge_kutta import RungeKutta

DTYPE = torch.float64
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
    torch.tensor([0, 1, 1]),
)
X = torch.randn(17, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
VARIANTS = [Dopri5(), Dopri5(chart="flow"), *(DPMAdaptive(degree=d, form=f) for d in (2, 3) for f in ("eps", "x0"))]  # type: ignore[arg-type]


def _angles(steps: int, low: float = 0.05) -> Level:
    """Equal steps of the angle from pure noise."""
    u = torch.linspace(math.pi / 2, math.atan(low), steps + 1, dtype=DTYPE)
    alpha = torch.cos(u)
    alpha[0] = 0
    return Level(alpha, torch.sin(u))


def _with(solver: Adaptive, **options: object) -> Adaptive:
    return type(solver)(**(vars(solver) | options))  # type: ignore[arg-type]


def _end(solver: Adaptive, denoiser: object, x: Tensor, levels: Level, cond: Condition | None = None) -> State:
    *_, last = solver.trajectory(denoiser, x, levels, cond)  # type: ignore[arg-type]
    return last


EXACT = solve(MIXTURE, X, RungeKutta("angle", DORMAND_PRINCE.inner, DORMAND_PRINCE.outer).table(_angles(300)))


@pytest.mark.parametrize("solver", VARIANTS, ids=repr)
def test_the_error_from_pure_noise_falls_with_the_tolerance(solver: Adaptive) -> None:
    tolerances = (1e-3, 1e-4, 1e-5) if solver.order > 2 else (1e-2, 1e-3, 1e-4)
    errors = []
    for tolerance in tolerances:
        end = _end(_with(solver, rtol=tolerance, atol=tolerance), MIXTURE, X, _angles(1)).x
        errors.append(float((end - EXACT).abs().max()))
        assert errors[-1] < 20 * tolerance
    assert errors[2] < 0.15 * errors[0]


@cache
def _reference() -> Tensor:
    u = torch.linspace(1.4, 0.05, 301, dtype=DTYPE)
    method = RungeKutta("flow", DORMAND_PRINCE.inner, DORMAND_PRINCE.outer)
    return solve(MIXTURE, X, method.table(Level(torch.cos(u), torch.sin(u))))


@pytest.mark.parametrize("solver", VARIANTS, ids=repr)
def test_steps_of_one_size_have_the_order_and_their_errors_are_estimated(solver: Adaptive) -> None:
    """The error of n equal steps falls with n^-order, the estimate of one step with the step^order."""
    high, low = solver.position((math.cos(1.4), math.sin(1.4))), solver.position((math.cos(0.05), math.sin(0.05)))
    reference = _reference()

    def estimate(y: Tensor, u: Tensor) -> Tensor:
        level = solver.level(u)
        return MIXTURE(y, level, {})

    errors, estimates = [], []
    for steps in (40, 80):
        y = X
        for u, end in pairwise(torch.linspace(high, low, steps + 1, dtype=DTYPE)):
            at, to = u.expand(len(y)), end.expand(len(y))
            y, error, newest = solver.attempt(estimate, y, estimate(y, at), at, to)
            if newest is not None:
                assert torch.allclose(newest, estimate(y, to), atol=1e-12)
            if float(u) == high:
                estimates.append(float(error.abs().max()))
        errors.append(float((y - reference).abs().max()))
    # the error constants of Dormand and Prince are so small that the next order shows at first
    assert -0.3 < math.log2(errors[0] / errors[1]) - solver.order < 1
    assert math.log2(estimates[0] / estimates[1]) == pytest.approx(solver.order, abs=0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("solver", VARIANTS, ids=repr)
def test_a_sample_is_bit_equal_alone_in_a_batch_and_in_any_order(solver: Adaptive, dtype: torch.dtype) -> None:
    ids, cond = torch.arange(23), {"label": torch.arange(23) % 3 - 1}
    x = torch.randn(23, 7, 2, generator=torch.Generator().manual_seed(1)).to(dtype) * 1.3
    oracle = _Elementwise()
    solver = _with(solver, rtol=1e-3, atol=1e-3)

    def samples(rows: Tensor) -> Tensor:
        return _end(solver, oracle, x[rows], grid(Flow(), 2), {"label": cond["label"][rows]}).x

    batch = samples(ids)
    order = torch.randperm(23, generator=torch.Generator().manual_seed(0))
    assert torch.equal(samples(order), batch[order])
    for row in (0, 7, 22):
        assert torch.equal(samples(torch.tensor([row]))[0], batch[row])
    assert torch.equal(samples(torch.arange(4, 9)), batch[4:9])
    assert not torch.equal(samples(ids), _end(solver, oracle, x, grid(Flow(), 2), {"label": -1 - 0 * ids}).x)


class _Elementwise:
    """A nonlinear denoiser of sums and products only, with the label as a shift; no kernel can round it two ways."""

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        wide = level.like(x)
        spread = wide.alpha * wide.alpha * 0.25 + wide.sigma * wide.sigma
        shift = cond["label"].to(x).reshape(-1, *(1,) * (x.ndim - 1))
        pull = x / (1 + x * x)
        return wide.alpha * 0.25 / spread * (x - wide.alpha * shift) + shift + 0.3 * wide.sigma * pull


def test_an_easy_sample_costs_less_beside_a_hard_one() -> None:
    """Far out one component decides and the flow is linear; between two it bends: calls are each sample's own."""
    oracle = Mixture(
        torch.tensor([[-1.0], [1.0]], dtype=DTYPE),
        torch.full((2,), 0.05, dtype=DTYPE),
        torch.full((2,), 0.5, dtype=DTYPE),
    )
    solver, hard, easy = Dopri5(1e-5, 1e-5), torch.tensor([[1e-3]], dtype=DTYPE), torch.tensor([[1.5]], dtype=DTYPE)

    def cost(x: Tensor) -> tuple[int, Tensor]:
        counted = Counted(oracle)
        return (_end(solver, counted, x, _angles(1)), counted.rows)[1], _end(solver, oracle, x, _angles(1)).x

    (one, a), (two, b), (both, c) = cost(easy), cost(hard), cost(torch.cat([easy, hard]))
    assert one < two
    assert both == one + two
    assert torch.equal(torch.cat([a, b]), c)


class _Recorded:
    """Counts calls and rows of an estimate that is wrong for a while, so that steps are rejected."""

    def __init__(self) -> None:
        self.rows = 0

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        self.rows += len(x)
        return torch.where((level.like(x).sigma < 0.7), 0.9 * torch.sign(x), 0 * x)


@pytest.mark.parametrize(("solver", "whole", "again", "once"), [(Dopri5(), 6, 6, 1), (DPMAdaptive(), 3, 2, 0)])
def test_rejected_attempts_are_counted(solver: Adaptive, whole: int, again: int, once: int) -> None:
    denoiser = _Recorded()
    x = torch.tensor([[1.0, 0.5]], dtype=DTYPE)
    states = list(_with(solver, rtol=1e-4, atol=1e-4).trajectory(denoiser, x, _angles(1, 0.1)))
    between = [state.level for state in states[:-1]]
    # out of pure noise DPM-Solver spends a call before it stands anywhere
    attempts, start = len(between) - 1, int(isinstance(solver, DPMAdaptive))
    rejected = sum(a == b for a, b in pairwise(between[1:])) + int(math.isclose(between[1][0], 0, abs_tol=1e-12))
    assert rejected > 0
    assert denoiser.rows == start + once + (attempts - rejected) * whole + rejected * again


@pytest.mark.parametrize("solver", VARIANTS, ids=repr)
@pytest.mark.parametrize("process", PROCESSES)
def test_the_whole_way_is_finite_in_float32_and_ends_on_the_data(process: str, solver: Adaptive) -> None:
    levels = grid(PROCESSES[process](), 3)
    x = X.float() * float(levels.scale[0])
    states = list(_with(solver, rtol=1e-2, atol=1e-2).trajectory(Mixture.of_data(MIXTURE.means.float()), x, levels))
    assert all(bool(torch.isfinite(state.x).all()) for state in states)
    assert torch.equal(states[0].x, x)
    assert [states[0].level, states[-1].level] == [(float(levels.alpha[i]), float(levels.sigma[i])) for i in (0, -1)]
    # noise falls from state to state: the least advanced sample only advances
    angles = [math.atan2(state.level[1], state.level[0]) for state in states]
    assert all(b <= a + 1e-9 for a, b in pairwise(angles))
    assert float(torch.cdist(states[-1].x, MIXTURE.means.float()).amin(dim=1).max()) < 1e-3


@pytest.mark.parametrize("solver", VARIANTS, ids=repr)
def test_a_noisy_end_is_reached_in_the_scale_of_the_process(solver: Adaptive) -> None:
    oracle = Gaussian(torch.tensor([0.3], dtype=DTYPE), torch.tensor([0.5], dtype=DTYPE))
    levels = Level(torch.tensor([3.0, 2.0], dtype=DTYPE), torch.tensor([6.0, 0.5], dtype=DTYPE))
    x = X * 6
    end = _end(_with(solver, rtol=1e-5, atol=1e-5, limit=5000), oracle, x, levels)
    wide = [math.sqrt(float(a) ** 2 * 0.25 + float(s) ** 2) for a, s in zip(levels.alpha, levels.sigma, strict=True)]
    assert end.level == (2.0, 0.5)
    assert torch.allclose(end.x, 0.6 + (x - 0.9) / wide[0] * wide[1], atol=1e-3)


def test_a_clean_end_from_a_level_that_is_nearly_clean_is_one_step() -> None:
    levels = Level(torch.tensor([1.0, 1.0], dtype=DTYPE), torch.tensor([0.001, 0.0], dtype=DTYPE))
    counted = Counted(MIXTURE)
    end = _end(Dopri5(), counted, X, levels)
    assert counted.rows == len(X)
    assert torch.equal(
        end.x, MIXTURE(X / math.hypot(1, 1e-3), Dopri5().level(torch.full((17,), math.atan(1e-3), dtype=DTYPE)), {})
    )


@pytest.mark.parametrize("solver", VARIANTS, ids=repr)
def test_an_estimate_that_is_not_finite_names_its_sample(solver: Adaptive) -> None:
    def spoiled(x: Tensor, level: Level, cond: Condition) -> Tensor:
        return torch.where((cond["label"] == 5)[:, None] & (level.like(x).sigma < 0.5), torch.nan, 0 * x)

    with pytest.raises(ValueError, match="sample 5 of the batch: the estimate is not finite"):
        _end(solver, spoiled, X, _angles(1), {"label": torch.arange(17)})


@pytest.mark.parametrize("solver", VARIANTS, ids=repr)
def test_a_sample_that_does_not_arrive_is_given_up_by_name(solver: Adaptive) -> None:
    generator = torch.Generator().manual_seed(0)

    def rough(x: Tensor, level: Level, cond: Condition) -> Tensor:
        noise = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        return torch.where((cond["label"] == 3)[:, None], noise, 0 * x)

    with pytest.raises(ValueError, match="sample 3 of the batch is not done after"):
        _end(_with(solver, limit=200, rtol=1e-6, atol=1e-6), rough, X, _angles(1), {"label": torch.arange(17)})


@pytest.mark.parametrize("name", ADAPTIVE)
@pytest.mark.parametrize(
    "options",
    [{"rtol": -1}, {"atol": 0}, {"atol": math.nan}, {"first": 0}, {"limit": 0}, {"pid": [0, 0, 0]}, {"degree": 4}],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        choose("solver", ADAPTIVE, {"name": name, **options})
