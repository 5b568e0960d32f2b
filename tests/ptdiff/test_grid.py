"""Grids: they start at noise, end clean, and are spaced as they say."""

import pytest
import torch

from ptdiff.grid import RATIO_MAX, RATIO_MIN, SPACINGS, grid
from ptdiff.process import PROCESSES, VE, Flow

EACH = [(p, s) for p in PROCESSES for s in SPACINGS]


@pytest.mark.parametrize(("process", "spacing"), EACH)
@pytest.mark.parametrize("steps", [1, 2, 3, 20])
def test_a_grid_falls_strictly_from_noise_to_the_clean_level(process: str, spacing: str, steps: int) -> None:
    level = grid(PROCESSES[process](), steps, spacing)
    assert level.alpha.shape == level.sigma.shape == (steps + 1,)
    assert level.sigma.dtype == torch.float64
    assert (level.angle.diff() < 0).all()
    assert float(level.sigma[-1]) == 0
    assert (level.sigma[:-1] > 0).all()


@pytest.mark.parametrize("process", PROCESSES)
def test_uniform_and_quadratic_grids_start_at_time_one(process: str) -> None:
    end = PROCESSES[process]().level(torch.ones(1, dtype=torch.float64))
    for spacing in ("uniform", "quadratic"):
        level = grid(PROCESSES[process](), 7, spacing)
        assert float(level.angle[0]) == float(end.angle[0])


def test_the_ve_grid_is_the_schedule_of_edm() -> None:
    n, low, high, rho = 18, 0.002, 80.0, 7
    i = torch.arange(n, dtype=torch.float64)
    edm = (high ** (1 / rho) + i / (n - 1) * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    for spacing in ("uniform", "karras"):
        sigma = grid(VE(low, high, rho), n, spacing).sigma
        assert torch.allclose(sigma[:-1], edm, rtol=1e-9)
        assert float(sigma[-1]) == 0


@pytest.mark.parametrize("process", PROCESSES)
def test_log_snr_grids_have_equal_steps_of_log_snr(process: str) -> None:
    level = grid(PROCESSES[process](), 12, "log-snr")
    steps = torch.log(level.sigma[:-1] / level.alpha[:-1]).diff()
    assert torch.allclose(steps, steps[0].expand_as(steps), rtol=1e-6)


def test_ratios_are_kept_inside_the_useful_range() -> None:
    level = grid(Flow(), 12, "karras")
    ratio = level.sigma[:-1] / level.alpha[:-1]
    assert float(ratio[0]) == pytest.approx(RATIO_MAX)
    assert float(ratio[-1]) == pytest.approx(RATIO_MIN)


def test_a_grid_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one step"):
        grid(Flow(), 0)
