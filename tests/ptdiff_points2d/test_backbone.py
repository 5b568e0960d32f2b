"""The perceptron: what it may depend on, and that it learns what can be computed."""

import math

import pytest
import torch

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.modality.data import Data
from ptdiff.process import Level, VPCosine
from ptdiff_points2d import Points2D
from ptdiff_points2d.backbone import ResidualMLP


def awake(net: torch.nn.Module) -> torch.nn.Module:
    """The same network with its zeros replaced: at the start the output hides everything before it."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return net


def inputs(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, 2, generator=generator), torch.linspace(0, math.pi / 2, count)


def test_the_first_prediction_is_zero_and_has_the_shape_of_the_input() -> None:
    x, angle = inputs()
    assert torch.equal(ResidualMLP(2, 32, 2)(x, angle, {}), torch.zeros_like(x))


@pytest.mark.parametrize("classes", [0, 3])
def test_gradients_reach_every_parameter(classes: int) -> None:
    net = awake(ResidualMLP(2, 32, 3, classes))
    x, angle = inputs()
    label = {"label": torch.tensor([-1, 0, 1, 2, 0, 1])} if classes else {}
    net(x, angle, label).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.flatten(1).any(dim=1).all() if parameter.ndim > 1 else parameter.grad.any(), name


def test_a_label_of_minus_one_is_no_label() -> None:
    net = awake(ResidualMLP(2, 32, 2, 3))
    x, angle = inputs()
    none = net(x, angle, {})
    assert torch.equal(none, net(x, angle, {"label": torch.full((6,), -1)}))
    assert not torch.allclose(none, net(x, angle, {"label": torch.zeros(6, dtype=torch.int64)}))


def test_rows_do_not_see_each_other_and_all_see_their_level() -> None:
    net = awake(ResidualMLP(2, 32, 2))
    x, angle = inputs()
    y = net(x, angle, {})
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    assert torch.allclose(net(x[order], angle[order], {}), y[order], atol=1e-6)
    assert torch.allclose(net(x[2:3], angle[2:3], {}), y[2:3], atol=1e-6)
    assert not torch.allclose(net(x, angle.flip(0), {}), y, atol=1e-3)


def test_the_options_size_the_network() -> None:
    data = Data(shape=(2,), classes=("a", "b"))

    def size(**options: int) -> int:
        return sum(p.numel() for p in Points2D(**options).backbone(data).parameters())  # type: ignore[arg-type]

    assert size() < 60_000
    assert size(width=128) > size() > size(blocks=2)


def test_it_learns_the_exact_denoiser_of_a_gaussian_in_seconds() -> None:
    # x_0 ~ N(m, C): E[x_0|x] = m + alpha C (alpha^2 C + sigma^2)^-1 (x - alpha m)
    torch.manual_seed(0)
    mean, factor = torch.tensor([0.5, -0.3]), torch.tensor([[1.1, 0.0], [0.7, 0.4]])
    covariance = factor @ factor.T
    process, denoiser = VPCosine(), NetworkDenoiser(ResidualMLP(2, 64, 2))
    optimizer = torch.optim.Adam(denoiser.parameters(), 6e-3)
    steps = 400
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 6e-3 * (1 - step / steps)
        x0 = mean + torch.randn(512, 2) @ factor.T
        loss = denoiser.loss(x0, torch.randn(512, 2), process.level(torch.rand(512)), {}).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    for t in (0.1, 0.3, 0.5, 0.7, 0.9):
        level = process.level(torch.tensor(t))
        x0 = mean + torch.randn(4000, 2) @ factor.T
        x = level.alpha * x0 + level.sigma * torch.randn(4000, 2)
        gain = level.alpha * covariance @ torch.linalg.inv(level.alpha**2 * covariance + level.sigma**2 * torch.eye(2))
        exact = mean + (x - level.alpha * mean) @ gain.T
        with torch.no_grad():
            regret = (denoiser(x, Level(level.alpha, level.sigma), {}) - exact).square().mean()
        explained = (exact - mean).square().mean()
        assert regret < 0.01 * explained + 1e-3, t
