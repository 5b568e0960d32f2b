"""The networks by name: what their options do, what they are told, what they refuse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ptdiff.denoiser.embedding import Frequencies
from ptdiff.modality.data import Data
from ptdiff_images import Images
from ptdiff_images.networks.attention import Attention, LinearAttention
from ptdiff_images.networks.block import Block
from ptdiff_images.networks.catalog import OPTIONS, SIZES, build, sized
from ptdiff_images.networks.dit import DiT, positions
from ptdiff_images.networks.options import Activation, Network, Norm, Resample
from ptdiff_images.networks.resample import Binomial, down, up
from ptdiff_images.networks.style import ACTIVATIONS, ChannelNorm, Style
from ptdiff_images.networks.unet import UNet

SMALL: dict[Network, dict[str, Any]] = {
    "unet": {"width": 8, "layers": 1, "multipliers": (1, 2, 2), "finest": 16},
    "dit": {"width": 16, "layers": 2, "heads": 2},
    "basic": {"width": 4},
}
ANGLE = torch.linspace(0, math.pi / 2, 4)


def network(
    name: Network, shape: tuple[int, int, int], classes: int = 0, augment: int = 0, **options: Any
) -> nn.Module:
    """A small one, with no zeros left in it: at the start the output hides everything before it."""
    torch.manual_seed(0)
    net = build(name, shape, classes, augment, sized(name, "tiny", SMALL[name] | options))
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return net


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(4, *shape, generator=torch.Generator().manual_seed(seed))


CHOICES: list[Mapping[str, Any]] = [
    {"resample": "unshuffle"},
    {"resample": "bilinear", "norm": "rms"},
    {"resample": "transpose", "norm": "instance"},
    {"multipliers": (1,), "attention": 0},
    {"multipliers": (1, 1, 2, 3), "attention": 2, "linear_attention": True},
    {"encoder": "residual", "decoder": "skip"},
    {"encoder": "skip", "self_conditioning": True},
    {"resample": "block", "embedding": "learned"},
    {"resample": "bilinear-block", "embedding": "fourier", "encoder": "residual"},
    *({"kernel": side, "resample": kind} for side, kind in ((5, "transpose"), (7, "strided"), (1, "transpose"))),
    {"norm": "none"},
    *({"activation": name} for name in ("gelu", "tanh", "none")),
]


@pytest.mark.parametrize("options", CHOICES, ids=str)
@pytest.mark.parametrize("shape", [(3, 9, 20), (1, 28, 28)], ids=str)
def test_every_option_keeps_sizes_and_lets_every_parameter_learn(
    shape: tuple[int, int, int], options: Mapping[str, Any]
) -> None:
    net = network("unet", shape, 3, **options)
    x = images(*shape)
    y = net(x, ANGLE, {"label": torch.tensor([-1, 0, 1, 2])})
    assert y.shape == x.shape
    (y * images(*shape, seed=1)).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name
        # a channel that is normalized by itself forgets the bias before it
        assert parameter.grad.any() or options.get("norm") == "instance", name


@pytest.mark.parametrize("name", ["unet", "dit", "basic"])
@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 7, 30), (1, 33, 32), (3, 64, 64)], ids=str)
def test_all_networks_take_all_sizes(name: Network, shape: tuple[int, int, int]) -> None:
    y = network(name, shape)(images(*shape), ANGLE, {})
    assert y.shape == (4, *shape)
    assert y.isfinite().all()


@pytest.mark.parametrize("name", ["unet", "dit", "basic"])
def test_images_of_a_batch_do_not_see_each_other(name: Network) -> None:
    for mode in (True, False):
        net = network(name, (1, 12, 12)).train(mode)
        x = images(1, 12, 12)
        torch.testing.assert_close(net(x[1:2], ANGLE[1:2], {}), net(x, ANGLE, {})[1:2])


@pytest.mark.parametrize("name", ["unet", "dit"])
def test_level_class_augmentation_and_estimate_are_heard(name: Network) -> None:
    net, x = network(name, (1, 8, 8), 3, 2, self_conditioning=True), images(1, 8, 8)
    plain = net(x, ANGLE, {})
    nothing = {"label": torch.full((4,), -1), "augment": torch.zeros(4, 2), "estimate": torch.zeros_like(x)}
    torch.testing.assert_close(net(x, ANGLE, nothing), plain)
    said = {"label": torch.ones(4, dtype=torch.int64), "augment": torch.ones(4, 2), "estimate": images(1, 8, 8, seed=3)}
    for key, value in said.items():
        assert not torch.allclose(net(x, ANGLE, {key: value}), plain, atol=1e-3), key
    assert not torch.allclose(net(x, ANGLE.flip(0), {}), plain, atol=1e-3)


def test_the_toy_is_told_nothing() -> None:
    net, x = network("basic", (1, 8, 8), 3), images(1, 8, 8)
    assert torch.equal(net(x, ANGLE.flip(0), {"label": torch.ones(4, dtype=torch.int64)}), net(x, ANGLE, {}))
    with pytest.raises(ValueError, match="augmentations would leak"):
        network("basic", (1, 8, 8), 0, 9)


def test_the_binomial_filter_is_bilinear_interpolation_and_its_adjoint() -> None:
    x = images(3, 6, 10)
    larger = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
    torch.testing.assert_close(Binomial(up=True, circular=False)(x), larger)
    smaller = functional.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)
    inner = (..., slice(1, -1), slice(1, -1))
    torch.testing.assert_close(Binomial(up=False, circular=False)(x)[inner], smaller[inner])
    # <up x, z> = 4 <x, down z> without edges
    z = images(3, 12, 20, seed=1)
    left = (Binomial(up=True, circular=True)(x) * z).sum()
    torch.testing.assert_close(left, 4 * (x * Binomial(up=False, circular=True)(z)).sum(), rtol=1e-4, atol=1e-4)


def test_the_binomial_filter_lets_no_checkerboard_pass() -> None:
    board = (torch.arange(8)[:, None] + torch.arange(8)) % 2 * 2.0 - 1
    stripes = torch.tensor([1.0, -1.0]).repeat(4).expand(1, 1, 8, 8)
    for pattern in (board.expand(1, 1, 8, 8), stripes):
        assert torch.allclose(Binomial(up=False, circular=True)(pattern), torch.zeros(1, 1, 4, 4), atol=1e-6)
    # while taking every other pixel makes a constant of stripes
    assert torch.equal(stripes[..., ::2], torch.ones(1, 1, 8, 4))


@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("kind", get_args(Resample))
def test_layers_halve_and_double(kind: Resample, kernel: int) -> None:
    x, style, told = images(6, 4, 10), Style(kernel=kernel), (torch.zeros(4, 2),) if "block" in kind else ()
    assert down(kind, 6, 5, 2, style)(x, *told).shape == (4, 5, 2, 5)
    assert up(kind, 6, 5, 2, style)(x, *told).shape == (4, 5, 8, 20)


@pytest.mark.parametrize("kind", ["block", "bilinear-block"])
def test_a_block_that_resamples_is_at_first_its_filter_alone(kind: Resample) -> None:
    # its second convolution is zero: what is left is the identity of BigGAN's block, halved or doubled without weights
    x, told = images(6, 4, 10), torch.randn(4, 2)
    mean, nearest = functional.avg_pool2d(x, 2), x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    halve, double = (Binomial(up=way, circular=False) for way in (False, True))
    smaller, larger = (mean, nearest) if kind == "block" else (halve(x), double(x))
    torch.testing.assert_close(down(kind, 6, 6, 2, Style())(x, told), smaller)
    torch.testing.assert_close(up(kind, 6, 6, 2, Style())(x, told), larger)


def test_a_block_halves_between_its_activation_and_its_first_convolution_and_is_told_the_level() -> None:
    torch.manual_seed(0)
    block, x, told = down("block", 8, 6, 2, Style()), images(8, 4, 6), torch.randn(4, 2)
    assert isinstance(block, Block)
    torch.nn.init.normal_(block.conv2.weight)
    h = block.conv1(functional.avg_pool2d(functional.silu(block.norm1(x)), 2))
    scale, shift = block.film(told)[..., None, None].chunk(2, dim=1)
    h = block.conv2(functional.silu(block.norm2(h) * (1 + scale) + shift))
    torch.testing.assert_close(block(x, told), h + block.skip(functional.avg_pool2d(x, 2)))
    assert not torch.allclose(block(x, told + 1), block(x, told), atol=1e-3)


@pytest.mark.parametrize("resample", ["strided", "unshuffle", "bilinear", "block", "bilinear-block"])
@pytest.mark.parametrize("encoder", ["standard", "residual"])
def test_a_circular_network_has_no_edges(resample: str, encoder: str) -> None:
    net = network("unet", (1, 16, 24), finest=24, circular=True, resample=resample, encoder=encoder)
    x = images(1, 16, 24)
    # three resolutions: shifts by four pixels stay shifts where it is coarsest
    moved = net(x.roll((4, -8), (2, 3)), ANGLE, {})
    torch.testing.assert_close(moved, net(x, ANGLE, {}).roll((4, -8), (2, 3)), rtol=1e-3, atol=1e-4)
    edged = network("unet", (1, 16, 24), finest=24, resample=resample, encoder=encoder)
    difference = edged(x.roll((4, -8), (2, 3)), ANGLE, {}) - edged(x, ANGLE, {}).roll((4, -8), (2, 3))
    assert difference.abs().max() > 1e-2


def test_circular_images_must_divide_and_be_as_wide_as_half_a_kernel() -> None:
    with pytest.raises(ValueError, match="sides divisible by 8, not 28 x 28"):
        network("unet", (1, 28, 28), circular=True)
    # 16 pixels are 4 where it is coarsest, and a kernel of 9 looks at 4 more on every side
    assert network("unet", (1, 16, 16), circular=True, kernel=9)(images(1, 16, 16), ANGLE, {}).isfinite().all()
    with pytest.raises(ValueError, match="16 x 16 are too small for a kernel of 11"):
        network("unet", (1, 16, 16), circular=True, kernel=11)


def test_a_kernel_reaches_half_its_side() -> None:
    def reach(kernel: int) -> int:
        layer = Style(kernel=kernel).conv(1, 1)
        x = torch.zeros(1, 1, 15, 15)
        x[..., 7, 7] = 1
        return int((layer(x) - layer(torch.zeros_like(x))).ne(0).any(dim=2).sum())

    assert [reach(kernel) for kernel in (1, 3, 5, 7)] == [1, 3, 5, 7]


def test_layers_without_norm_and_activation_are_linear() -> None:
    style, x = Style(norm="none", activation="none"), images(6, 4, 4)
    assert torch.equal(style.activate(style.normalize(6)(x)), x)


@pytest.mark.parametrize("name", ["unet", "dit"])
def test_frequencies_of_the_level_are_fixed_or_learned(name: Network) -> None:
    for frequencies in get_args(Frequencies):
        net = network(name, (1, 8, 8), embedding=frequencies)
        trained = dict(net.named_parameters())
        assert ("told.level.frequency" in trained) == (frequencies == "learned")
        # and the fixed ones are no part of what is saved
        assert net.state_dict().keys() == trained.keys()


@pytest.mark.parametrize("kind", [Attention, LinearAttention])
def test_attention_is_what_its_formula_says(kind: type[Attention]) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 3, 7, 4).unbind(0)
    if kind is Attention:
        expected = (q @ k.transpose(-1, -2) / 2).softmax(dim=-1) @ v
    else:
        expected = q.softmax(dim=-1) @ (k.softmax(dim=-2).transpose(-1, -2) @ v)
    torch.testing.assert_close(kind(96, Style()).read(q, k, v), expected)
    assert kind(96, Style()).heads == 3
    assert kind(100, Style()).heads == 2


@pytest.mark.parametrize(
    ("attention", "linear", "softmax", "efficient"), [(0, False, 0, 0), (2, False, 3, 0), (1, True, 1, 4)]
)
def test_attention_lies_where_it_is_asked_for(attention: int, linear: bool, softmax: int, efficient: int) -> None:
    net = network("unet", (1, 16, 16), attention=attention, linear_attention=linear)
    kinds = [type(module) for module in net.modules()]
    assert kinds.count(Attention) == softmax
    assert kinds.count(LinearAttention) == efficient


def test_channels_of_a_pixel_have_a_mean_square_of_one() -> None:
    x = images(6, 3, 3) * 7
    torch.testing.assert_close(ChannelNorm(6)(x).square().mean(dim=1), torch.ones(4, 3, 3))
    assert ChannelNorm(6)(x.bfloat16()).dtype == torch.bfloat16


def test_every_activation_is_a_function_of_each_element() -> None:
    x = torch.linspace(-3, 3, 11)
    others = torch.where(torch.arange(11) == 3, x, -x)
    for name, activation in ACTIVATIONS.items():
        # all others changed, this one in its place: in another place of a vector it may be rounded otherwise
        assert torch.equal(activation(x)[3], activation(others)[3]), name
        torch.testing.assert_close(activation(x), activation(x.double()).float(), msg=name)


def test_dropout_acts_in_training_alone() -> None:
    for name in ("unet", "dit"):
        net, x = network(name, (1, 8, 8), dropout=0.5), images(1, 8, 8)  # type: ignore[arg-type]
        assert not torch.equal(net(x, ANGLE, {}), net(x, ANGLE, {}))
        net.eval()
        assert torch.equal(net(x, ANGLE, {}), net(x, ANGLE, {}))


def test_positions_tell_all_places_apart_and_shifts_are_rotations() -> None:
    found = positions(5, 7, 16)
    assert found.shape == (35, 16)
    assert torch.cdist(found, found).add(torch.eye(35) * 9).min() > 0.1
    # the product of two depends on how far apart they are, not on where
    products = (found @ found.T).reshape(5, 7, 5, 7)
    assert products[0, 0, 2, 3] == pytest.approx(float(products[2, 3, 4, 6]), abs=1e-4)


def test_a_transformer_knows_where_its_patches_are() -> None:
    net, x = network("dit", (1, 16, 16)), images(1, 16, 16)
    assert isinstance(net, DiT)
    assert not torch.allclose(net(x.roll(2, 3), ANGLE, {}), net(x, ANGLE, {}).roll(2, 3), atol=1e-3)
    net.positions.zero_()
    # without positions it would be a function of a set of patches
    torch.testing.assert_close(net(x.roll(2, 3), ANGLE, {}), net(x, ANGLE, {}).roll(2, 3), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SIZES)
def test_presets_grow(name: Network) -> None:
    counts = []
    for size in SIZES[name]:
        with torch.device("meta"):
            net = build(name, (3, 32, 32), 10, 0, sized(name, size, {}))
        counts.append(sum(p.numel() for p in net.parameters()))
    assert all(2 * a < b for a, b in pairwise(counts))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"network": "dit", "resample": "bilinear"}, "resample has no effect on dit, which has width, layers"),
        ({"network": "basic", "self_conditioning": True}, "has no effect on basic"),
        ({"heads": 2}, "heads has no effect on unet"),
        ({"width": 0}, "width must be at least 1"),
        ({"attention": -1}, "attention must be at least 0"),
        ({"multipliers": (1, 0)}, "multipliers must be at least 1"),
        ({"multipliers": ()}, "multipliers must be at least 1"),
        ({"dropout": 1.0}, "less than 1"),
        ({"kernel": 4}, "kernel must be odd, not 4"),
        ({"kernel": -1}, "kernel must be at least 1"),
        ({"network": "dit", "kernel": 5}, "kernel has no effect on dit"),
        ({"network": "basic", "embedding": "fourier"}, "embedding has no effect on basic"),
        ({"network": "dit", "width": 30, "heads": 3}, "multiple of 4 and of heads"),
        ({"circular": True, "resample": "transpose"}, "pads with zeros"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Images(**options)


def test_options_of_networks_are_options_of_the_modality() -> None:
    assert all(getattr(Images(), name) is None for name in OPTIONS)
    hints = get_type_hints(Images)
    for name, choices in {
        "resample": Resample, "norm": Norm, "activation": Activation, "embedding": Frequencies,
    }.items():  # fmt: skip
        assert get_args(hints[name])[0] == choices, name
    assert set(ACTIVATIONS) == set(get_args(Activation))
    data = Data(shape=(1, 8, 8), classes=tuple("0123456789"))
    net = Images(width=8, layers=1, multipliers=(1, 1), self_conditioning=True, augment=0.1).backbone(data)
    assert isinstance(net, UNet)
    assert net.self_conditioning
    assert net.told.augment is not None


@pytest.mark.parametrize("network_options", [{"network": "dit"}, {"self_conditioning": True, "augment": 0.2}], ids=str)
def test_the_networks_conform(network_options: dict[str, Any]) -> None:
    from ptdiff.testing import Subject, findings

    found = findings(Subject(Images(size="tiny", **network_options)), ["network", "conditions", "training"])
    assert [(finding.check, finding.problem) for finding in found if finding.problem] == []
