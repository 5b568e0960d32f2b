"""What both denoisers of point clouds promise: a function of a set, of the noise level and of the class."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.layers import fourier
from ptdiff_pointcloud.pointnet import PointNet, nearest
from ptdiff_pointcloud.set_transformer import SetTransformer

Make = Callable[[], nn.Module]


def set_transformer() -> nn.Module:
    return SetTransformer(3, classes=4, width=32, layers=2, inducers=8, heads=4)


def pointnet() -> nn.Module:
    return PointNet(3, classes=4, width=32, layers=2, neighbors=6)


@pytest.fixture(params=[set_transformer, pointnet])
def make(request: pytest.FixtureRequest) -> Make:
    return request.param  # type: ignore[no-any-return]


def awake(net: nn.Module) -> nn.Module:
    """All that starts at zero set to something: a fresh network ignores its input."""
    torch.manual_seed(1)
    for parameter in net.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return net.eval()


def inputs(n: int = 50, b: int = 3) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(b, n, 3, generator=generator)
    return x, torch.linspace(0, math.pi / 2, b), {"label": torch.arange(b)}


def test_a_fresh_network_predicts_zero(make: Make) -> None:
    x, angle, cond = inputs()
    assert torch.equal(make()(x, angle, cond), torch.zeros_like(x))


def test_parameters_have_the_names_that_checkpoints_know() -> None:
    block = {
        "points.linear", "latent.linear", "query", "gathered", "qkv", "mixed", "key", "value",
        "latent_mlp.0", "latent_mlp.2", "point_mlp.0", "point_mlp.2",
    }  # fmt: skip
    layers = {"lift", "last.linear", "head", *(f"blocks.0.{name}" for name in block)}
    net = SetTransformer(3, width=8, layers=1, inducers=2, heads=2)
    names = {name for name in net.state_dict() if not name.startswith("embed.")}
    assert names == {"inducers", *(f"{name}.{kind}" for name in layers for kind in ("weight", "bias"))}


def test_permuting_the_points_permutes_the_prediction(make: Make) -> None:
    net, (x, angle, cond) = awake(make()), inputs()
    order = torch.randperm(x.shape[1], generator=torch.Generator().manual_seed(3))
    y = net(x, angle, cond)
    assert y.std() > 0.1
    torch.testing.assert_close(net(x[:, order], angle, cond), y[:, order], rtol=1e-4, atol=1e-5)


def test_a_cloud_does_not_see_its_batch(make: Make) -> None:
    net, (x, angle, cond) = awake(make()), inputs()
    alone = net(x[1:2], angle[1:2], {"label": cond["label"][1:2]})
    torch.testing.assert_close(alone, net(x, angle, cond)[1:2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 300])
def test_any_number_of_points_will_do(make: Make, n: int) -> None:
    x, angle, cond = inputs(n)
    y = awake(make())(x, angle, cond)
    assert y.shape == x.shape
    assert torch.isfinite(y).all()


def test_every_point_hears_of_every_other(make: Make) -> None:
    net, (x, angle, cond) = awake(make()), inputs()
    moved = x.clone()
    # the farthest point, so that it is the maximum of something
    far = int(x[0].norm(dim=-1).argmax())
    moved[0, far] *= 3
    others = torch.arange(x.shape[1]) != far
    change = (net(moved, angle, cond) - net(x, angle, cond)).abs().amax(-1)
    assert (change[0, others] > 1e-6).all()
    assert change[1:].max() == 0


def test_minus_one_means_not_given(make: Make) -> None:
    net, (x, angle, cond) = awake(make()), inputs()
    without = net(x, angle, {})
    assert torch.equal(net(x, angle, {"label": torch.full((3,), -1)}), without)
    assert (net(x, angle, cond) - without).abs().max() > 1e-3


def test_the_noise_level_matters(make: Make) -> None:
    net, (x, angle, cond) = awake(make()), inputs()
    assert (net(x, angle.flip(0), cond) - net(x, angle, cond))[0].abs().max() > 1e-3


def test_gradients_reach_every_parameter(make: Make) -> None:
    net, (x, angle, _) = awake(make()), inputs()
    net(x, angle, {"label": torch.tensor([0, 2, -1])}).square().mean().backward()
    dead = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()]
    assert dead == []


def test_a_fresh_network_starts_to_learn_at_its_head(make: Make) -> None:
    net, (x, angle, cond) = make(), inputs()
    (net(x, angle, cond) - x).square().mean().backward()
    gradient = net.get_parameter("head.weight").grad
    assert gradient is not None
    assert gradient.abs().max() > 1e-4


def test_bfloat16_is_close_to_float32(make: Make) -> None:
    net, (x, angle, cond) = awake(make()), inputs(200)
    exact = net(x, angle, cond)
    with torch.autocast("cpu", torch.bfloat16):
        half = net(x, angle, cond)
    assert half.dtype == torch.float32
    assert (half - exact).square().mean().sqrt() < 0.03 * exact.std()


def test_large_inputs_stay_finite_in_bfloat16(make: Make) -> None:
    net, (x, angle, cond) = awake(make()), inputs()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(net(100 * x, angle, cond)).all()


def test_the_set_transformer_tells_close_points_apart() -> None:
    x = torch.tensor([[[0.5, 0.5, 0.5], [0.53, 0.5, 0.5]]])
    near, far = fourier(x, 6)[0]
    assert (near - far).norm() > 0.5


def test_nearest_finds_what_sorting_finds_and_stays_inside_each_cloud() -> None:
    x = inputs(40)[0]
    edges = nearest(x, 5)
    assert edges.shape == (2, 3 * 40 * 5)
    source, target = edges
    assert torch.equal(source // 40, target // 40)
    for i, cloud in enumerate(x):
        true = (cloud[:, None] - cloud[None]).square().sum(-1).argsort(1)[:, :5]
        found = source[target // 40 == i].view(40, 5) - 40 * i
        assert torch.equal(found.sort(1).values, true.sort(1).values)


def test_neighbors_of_many_points_are_sought_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    x, sizes, cdist = inputs(40)[0], [], torch.cdist

    def counted(*arguments: Tensor, **options: str) -> Tensor:
        found = cdist(*arguments, **options)
        sizes.append(found.numel())
        return found

    whole = nearest(x, 5)
    monkeypatch.setattr(torch, "cdist", counted)
    for most in (40, 300, 1600, 3500):
        sizes.clear()
        monkeypatch.setattr("ptdiff_pointcloud.pointnet._DISTANCES", most)
        assert torch.equal(nearest(x, 5), whole)
        assert max(sizes) <= most
        assert sum(sizes) == 3 * 40 * 40


def test_options_choose_the_network() -> None:
    data = PointCloud(shapes_per_class=1).dataset()
    assert isinstance(PointCloud(network="pointnet", width=32).backbone(data), PointNet)
    net = PointCloud().backbone(data)
    assert isinstance(net, SetTransformer)
    assert 0.3e6 < sum(p.numel() for p in net.parameters()) < 2.5e6


@pytest.mark.parametrize("option", [{"width": 0}, {"width": 30, "heads": 4}, {"points": -1}])
def test_options_out_of_range_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        PointCloud(**option)  # type: ignore[arg-type]
