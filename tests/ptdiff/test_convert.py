"""Conversions between targets: round trips at every level, the two ends, and what a target does not determine."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ptdiff.denoiser.convert import TARGETS, convert
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.oracle import Gaussian
from ptdiff.process import PROCESSES, Level

X0, EPS = torch.randn(2, 64, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def truth(level: Level, dtype: torch.dtype = torch.float64) -> tuple[Tensor, dict[str, Tensor]]:
    """x and every target at 64 levels, made in float64."""
    wide = level.like(X0)
    values = {
        "x0": X0,
        "eps": EPS,
        "velocity": (wide.alpha * EPS - wide.sigma * X0) / wide.scale,
        "flow": EPS - X0,
        "score": -EPS / wide.sigma,
    }
    return (wide.alpha * X0 + wide.sigma * EPS).to(dtype), {name: value.to(dtype) for name, value in values.items()}


def levels_of(process: str) -> Level:
    return PROCESSES[process]().level(torch.linspace(0.02, 0.98, 64, dtype=torch.float64))


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("source", TARGETS)
@pytest.mark.parametrize("target", TARGETS)
def test_every_target_becomes_every_other_and_back(process: str, source: str, target: str) -> None:
    level = levels_of(process)
    x, values = truth(level)
    there = convert(values[source], x, level, source, target)
    back = convert(there, x, level, target, source)
    # what is divided by the smaller of signal and noise loses its digits; nothing else does
    size = 1e-14 / (torch.minimum(level.alpha, level.sigma) / level.scale).reshape(-1, 1, 1).square()
    for found, true in ((there, values[target]), (back, values[source])):
        scale = true.abs().amax(dim=(1, 2), keepdim=True)
        assert bool(((found - true).abs() <= size * scale).all())


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("source", ["velocity", "flow"])
@pytest.mark.parametrize("target", TARGETS)
def test_velocity_and_flow_lose_no_digit_in_float32_at_any_level(process: str, source: str, target: str) -> None:
    level = PROCESSES[process]().level(
        torch.cat([10.0 ** -torch.arange(1.0, 33), 1 - 10.0 ** -torch.arange(1.0, 33) / 2])
        .double()
        .clamp(1e-7, 1 - 1e-7)
    )
    x, values = truth(level, torch.float32)
    single = Level(level.alpha.float(), level.sigma.float())
    found = convert(values[source], x, single, source, target)
    scale = values[target].abs().amax(dim=(1, 2), keepdim=True)
    assert float(((found - values[target]) / scale).abs().max()) < 2e-6


def test_a_denoiser_becomes_the_score_of_its_density() -> None:
    zero, level = torch.zeros(3, 2, dtype=torch.float64), levels_of("vp")
    x, _ = truth(level)
    mean = Gaussian(zero + 0.5, zero + 0.7)(x, level, {})
    wide = level.like(x)
    exact = -(x - wide.alpha * 0.5) / (wide.alpha.square() * 0.49 + wide.sigma.square())
    torch.testing.assert_close(convert(mean, x, level, "x0", "score"), exact, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("prediction", ["velocity", "flow", "x0", "eps"])
def test_a_networks_output_converts_to_what_the_denoiser_says(prediction: str) -> None:
    level = levels_of("flow")
    x, _ = truth(level)
    model = NetworkDenoiser(torch.nn.Module(), prediction)
    model.raw = lambda x, level, cond: torch.sin(x)  # type: ignore[method-assign]
    torch.testing.assert_close(
        convert(torch.sin(x), x, level, prediction, "x0"), model(x, level, {}), rtol=1e-10, atol=0
    )


def test_conversions_are_finite_at_the_ends_where_they_are_determined() -> None:
    one, nothing = torch.ones((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    clean, pure = Level(one, nothing), Level(nothing, one)
    for source, target in (("velocity", "x0"), ("velocity", "eps"), ("flow", "eps"), ("eps", "x0"), ("eps", "flow")):
        x, values = truth(clean)
        torch.testing.assert_close(convert(values[source], x, clean, source, target), values[target])
    for source, target in (("velocity", "x0"), ("flow", "score"), ("x0", "eps"), ("x0", "flow"), ("score", "eps")):
        x, values = truth(pure)
        torch.testing.assert_close(convert(values[source], x, pure, source, target), values[target])


@pytest.mark.parametrize(
    ("source", "target", "angle", "message"),
    [
        ("eps", "x0", math.pi / 2, r"eps does not determine x0 at a level without signal"),
        ("score", "flow", math.pi / 2, r"eps does not determine flow at a level without signal"),
        ("x0", "eps", 0.0, r"x0 does not determine eps at a level without noise"),
        ("x0", "velocity", 0.0, r"x0 does not determine velocity at a level without noise"),
        ("x0", "score", 0.0, r"score is not defined without noise"),
        ("score", "x0", 0.0, r"score is not defined without noise"),
        ("score", "score", 0.0, r"score is not defined without noise"),
        ("v", "x0", 1.0, r"unknown target 'v'"),
        ("x0", "epsilon", 1.0, r"did you mean 'eps'"),
    ],
)
def test_what_is_not_determined_is_refused(source: str, target: str, angle: float, message: str) -> None:
    # one bad level among good ones is enough
    angles = torch.tensor([0.3, angle], dtype=torch.float64)
    level = Level(torch.where(angles > 1.57, 0, torch.cos(angles)), torch.sin(angles))
    with pytest.raises(ValueError, match=message):
        convert(torch.ones(2, 1), torch.ones(2, 1), level, source, target)
