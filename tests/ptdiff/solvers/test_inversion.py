"""Inversion: encode, then decode, returns the data with the order of the solver; what has no inverse is refused."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.cost import Counted, planned
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.grid import grid
from ptdiff.process import PROCESSES, Flow, Level
from ptdiff.solvers import SOLVERS, Solver, solve
from ptdiff.solvers.dormand_prince import Dopri5
from ptdiff.solvers.dpm_adaptive import DPMAdaptive
from ptdiff.solvers.exponential import DDIM
from ptdiff.solvers.inversion import Exchanged, inversion, invert, invert_exactly, is_one_step, rising, slerp
from ptdiff.solvers.runge_kutta import RK4, Euler, Heun, Kutta3, Midpoint

DTYPE = torch.float64
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
GAUSSIAN = Gaussian(torch.tensor([0.3, -0.2], dtype=DTYPE), torch.tensor([0.5, 1.3], dtype=DTYPE))
DATA = MIXTURE.sample(0, torch.arange(16))


def _levels(steps: int, noisiest: float = 20.0) -> Level:
    """Equal steps of the angle from rho = noisiest to 0.05, neither end included in what is singular."""
    u = torch.linspace(math.atan(noisiest), math.atan(0.05), steps + 1, dtype=DTYPE)
    return Level(torch.cos(u), torch.sin(u))


@cache
def _deterministic() -> list[str]:
    return [name for name, cls in SOLVERS.items() if not cls().table(_levels(3)).stochastic]


def _round_trip(solver: Solver, steps: int) -> float:
    levels = _levels(steps)
    noise = invert(MIXTURE, DATA, solver, levels)
    return float((solve(MIXTURE, noise, solver.table(levels)) - DATA).abs().max())


# a method of even order and its inverse cancel the leading term of each other's errors
@pytest.mark.parametrize(
    ("solver", "order"),
    [(DDIM(), 1), (Euler(), 1), (Midpoint(), 3), (Heun(), 3), (Heun("flow"), 3), (Kutta3(), 3), (RK4(), 5)],
    ids=repr,
)
def test_the_round_trip_has_the_order_of_the_method(solver: Solver, order: int) -> None:
    assert math.log2(_round_trip(solver, 40) / _round_trip(solver, 80)) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize("name", _deterministic())
def test_every_deterministic_solver_of_the_catalog_inverts(name: str) -> None:
    solver = SOLVERS[name]()
    coarse, fine = _round_trip(solver, 20), _round_trip(solver, 80)
    assert fine < (0.06 if solver.order == 1 else 0.004)
    assert math.log2(coarse / fine) > 1.7 * min(solver.order, 2) - 0.3


@pytest.mark.parametrize("solver", [Heun(), DDIM(), SOLVERS["dpm++2m"](), Dopri5(1e-7, 1e-7)], ids=repr)
def test_the_noise_of_a_gaussian_is_its_standardized_data(solver: Solver) -> None:
    levels, x0 = _levels(200), GAUSSIAN.sample(1, torch.arange(16)).to(DTYPE)

    def standard(i: int) -> tuple[Tensor, Tensor]:
        alpha, sigma = levels.alpha[i], levels.sigma[i]
        return alpha * GAUSSIAN.mean, torch.sqrt(alpha**2 * GAUSSIAN.std**2 + sigma**2)

    (mean, std), (end_mean, end_std) = standard(-1), standard(0)
    exact = end_mean + (x0 - mean) / std * end_std
    error = float((invert(GAUSSIAN, x0, solver, levels) - exact).abs().max())
    assert error < (0.05 if getattr(solver, "order", 1) == 1 else 5e-4)


def test_it_is_ddim_inversion() -> None:
    """x_{t+1} = sqrt(abar_{t+1}) x_0 + sqrt(1 - abar_{t+1}) eps (Song et al. 2021, eq. 13 with the signs of time)."""
    levels = _levels(6)
    x = DATA
    for k in range(6, 0, -1):
        a, s, to_a, to_s = levels.alpha[k], levels.sigma[k], levels.alpha[k - 1], levels.sigma[k - 1]
        d = MIXTURE(x, Level(a, s), {})
        x = to_a * d + to_s * (x - a * d) / s
    assert torch.allclose(invert(MIXTURE, DATA, DDIM(), levels), x, atol=1e-12)


@pytest.mark.parametrize("solver", [Heun(), SOLVERS["dpm++2m"](), Dopri5(), DPMAdaptive()], ids=repr)
@pytest.mark.parametrize("process", PROCESSES)
def test_noise_of_every_process_is_finite_in_float32_and_as_wide_as_noise(process: str, solver: Solver) -> None:
    # the sigmas of the mixture make its variance about one in each element
    levels = grid(PROCESSES[process](), 60, "karras")
    data = MIXTURE.sample(2, torch.arange(256)).float()
    noise = invert(MIXTURE, data, solver, levels) / levels.scale[0]
    assert noise.dtype == torch.float32 and bool(torch.isfinite(noise).all())
    assert float(noise.mean().abs()) < 0.15
    assert float(noise.std()) == pytest.approx(1, abs=0.1)


def test_the_states_of_an_inversion_tell_the_real_levels_and_the_noise() -> None:
    levels = grid(Flow(), 8)
    states = list(inversion(MIXTURE, DATA, Heun(), levels))
    assert [state.level for state in states] == list(
        zip(levels.alpha[:-1].flip(0).tolist(), levels.sigma[:-1].flip(0).tolist(), strict=True)
    )
    assert torch.equal(states[0].x, DATA * levels.alpha[-2])
    assert states[-1].level == (0, 1)
    assert torch.equal(states[-1].x, states[-1].x0)  # type: ignore[arg-type]


def test_its_calls_are_counted_before_and_while_it_runs() -> None:
    class Twice:
        def __call__(self, x: Tensor, level: Level, cond: object, /) -> Tensor:
            return MIXTURE(x, level, {})

        def calls_at(self, level: tuple[float, float]) -> int:
            return 2 if level[1] > 0.5 else 1

    levels, counted = _levels(10), Counted(MIXTURE)
    called = Heun().table(rising(levels)).called
    invert(counted, DATA, Heun(), levels)
    assert counted.rows == len(called) * len(DATA)
    high = sum(sigma > 0.5 for _, sigma in ((a, s) for s, a in called))
    assert planned(Exchanged(Twice()), called) == len(called) + high


@pytest.mark.parametrize("solver", [Heun(), DDIM(), RK4("flow"), SOLVERS["dpm-solver-2s"]()], ids=repr)
@pytest.mark.parametrize("process", ["flow", "vp", "ve"])
def test_an_exact_inverse_is_exact_clean_end_included(process: str, solver: Solver) -> None:
    levels = grid(PROCESSES[process](), 20)
    noise = invert_exactly(MIXTURE, DATA, solver, levels, tolerance=1e-10)
    assert torch.allclose(solve(MIXTURE, noise, solver.table(levels)), DATA, atol=1e-8)
    plain = invert(MIXTURE, DATA, solver, levels)
    assert float((solve(MIXTURE, plain, solver.table(levels)) - DATA).abs().max()) > 1e-4


def test_an_exact_inverse_of_a_sample_does_not_depend_on_its_neighbors() -> None:
    levels, data = grid(Flow(), 12), DATA[:, :1]
    oracle = Gaussian(torch.tensor([0.3], dtype=DTYPE), torch.tensor([0.6], dtype=DTYPE))
    data = torch.cat([data, 0.3 + 0 * data[:1]])
    batch = invert_exactly(oracle, data, Heun(), levels)
    for i in (0, 3, 16):
        assert torch.equal(invert_exactly(oracle, data[i : i + 1], Heun(), levels)[0], batch[i])


def test_what_looks_back_is_told_from_what_does_not() -> None:
    levels = grid(Flow(), 6)
    assert is_one_step(Heun(), levels) and is_one_step(DDIM(), levels)
    assert not is_one_step(SOLVERS["dpm++2m"](), levels)


def test_what_has_no_inverse_is_refused() -> None:
    levels = grid(Flow(), 6)
    for call in (invert, invert_exactly):
        with pytest.raises(ValueError, match="adds noise has no inverse"):
            call(MIXTURE, DATA, SOLVERS["ddpm"](), levels)
    with pytest.raises(ValueError, match="only a one-step solver"):
        invert_exactly(MIXTURE, DATA, SOLVERS["dpm++2m"](), levels)
    # points have no density: all noise ends in one of them, and nothing ends between
    with pytest.raises(ValueError, match="has no inverse after 20 iterations"):
        invert_exactly(Mixture.of_data(MIXTURE.means), DATA, Heun(), levels, limit=20)


def test_slerp_keeps_noise_as_wide_as_noise_is_and_turns_evenly() -> None:
    start, end = torch.randn(2, 64, 100, 3, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    for weight in (0.25, 0.5):
        found = slerp(start, end, weight)
        assert float(found.std()) == pytest.approx(1, abs=0.01)
        # the straight line between is not noise
        assert float((start * (1 - weight) + end * weight).std()) < 0.85
    x, y = torch.tensor([[3.0, 0.0]], dtype=DTYPE), torch.tensor([[0.0, 5.0]], dtype=DTYPE)
    third = slerp(x, y, 1 / 3)
    assert torch.allclose(third, torch.tensor([[math.cos(math.pi / 6), math.sin(math.pi / 6)]], dtype=DTYPE) * 11 / 3)


def test_slerp_hits_its_ends_and_takes_a_weight_per_sample() -> None:
    start, end = torch.randn(2, 3, 4, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    found = slerp(start, end, torch.tensor([0.0, 1.0, 0.3]))
    assert torch.allclose(found[0], start[0]) and torch.allclose(found[1], end[1])
    assert torch.equal(found[2:], slerp(start[2:], end[2:], torch.tensor([0.3])))
    same = slerp(start, start, 0.4)
    assert torch.allclose(same, start)
    near = slerp(start.float(), (start * (1 + 1e-9)).float(), 0.5)
    assert bool(torch.isfinite(near).all())


def test_noise_between_two_inverted_data_decodes_to_data() -> None:
    levels = grid(Flow(), 40)
    noise = invert(MIXTURE, DATA, Heun(), levels)
    found = solve(
        MIXTURE, slerp(noise[:1].expand(9, 2), noise[1:2].expand(9, 2), torch.linspace(0, 1, 9)), Heun().table(levels)
    )
    assert float((found[[0, -1]] - DATA[:2]).abs().max()) < 0.05
    assert bool((MIXTURE.log_prob(found) > -6).all())
