"""What all denoisers of point clouds promise: a function of a set, of the noise level and of the class."""

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from ptdiff.denoiser.latent_code import in_training
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.modality.data import Data
from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.networks.catalog import SIZES, Network, build
from ptdiff_pointcloud.networks.layers import fourier
from ptdiff_pointcloud.networks.pointnet import nearest
from ptdiff_pointcloud.networks.set_transformer import SetTransformer

Make = Callable[[], nn.Module]


SMALL: dict[Network, dict[str, int]] = {
    "set-transformer": {"width": 32, "layers": 2, "inducers": 8, "heads": 4},
    "latent": {"width": 64, "layers": 2, "latents": 8, "heads": 4, "compute": 1},
    "pointnet": {"width": 32, "layers": 2, "neighbors": 6},
    "point-transformer": {"width": 32, "layers": 2, "neighbors": 6},
    "pointwise": {"width": 16},
    "pvcnn": {"width": 16, "layers": 2, "resolution": 6},
    "dit": {"width": 32, "layers": 2, "heads": 4},
}


@pytest.fixture(params=SIZES)
def make(request: pytest.FixtureRequest) -> Make:
    return lambda: build(request.param, 3, 4, SMALL[request.param])


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
    # pointwise hears of the others by the code alone, which is given
    assert (change[0, others] > 1e-6).all() == (not hasattr(net, "code"))
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
    u = torch.randn(len(x), getattr(net, "code", 0))
    cond, penalty = in_training(NetworkDenoiser(net), x, {"label": torch.tensor([0, 2, -1])}, u)
    (net(x, angle, cond).square().flatten(1).mean(1) + penalty).mean().backward()
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


def test_a_few_steps_of_training_learn_one_shape(make: Make) -> None:
    from ptdiff.denoiser.network import NetworkDenoiser
    from ptdiff.process import Flow

    torch.manual_seed(0)
    model = NetworkDenoiser(make())
    line = torch.linspace(-1.7, 1.7, 40)[:, None] * torch.tensor([[1.0, 1.0, 1.0]])
    x0, eps = line.expand(8, 40, 3), torch.randn(8, 40, 3)
    level, cond = Flow().level(torch.linspace(0.2, 0.9, 8)), {"label": torch.arange(8) % 4}
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    losses = []
    for _ in range(25):
        loss = model.loss(x0, eps, level, cond).mean()
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.75 * losses[0]


@pytest.mark.parametrize("network", SIZES)
def test_options_choose_the_network(network: Network) -> None:
    data = Data((64, 3), ("chair", "table"), unordered=True)
    net = PointCloud(network=network, size="tiny").backbone(data)
    assert type(net) is type(build(network, 3, 2, SIZES[network]["tiny"]))
    assert 0.05e6 < sum(p.numel() for p in net.parameters()) < 0.9e6


def test_the_default_is_the_tiny_set_transformer() -> None:
    net = PointCloud().backbone(Data((64, 3), ("chair", "table"), unordered=True))
    assert isinstance(net, SetTransformer)
    assert 0.54e6 < sum(p.numel() for p in net.parameters()) < 0.56e6
    torch.manual_seed(0)
    first = PointCloud().backbone(Data((64, 3), ("chair", "table"), unordered=True)).state_dict()
    torch.manual_seed(0)
    second = SetTransformer(3, 2, width=64, layers=4, inducers=32, heads=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in second) and len(first) == len(second)


@pytest.mark.parametrize("network", SIZES)
def test_presets_grow(network: Network) -> None:
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in build(network, 3, 10, preset).parameters()) for preset in SIZES[network].values()
        ]
    assert list(SIZES[network]) == ["tiny", "small", "base", "large"]
    assert all(2 * less < more for less, more in pairwise(counts))
    assert counts[-1] < 200e6


def test_options_overrule_the_preset() -> None:
    data = Data((64, 3), (), unordered=True)
    net = PointCloud(network="dit", size="tiny", width=32, layers=3).backbone(data)
    assert net.get_parameter("head.weight").shape == (3, 32)
    assert len(net.get_submodule("blocks").state_dict()) == 3 * len(net.get_submodule("blocks.0").state_dict())


@pytest.mark.parametrize(
    "option",
    [
        {"width": 0},
        {"width": 30, "heads": 4},
        {"width": 36, "heads": 4, "network": "latent"},
        {"points": -1},
        {"resolution": 8},
        {"inducers": 8, "network": "dit"},
        {"observed": 64},
        {"observed": 0, "task": "complete"},
    ],
)
def test_options_out_of_range_or_without_effect_are_refused(option: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        PointCloud(**option)  # type: ignore[arg-type]


def test_options_of_runs_from_before_there_were_presets_still_pass() -> None:
    PointCloud(network="set-transformer", width=96, layers=4, inducers=16, heads=4, neighbors=8)
    PointCloud(network="pointnet", width=96, layers=4, inducers=16, heads=4, neighbors=8)


@pytest.mark.parametrize("network", ["latent", "set-transformer"])
def test_a_larger_cloud_is_the_smaller_one_and_points_given_it(network: Network) -> None:
    net = awake(build(network, 3, 4, SMALL[network], reads=50))
    x, angle, cond = inputs(n=120)
    whole = net(x, angle, cond)
    assert torch.allclose(net(x[:, :50], angle, cond), whole[:, :50], atol=1e-5)
    # what comes after is told of the first ones, and they are not told of it
    assert torch.allclose(net(x[:, :80], angle, cond), whole[:, :80], atol=1e-5)
    moved = x.clone()
    moved[:, 7] += 1
    assert (net(moved, angle, cond) - whole)[:, 50:].abs().amax(-1).min() > 1e-6
    order = torch.cat([torch.randperm(50), 50 + torch.randperm(70)])
    assert torch.allclose(net(x[:, order], angle, cond), whole[:, order], atol=1e-5)


@pytest.mark.parametrize("network", ["latent", "set-transformer"])
def test_given_points_are_read_whatever_their_number(network: Network) -> None:
    net = awake(build(network, 3, 4, SMALL[network], given=("partial",), reads=50))
    x, angle, cond = inputs(n=60)
    part = torch.randn(3, 90, 3, generator=torch.Generator().manual_seed(2))
    mask = torch.ones(3, 90, dtype=torch.int64)
    whole = net(x, angle, {**cond, "partial": part, "partial_mask": mask})
    assert torch.allclose(whole, net(x, angle, {**cond, "partial": part}), atol=1e-5)
    moved = part.clone()
    moved[:, 80] += 2
    assert (net(x, angle, {**cond, "partial": moved}) - whole).abs().max() > 1e-5
    mask[:, 80] = 0
    hidden = net(x, angle, {**cond, "partial": moved, "partial_mask": mask})
    assert torch.allclose(hidden, net(x, angle, {**cond, "partial": part, "partial_mask": mask}), atol=1e-6)
