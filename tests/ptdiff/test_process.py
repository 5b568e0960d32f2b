"""Processes: end points, monotone noise, derived times."""

import math

import pytest
import torch

from ptdiff.process import PROCESSES, VE, Level, Process, VPLinear

ALL = [pytest.param(cls(), id=name) for name, cls in PROCESSES.items()]


@pytest.mark.parametrize("process", ALL)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_levels_are_finite_at_both_ends(process: Process, dtype: torch.dtype) -> None:
    level = process.level(torch.tensor([0.0, 1.0], dtype=dtype))
    for value in (level.alpha, level.sigma, level.angle, level.scale):
        assert torch.isfinite(value).all()
        assert (value >= 0).all()
    assert float(level.angle[1]) <= float(torch.tensor(math.pi / 2, dtype=dtype))


@pytest.mark.parametrize("process", ALL)
def test_noise_grows_with_time(process: Process) -> None:
    angle = process.level(torch.linspace(0, 1, 1001, dtype=torch.float64)).angle
    assert (angle.diff() > 0).all()


@pytest.mark.parametrize("process", ALL)
def test_time_inverts_the_angle(process: Process) -> None:
    t = torch.linspace(0.01, 0.99, 57, dtype=torch.float64)
    assert torch.allclose(process.time(process.level(t).angle), t, atol=1e-9)


@pytest.mark.parametrize("name", ["vp", "vp-cosine"])
def test_variance_is_preserved(name: str) -> None:
    level = PROCESSES[name]().level(torch.linspace(0, 1, 101, dtype=torch.float64))
    assert torch.allclose(level.scale, torch.ones(101, dtype=torch.float64), atol=1e-14)


def test_vp_linear_is_the_integral_of_beta() -> None:
    process = VPLinear(0.1, 20.0)
    t = torch.linspace(0, 1, 100_001, dtype=torch.float64)
    beta = 0.1 + (20.0 - 0.1) * t
    integral = torch.cumulative_trapezoid(beta, t)
    assert torch.allclose(process.alpha(t[1:]), torch.exp(-0.5 * integral), rtol=1e-9)


def test_vp_linear_keeps_the_digits_of_small_sigma_in_float32() -> None:
    t = torch.tensor([1e-6])
    exact = VPLinear().sigma(t.double())
    assert torch.allclose(VPLinear().sigma(t).double(), exact, rtol=1e-6)


def test_vp_cosine_reaches_pure_noise_and_clean_data_exactly() -> None:
    level = PROCESSES["vp-cosine"]().level(torch.tensor([0.0, 1.0]))
    assert level.alpha.tolist() == [1.0, 0.0]
    assert level.sigma.tolist() == [0.0, 1.0]


def test_ve_spaces_the_root_of_sigma_evenly() -> None:
    process = VE(0.01, 50.0, rho=5.0)
    root = process.sigma(torch.linspace(0, 1, 11, dtype=torch.float64)) ** (1 / 5)
    assert torch.allclose(root.diff(), root.diff()[0].expand(10))
    assert process.sigma(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist() == pytest.approx([0.01, 50.0])


@pytest.mark.parametrize("options", [{"sigma_min": 0}, {"sigma_max": -1}, {"rho": float("nan")}, {"sigma_min": 90}])
def test_ve_refuses_senseless_ranges(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"sigma|rho"):
        VE(**options)


def test_a_level_broadcasts_against_a_batch() -> None:
    level = Level(torch.tensor([1.0, 0.5]), torch.tensor([0.0, 0.5]))
    assert level.like(torch.zeros(2, 7, 3)).alpha.shape == (2, 1, 1)
    scalar = Level(torch.tensor(1.0), torch.tensor(0.0))
    assert scalar.like(torch.zeros(2, 7, 3)).alpha.shape == ()
