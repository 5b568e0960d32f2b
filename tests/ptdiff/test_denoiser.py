"""Denoisers: the four predictions invert each other, forget the process, and have their minimum at the posterior
mean."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.network import PREDICTIONS, NetworkDenoiser, check_prediction
from ptdiff.denoiser.oracle import Gaussian
from ptdiff.process import PROCESSES, Level


class Recording(nn.Module):
    """Returns a fixed y and keeps what it was fed."""

    def __init__(self, y: Tensor | None = None) -> None:
        super().__init__()
        self.y = y

    def forward(self, x: Tensor, angle: Tensor, cond: dict[str, Tensor]) -> Tensor:
        self.x, self.angle = x, angle
        return torch.sin(x) * angle.reshape(-1, 1) if self.y is None else self.y


def _levels(*, with_ends: bool = True) -> Level:
    angle = torch.linspace(0, math.pi / 2, 9, dtype=torch.float64)
    angle = angle if with_ends else angle[1:-1]
    scale = torch.linspace(0.5, 3, len(angle), dtype=torch.float64)
    # sin of the complement: exactly zero signal at the noisy end
    return Level(scale * torch.sin(math.pi / 2 - angle), scale * torch.sin(angle))


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_training_target_gives_back_the_data(prediction: str) -> None:
    level = _levels(with_ends=prediction != "eps")
    n = len(level.alpha)
    x0, eps = torch.randn(2, n, 5, dtype=torch.float64)
    wide = level.like(x0)
    numbers = PREDICTIONS[prediction](wide)
    x = wide.alpha * x0 + wide.sigma * eps
    target = numbers.data * x0 + numbers.noise * eps
    assert torch.allclose(numbers.skip * x + numbers.out * target, x0, atol=1e-12)


@pytest.mark.parametrize("prediction", [p for p in PREDICTIONS if p != "eps"])
def test_nothing_is_nan_at_both_ends_in_float32(prediction: str) -> None:
    for name, process in PROCESSES.items():
        level = process().level(torch.tensor([0.0, 1.0]))
        x = torch.randn(2, 4) * level.like(torch.zeros(2, 4)).scale
        model = NetworkDenoiser(Recording(), prediction)
        assert torch.isfinite(model(x, level, {})).all(), name
        assert torch.isfinite(model.loss(torch.randn(2, 4), torch.randn(2, 4), level, {})).all(), name


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_a_denoiser_does_not_change_when_its_process_is_rescaled(prediction: str) -> None:
    level = _levels(with_ends=False)
    x = torch.randn(len(level.alpha), 5, dtype=torch.float64)
    model = NetworkDenoiser(Recording(), prediction)
    plain = model(x, level, {})
    scaled = model(7.5 * x, Level(7.5 * level.alpha, 7.5 * level.sigma), {})
    assert torch.allclose(plain, scaled, atol=1e-12)


def test_the_network_sees_unit_variance_and_an_angle() -> None:
    net = Recording()
    level = PROCESSES["ve"]().level(torch.full((4000,), 0.9, dtype=torch.float64))
    wide = level.like(torch.zeros(4000, 3))
    x = wide.alpha * torch.randn(4000, 3, dtype=torch.float64) + wide.sigma * torch.randn(4000, 3, dtype=torch.float64)
    NetworkDenoiser(net)(x, level, {})
    assert float(net.x.var()) == pytest.approx(1, abs=0.05)
    assert torch.equal(net.angle, torch.atan2(level.sigma, level.alpha))


@pytest.mark.parametrize("prediction", PREDICTIONS)
def test_the_loss_is_least_at_the_posterior_mean(prediction: str) -> None:
    # for Gaussian data the best y is linear in x: perturbing it in any direction must raise the loss
    generator = torch.Generator().manual_seed(0)
    n = 200_000
    x0 = 0.7 * torch.randn(n, 1, generator=generator, dtype=torch.float64)
    eps = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    angle = torch.tensor(0.8, dtype=torch.float64)
    level = Level(2 * torch.cos(angle).expand(n), 2 * torch.sin(angle).expand(n))
    wide = level.like(x0)
    x = wide.alpha * x0 + wide.sigma * eps
    one = torch.ones(1, dtype=torch.float64)
    best = Gaussian(0 * one, 0.7 * one)(x, level, {})
    numbers = PREDICTIONS[prediction](wide)
    y = (best - numbers.skip * x) / numbers.out

    def loss(shift: float, gain: float) -> float:
        return float(NetworkDenoiser(Recording(y * gain + shift * x), prediction).loss(x0, eps, level, {}).mean())

    least = loss(0, 1)
    for shift, gain in ((0.03, 1), (-0.03, 1), (0, 1.05), (0, 0.95)):
        assert loss(shift, gain) > least


def test_eps_prediction_is_refused_at_pure_noise() -> None:
    with pytest.raises(ValueError, match="eps-prediction cannot start at pure noise"):
        check_prediction("eps", PROCESSES["flow"]().level(torch.ones(1)))
    check_prediction("eps", PROCESSES["vp"]().level(torch.ones(1)))
    check_prediction("velocity", PROCESSES["flow"]().level(torch.ones(1)))


def test_an_unknown_prediction_is_refused() -> None:
    with pytest.raises(ValueError, match="prediction must be one of"):
        NetworkDenoiser(Recording(), "noise")


class Returning(nn.Module):
    """Returns any function of x."""

    def __init__(self, result: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.result = result

    def forward(self, x: Tensor, angle: Tensor, cond: dict[str, Tensor]) -> Any:
        return self.result(x)


@pytest.mark.parametrize(
    ("result", "said"),
    [
        # the first four broadcast to the shape of x
        (lambda x: x[..., :1], "a tensor of shape (5, 3, 1), not the shape of its input, (5, 3, 2)"),
        (lambda x: x[:1], "a tensor of shape (1, 3, 2), not"),
        (lambda x: x[0], "a tensor of shape (3, 2), not"),
        (lambda x: x.sum(), "a tensor of shape (), not"),
        (lambda x: x[None], "a tensor of shape (1, 5, 3, 2), not"),
        (lambda x: (x,), "a tuple, not a tensor of the shape of its input, (5, 3, 2)"),
        (lambda x: None, "a NoneType, not a tensor of"),
    ],
)
def test_a_network_of_the_wrong_shape_is_refused_at_its_first_call(result: Callable[[Tensor], Any], said: str) -> None:
    denoiser, x = NetworkDenoiser(Returning(result)), torch.randn(5, 3, 2)
    level = PROCESSES["flow"]().level(torch.full((5,), 0.5))
    calls = [
        lambda: denoiser(x, level, {}),
        lambda: denoiser.raw(x, level, {}),
        lambda: denoiser.loss(x, x, level, {}),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="the network Returning returned") as caught:
            call()
        assert said in str(caught.value)
