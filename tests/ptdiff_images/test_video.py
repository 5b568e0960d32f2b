"""The U-Net of films: that of images frame by frame at the start, and frames that see each other after it."""

import math

import pytest
import torch
from torch import Tensor, nn

from ptdiff_images.networks.catalog import build, sized
from ptdiff_images.networks.video import OverTime, Video

ANGLE = torch.linspace(0.1, math.pi / 2, 3)


def network(frames: int | None, seed: int = 0, **options: object) -> nn.Module:
    """A small one with no zeros left in it, of films of 12 x 9 pixels, or of images."""
    torch.manual_seed(seed)
    shape = (2, 12, 9) if frames is None else (2, frames, 12, 9)
    net = build("unet", shape, 3, 2, sized("unet", "tiny", {"width": 8, **options}))
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(std=0.2)
    return net


def films(frames: int, seed: int = 0) -> Tensor:
    return torch.randn(3, 2, frames, 12, 9, generator=torch.Generator().manual_seed(seed))


def told(frames: int) -> dict[str, Tensor]:
    return {"label": torch.tensor([-1, 0, 2]), "augment": torch.ones(3, 2), "estimate": films(frames, seed=1)}


@pytest.mark.parametrize(
    "options",
    [{}, {"layers": 2, "encoder": "residual", "decoder": "skip"}, {"multipliers": (1, 2, 2), "norm": "rms"}],
    ids=str,
)
def test_at_the_start_it_is_the_network_of_images_frame_by_frame(options: dict[str, object]) -> None:
    image = network(None, self_conditioning=True, **options)
    torch.manual_seed(1)
    film = build("unet", (2, 5, 12, 9), 3, 2, sized("unet", "tiny", {"width": 8, "self_conditioning": True, **options}))
    assert isinstance(film, Video)
    assert film.self_conditioning
    # all that it has more are the convolutions over time
    missing = film.images.load_state_dict(image.state_dict(), strict=False)
    assert missing.unexpected_keys == []
    assert missing.missing_keys and all(".time." in name for name in missing.missing_keys)
    x, cond = films(5), told(5)
    y = film(x, ANGLE, cond)
    assert y.shape == x.shape
    assert y.abs().mean() > 0.1
    for frame in range(5):
        alone = image(x[:, :, frame], ANGLE, {**cond, "estimate": cond["estimate"][:, :, frame]})
        torch.testing.assert_close(y[:, :, frame], alone)


def influence(net: nn.Module, frames: int, of: int) -> list[bool]:
    """Which frames of the output depend on frame ``of`` of the input."""
    x = films(frames)
    changed = x.clone()
    changed[:, :, of] += 1
    difference = net(changed, ANGLE, {}) - net(x, ANGLE, {})
    return [bool(difference[:, :, frame].abs().max() > 1e-6) for frame in range(frames)]


@pytest.mark.parametrize(("layers", "reach"), [(1, 3), (2, 6)])
def test_frames_see_as_far_as_there_are_blocks(layers: int, reach: int) -> None:
    net = network(16, layers=layers)
    # down, in the middle and up
    assert sum(isinstance(module, OverTime) for module in net.modules()) == reach
    for of in (0, 8):
        assert influence(net, 16, of) == [abs(frame - of) <= reach for frame in range(16)]


def test_away_from_both_ends_a_moment_later_is_a_moment_later() -> None:
    net, x = network(12), films(12)
    later = torch.cat([films(12, seed=5)[:, :, :1], x[:, :, :-1]], dim=2)
    y, y_later = net(x, ANGLE, {}), net(later, ANGLE, {})
    torch.testing.assert_close(y_later[:, :, 5:9], y[:, :, 4:8])
    assert not torch.allclose(y_later[:, :, 1:], y[:, :, :-1], atol=1e-3)


def test_with_past_and_future_exchanged_time_runs_backwards() -> None:
    net, x = network(6), films(6)
    forwards = net(x, ANGLE, {})
    assert not torch.allclose(net(x.flip(2), ANGLE, {}).flip(2), forwards, atol=1e-3)
    for module in net.modules():
        if isinstance(module, OverTime):
            before, now, after = module.conv.weight.data.chunk(3, dim=1)
            module.conv.weight.data = torch.cat([after, now, before], dim=1)
    torch.testing.assert_close(net(x.flip(2), ANGLE, {}).flip(2), forwards)


def test_a_convolution_over_time_is_one_of_three_dimensions() -> None:
    torch.manual_seed(0)
    from ptdiff_images.networks.style import Style

    layer = OverTime(8, 5, Style())
    layer.conv.weight.data.normal_()
    x = torch.randn(2 * 5, 8, 4, 3)
    # (c_out, 3 c_in, 1, 1), frame by frame, as (c_out, c_in, 3, 1, 1)
    whole = nn.Conv3d(8, 8, (3, 1, 1), padding=(1, 0, 0))
    whole.weight.data = layer.conv.weight.data.reshape(8, 3, 8, 1, 1).transpose(1, 2).contiguous()
    assert layer.conv.bias is not None and whole.bias is not None
    whole.bias.data = layer.conv.bias.data
    h = torch.nn.functional.silu(layer.norm(x)).unflatten(0, (2, 5)).transpose(1, 2)
    torch.testing.assert_close(layer(x), x + whole(h).transpose(1, 2).flatten(0, 1))


def test_films_of_a_batch_do_not_see_each_other_and_every_parameter_learns() -> None:
    net, x = network(4), films(4)
    cond = {name: value for name, value in told(4).items() if name != "estimate"}
    y = net(x, ANGLE, cond)
    torch.testing.assert_close(net(x[1:2], ANGLE[1:2], {name: v[1:2] for name, v in cond.items()}), y[1:2])
    (y * films(4, seed=2)).sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all() and parameter.grad.any(), name


@pytest.mark.parametrize("name", ["dit", "basic"])
def test_other_networks_draw_no_films(name: str) -> None:
    with pytest.raises(ValueError, match="videos need unet"):
        build(name, (1, 4, 8, 8), 0, 0, sized(name, "tiny", {}))  # type: ignore[arg-type]
