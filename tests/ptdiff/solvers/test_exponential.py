"""DDIM and DDPM: the steps of the papers, and the variances of the ancestral sampler."""

import math

import pytest
import torch

from ptdiff.grid import grid
from ptdiff.process import Flow, Level, VPLinear
from ptdiff.solvers.exponential import DDIM, DDPM

BETAS = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
BARS = torch.cumprod(1 - BETAS, 0)


def _chain(*indices: int) -> Level:
    bars = BARS[list(indices)]
    return Level(bars.sqrt(), (1 - bars).sqrt())


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_ddim_is_equation_12_with_the_sigma_of_equation_16(eta: float) -> None:
    t, s = 700, 550
    stage = DDIM(eta).table(_chain(t, s, 0)).stages[1]
    std = eta * math.sqrt((1 - BARS[s]) / (1 - BARS[t])) * math.sqrt(1 - BARS[t] / BARS[s])
    direction = math.sqrt(1 - BARS[s] - std**2)
    # x_s = sqrt(bar_s) x_0 + direction eps + std z, eps = (x_t - sqrt(bar_t) x_0) / sqrt(1 - bar_t)
    assert stage.keep == pytest.approx(direction / math.sqrt(1 - BARS[t]), rel=1e-12)
    assert stage.mix[0] == pytest.approx(math.sqrt(BARS[s]) - stage.keep * math.sqrt(BARS[t]), rel=1e-12)
    assert sum(weight for _, weight in stage.noise) == pytest.approx(std, rel=1e-9)


@pytest.mark.parametrize("variance", ["lower", "upper"])
def test_the_ancestral_step_has_the_mean_and_the_variances_of_ddpm(variance: str) -> None:
    t, s = 600, 599
    stage = DDPM(variance).table(_chain(t, s, 0)).stages[1]  # type: ignore[arg-type]
    # Ho et al. 2020, eq. 7 and section 3.2
    assert stage.keep == pytest.approx(float((1 - BETAS[t]).sqrt() * (1 - BARS[s]) / (1 - BARS[t])), rel=1e-9)
    assert stage.mix[0] == pytest.approx(float(BARS[s].sqrt() * BETAS[t] / (1 - BARS[t])), rel=1e-9)
    expected = BETAS[t] if variance == "upper" else BETAS[t] * (1 - BARS[s]) / (1 - BARS[t])
    assert stage.noise[0][1] ** 2 == pytest.approx(float(expected), rel=1e-9)


def test_the_upper_variance_does_not_depend_on_the_scale_of_the_process() -> None:
    levels = VPLinear().level(torch.tensor([0.9, 0.5, 0.2], dtype=torch.float64))
    scaled = Level(3 * levels.alpha, 3 * levels.sigma)
    for a, b in zip(DDPM("upper").table(levels).stages[1:], DDPM("upper").table(scaled).stages[1:], strict=True):
        assert b.noise[0][1] == pytest.approx(3 * a.noise[0][1], rel=1e-12)


def test_the_upper_variance_is_finite_out_of_pure_noise_and_absent_in_clean_data() -> None:
    stages = DDPM("upper").table(grid(Flow(), 4)).stages
    # after the first step x is independent of the noise before it: var x_t = r^2 for unit data
    assert stages[1].noise[0][1] == pytest.approx(math.hypot(0.25, 0.75), rel=1e-12)
    assert stages[-1].noise == ()


def test_scale_and_decay_multiply_the_standard_deviation() -> None:
    levels = grid(Flow(), 5)
    plain = [stage.noise[0][1] for stage in DDPM().table(levels).stages[2:-1]]
    for decay, fade in (
        ("none", lambda u: 1.0),
        ("exponential", lambda u: math.exp(-5 * (1 - u))),
        ("sigmoid", lambda u: 1 / (1 + math.exp(-10 * (u - 0.5)))),
    ):
        stages = DDPM(scale=0.7, decay=decay).table(levels).stages[2:-1]  # type: ignore[arg-type]
        for k, (stage, std) in enumerate(zip(stages, plain, strict=True)):
            assert stage.noise[0][1] == pytest.approx(0.7 * fade((4 - k) / 5) * std, rel=1e-12)


def test_a_changed_variance_is_declared_to_miss_the_data() -> None:
    assert DDPM().order == DDPM("upper").order == 1
    assert DDPM(scale=0.5).order == DDPM(decay="sigmoid").order == 0


def test_without_noise_ddpm_is_not_the_flow_but_the_mean() -> None:
    levels = grid(Flow(), 3)
    assert not DDPM(scale=0).table(levels).stochastic
    assert DDPM(scale=0).table(levels).stages[2].keep != pytest.approx(DDIM().table(levels).stages[2].keep)


def test_a_negative_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="scale must be finite and at least 0"):
        DDPM(scale=-1)
