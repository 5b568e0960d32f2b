"""The U-Net: sizes, what it may depend on, and that it learns."""

import math
from typing import Any

import pytest
import torch

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.modality.data import Data
from ptdiff.process import VPCosine
from ptdiff_images import Images
from ptdiff_images.networks.style import Style
from ptdiff_images.networks.unet import UNet


def awake(net: torch.nn.Module) -> torch.nn.Module:
    """The same network with its zeros replaced: at the start the output hides everything before it."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return net


def inputs(*shape: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, *shape, generator=generator), torch.linspace(0, math.pi / 2, 4)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 17, 40), (1, 1, 1), (2, 5, 3), (1, 64, 64)])
def test_any_size_goes_in_and_comes_out(shape: tuple[int, int, int]) -> None:
    net = UNet(shape, width=16, layers=1)
    x, angle = inputs(*shape)
    assert torch.equal(net(x, angle, {}), torch.zeros_like(x))
    y = awake(net)(x, angle, {})
    assert y.shape == x.shape
    assert y.isfinite().all()


@pytest.mark.parametrize("channels", [6, 16, 33])
@pytest.mark.parametrize("classes", [0, 3])
def test_gradients_reach_every_parameter(channels: int, classes: int) -> None:
    net = awake(UNet((1, 9, 20), classes, width=channels, layers=2))
    x, angle = inputs(1, 9, 20)
    net(x, angle, {"label": torch.tensor([-1, 0, 1, 2])} if classes else {}).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        # a channel's bias that a normalization of one group takes out again may have none
        assert parameter.grad.any(), name


def test_a_label_of_minus_one_is_no_label() -> None:
    net = awake(UNet((1, 8, 8), 10, width=16, layers=1))
    x, angle = inputs(1, 8, 8)
    none = net(x, angle, {})
    assert torch.equal(none, net(x, angle, {"label": torch.full((4,), -1)}))
    assert not torch.allclose(none, net(x, angle, {"label": torch.zeros(4, dtype=torch.int64)}), atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28)])
def test_every_output_pixel_sees_every_input_pixel(shape: tuple[int, int, int]) -> None:
    net = awake(UNet(shape, width=16, layers=2))
    x, angle = inputs(*shape)
    x.requires_grad_()
    net(x, angle, {})[:, 0, 0, 0].sum().backward()
    assert x.grad is not None
    assert (x.grad != 0).all()


def test_images_do_not_see_each_other_and_all_see_their_level() -> None:
    net = awake(UNet((1, 8, 8), width=16, layers=1))
    x, angle = inputs(1, 8, 8)
    y = net(x, angle, {})
    assert torch.allclose(net(x[2:3], angle[2:3], {}), y[2:3], atol=1e-5)
    assert not torch.allclose(net(x, angle.flip(0), {}), y, atol=1e-3)


def test_the_default_stays_below_a_million_parameters() -> None:
    for side in (8, 28):
        data = Data(shape=(1, side, side), classes=tuple("0123456789"))
        assert sum(p.numel() for p in Images().backbone(data).parameters()) < 1_000_000


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param(
            {"embedding": "fourier", "resample": "bilinear-block", "encoder": "residual"}, marks=pytest.mark.slow
        ),
        {"embedding": "learned", "resample": "block", "style": Style(norm="none", activation="gelu")},
    ],
    ids=["default", "NCSN++", "other"],
)
def test_it_learns_to_denoise_digits_in_seconds(options: dict[str, Any]) -> None:
    data = Images().dataset()
    assert data.train is not None
    assert data.val is not None
    torch.manual_seed(0)
    process, denoiser = VPCosine(), NetworkDenoiser(UNet((1, 8, 8), 10, width=16, layers=1, **options))
    optimizer = torch.optim.Adam(denoiser.parameters(), 4e-3)
    for _ in range(80):
        x0, label = data.train.batch(torch.randint(len(data.train), (32,)), 0)
        x0 = data.normalize(x0)
        loss = denoiser.loss(x0, torch.randn_like(x0), process.level(torch.rand(32)), label).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x0, label = data.val.batch(torch.arange(len(data.val)), 0)
    x0 = data.normalize(x0)
    level = process.level(torch.tensor(0.5))
    x = level.alpha * x0 + level.sigma * torch.randn_like(x0)
    with torch.no_grad():
        error = (denoiser(x, level, label) - x0).square().mean()
    # the best linear denoiser that knows each pixel's own mean and variance and nothing else
    train = data.normalize(data.train.batch(torch.arange(len(data.train)), 0)[0])
    mean, variance = train.mean(dim=0), train.var(dim=0)
    gain = level.alpha * variance / (level.alpha**2 * variance + level.sigma**2)
    linear = (mean + gain * (x - level.alpha * mean) - x0).square().mean()
    assert error < 0.75 * linear
