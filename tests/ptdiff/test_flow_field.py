"""The probability flow as a vector field: solvers from elsewhere arrive where ours do."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from ptdiff.denoiser.oracle import Gaussian, Mixture
from ptdiff.process import PROCESSES, Level
from ptdiff.solvers import solve
from ptdiff.solvers.flow_field import rates, velocity
from ptdiff.solvers.runge_kutta import RK4

DTYPE = torch.float64
MIXTURE = Mixture(
    torch.tensor([[-1.0, 0.3], [0.8, -0.5], [0.2, 1.1]], dtype=DTYPE),
    torch.tensor([0.3, 0.2, 0.4], dtype=DTYPE),
    torch.tensor([0.3, 0.5, 0.2], dtype=DTYPE),
    torch.tensor([0, 1, 1]),
)
NOISE = torch.randn(5, 2, generator=torch.Generator().manual_seed(0), dtype=DTYPE)


@pytest.mark.parametrize("name", PROCESSES)
def test_scipy_integrates_it_to_the_end_of_our_own_reference(name: str) -> None:
    process = PROCESSES[name]()
    high, low = process.ends[1], max(process.ends[0], math.atan(0.05))
    start, end = process.time(torch.tensor([high, low], dtype=DTYPE)).tolist()
    angles = torch.linspace(high, low, 401, dtype=DTYPE)
    levels = process.level(process.time(angles))
    x = NOISE * levels.scale[0]
    exact = solve(MIXTURE, x, RK4().table(levels))
    field = velocity(MIXTURE, process)

    def func(t: float, flat: np.ndarray) -> np.ndarray:
        return field(t, torch.as_tensor(flat).reshape(5, 2)).flatten().numpy()

    # the log-SNR of a chain has a kink at every one of its steps, where a method of high order has to slow down
    tolerance = 1e-4 if name == "chain" else 1e-8
    found = solve_ivp(func, (start, end), x.flatten().numpy(), rtol=tolerance, atol=tolerance / 10)
    assert np.abs(found.y[:, -1].reshape(5, 2) - exact.numpy()).max() < 100 * tolerance


@pytest.mark.parametrize("name", PROCESSES)
def test_the_derivatives_are_those_of_the_process(name: str) -> None:
    process, step = PROCESSES[name](), 1e-6
    t = torch.tensor([0.2003, 0.51234, 0.9], dtype=DTYPE)
    _, slope = rates(process, t)
    ahead, behind = process.level(t + step), process.level(t - step)
    assert torch.allclose(slope.alpha, (ahead.alpha - behind.alpha) / (2 * step), rtol=1e-5, atol=1e-6)
    assert torch.allclose(slope.sigma, (ahead.sigma - behind.sigma) / (2 * step), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", PROCESSES)
def test_it_is_finite_at_both_ends_in_float32(name: str) -> None:
    field = velocity(Mixture.of_data(MIXTURE.means.float()), PROCESSES[name]())
    for t in (0, 0.0, 1.0, torch.tensor(0.0), torch.tensor([0.0, 1.0, 0.5, 1e-9, 1 - 1e-9])):
        with torch.inference_mode():
            got = field(t, NOISE.float())
        assert bool(torch.isfinite(got).all()) and got.dtype == torch.float32


def test_along_a_gaussian_the_standardized_state_stands_still() -> None:
    # x = alpha mu + std_t z for constant z: dx/dt = alpha' mu + std_t' z
    mu, s, t = 0.3, 0.5, torch.tensor(0.4, dtype=DTYPE)
    process = PROCESSES["vp"]()
    level, slope = rates(process, t)
    std = torch.sqrt(level.alpha**2 * s**2 + level.sigma**2)
    change = (level.alpha * slope.alpha * s**2 + level.sigma * slope.sigma) / std
    oracle = Gaussian(torch.tensor([mu], dtype=DTYPE), torch.tensor([s], dtype=DTYPE))
    got = velocity(oracle, process)(t, level.alpha * mu + std * NOISE)
    assert torch.allclose(got, slope.alpha * mu + change * NOISE, atol=1e-12)


def test_times_of_a_batch_and_conditions_reach_the_denoiser() -> None:
    label = {"label": torch.tensor([0, 1, 0, 1, -1])}
    field = velocity(MIXTURE, PROCESSES["flow"](), label)
    times = torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9], dtype=DTYPE)
    whole = field(times, NOISE)
    for i, t in enumerate(times):
        one = velocity(MIXTURE, PROCESSES["flow"](), {"label": label["label"][i : i + 1]})(t, NOISE[i : i + 1])
        assert torch.equal(one[0], whole[i])
    x0 = MIXTURE(NOISE, Level(1 - times, times), label)
    # the velocity of rectified flow: eps - x_0 = (x - x_0) / t
    assert torch.allclose(whole, (NOISE - x0) / times[:, None], atol=1e-12)
