"""Every solver reaches its declared order on an exact denoiser."""

import math
from functools import cache

import pytest
import torch
from scipy.integrate import solve_ivp

from ptdiff.denoiser.network import Denoiser
from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.process import PROCESSES, Level, Process
from ptdiff.solvers import SOLVERS, Solver, solve
from ptdiff.solvers.exponential import DDIM

DTYPE = torch.float64
GAUSSIAN = Gaussian(torch.tensor([0.3, -0.2], dtype=DTYPE), torch.tensor([0.5, 1.3], dtype=DTYPE))
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
)
HIGH, LOW = 5.0, 0.1
"""sigma / alpha at both ends: away from the singular ones."""
FIRST = {1: 40, 2: 80, 3: 80, 4: 40}
MOST = 5120


def _levels(process: Process, steps: int) -> Level:
    """Equal steps of the process's own time."""
    ends = process.time(torch.atan(torch.tensor([HIGH, LOW], dtype=DTYPE)))
    return process.level(torch.linspace(float(ends[0]), float(ends[1]), steps + 1, dtype=DTYPE))


def _start() -> torch.Tensor:
    """y = x / alpha at the first level, the same under every process."""
    z = torch.randn(9, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)
    return z * math.hypot(1, HIGH)


@cache
def _exact(data: str) -> torch.Tensor:
    """y at the last level: in closed form for the Gaussian, else to 1e-12 by a method that shares nothing with ours."""
    y = _start()
    if data == "gaussian":
        # the standardized state does not change along the flow
        spread = [torch.sqrt(GAUSSIAN.std**2 + rho**2) for rho in (HIGH, LOW)]
        return GAUSSIAN.mean + (y - GAUSSIAN.mean) / spread[0] * spread[1]

    def slope(u, flat):  # type: ignore[no-untyped-def]
        # dy/du = y - D with u = log(sigma / alpha)
        now = torch.from_numpy(flat).reshape(y.shape)
        level = Level(torch.ones((), dtype=DTYPE), torch.tensor(math.exp(u), dtype=DTYPE))
        return (now - MIXTURE(now, level, {})).flatten().numpy()

    found = solve_ivp(
        slope, (math.log(HIGH), math.log(LOW)), y.flatten().numpy(), method="DOP853", rtol=1e-13, atol=1e-14
    )
    return torch.from_numpy(found.y[:, -1].copy()).reshape(y.shape)


def _error(solver: Solver, process: Process, data: str, steps: int) -> float:
    levels = _levels(process, steps)
    oracle: Denoiser = GAUSSIAN if data == "gaussian" else MIXTURE
    end = solve(oracle, _start() * levels.alpha[0], solver.table(levels)) / levels.alpha[-1]
    return float((end - _exact(data)).square().mean().sqrt())


def _certify(solver: Solver, process: Process, data: str) -> None:
    """A slope within 0.15 below the declared order, and on the mixture within 0.3 above, after one that was near.

    One slope alone may lie in the band by passing through it on the way down to a lower order.
    """
    n, slopes = FIRST[solver.order], list[float]()
    coarse = _error(solver, process, data, n)
    while n < MOST:
        n *= 2
        fine = _error(solver, process, data, n)
        if fine < (1e-13 if data == "gaussian" else 3e-12):
            break  # rounding, or the reference's own error
        slopes.append(math.log2(coarse / fine))
        coarse = fine
        # on Gaussians some methods are better than they declare: D is linear in x
        high = solver.order + 0.3 if data == "mixture" else math.inf
        near = len(slopes) > 1 and slopes[-2] > solver.order - 0.3 and max(slopes[-2:]) < high
        if near and slopes[-1] > solver.order - 0.15:
            return
    pytest.fail(f"{solver} declares order {solver.order}, its slopes are {slopes}")


DETERMINISTIC: list[Solver] = [
    cls() for cls in SOLVERS.values() if not cls().table(_levels(PROCESSES["vp"](), 3)).stochastic
]


@pytest.mark.parametrize("solver", DETERMINISTIC, ids=repr)
def test_the_error_falls_with_the_declared_order(solver: Solver) -> None:
    # each under another process; 'ptdiff certify' takes all of them, and all options
    names = list(PROCESSES)
    _certify(solver, PROCESSES[names[DETERMINISTIC.index(solver) % len(names)]](), "mixture")


def test_a_solver_that_declares_too_much_is_found_out() -> None:
    class Boastful(DDIM):
        order = 2  # type: ignore[assignment]

    with pytest.raises(pytest.fail.Exception, match="declares order 2"):
        _certify(Boastful(), PROCESSES["flow"](), "mixture")


def _moments(levels: Level, eta: float) -> tuple[float, float]:
    """Mean and variance at the end of DDIM's table on a 1-D Gaussian, propagated exactly: the table is linear."""
    mu, s2 = 0.3, 0.25
    table = DDIM(eta).table(levels)
    alpha, sigma = table.levels[0]
    mean, variance = alpha * mu, alpha**2 * s2 + sigma**2
    gain = bias = 0.0
    for stage in table.stages:
        if stage.mix:
            factor, constant = stage.keep + stage.mix[0] * gain, stage.mix[0] * bias
            mean, variance = (
                factor * mean + constant,
                factor**2 * variance + sum(weight**2 for _, weight in stage.noise),
            )
        if stage.level is not None:
            a, b = stage.level
            # D(x) = gain x + bias
            gain = a * s2 / (a**2 * s2 + b**2)
            bias = mu - gain * a * mu
    return mean, variance


@pytest.mark.parametrize("eta", [0.3, 1.0])
@pytest.mark.parametrize("name", PROCESSES)
def test_stochastic_ddim_has_weak_order_one_by_exact_moments(eta: float, name: str) -> None:
    process = PROCESSES[name]()
    errors = []
    for n in (80, 160, 320):
        levels = _levels(process, n)
        a, b = float(levels.alpha[-1]), float(levels.sigma[-1])
        mean, variance = _moments(levels, eta)
        assert mean == pytest.approx(a * 0.3, abs=0.02 * a)
        errors.append(abs(variance - (a * a * 0.25 + b * b)))
    assert math.log2(errors[1] / errors[2]) == pytest.approx(1, abs=0.15)
