"""Given clouds: all denoisers see them, a hidden one is none, and absent points change nothing."""

import math

import pytest
import torch
from torch import Tensor, nn

from ptdiff_pointcloud.networks.catalog import SIZES, Network, build
from ptdiff_pointcloud.networks.pooling import pooled

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
def net(request: pytest.FixtureRequest) -> nn.Module:
    """A denoiser that may be given a partial and a coarse cloud, all that starts at zero set to something."""
    torch.manual_seed(1)
    made = build(request.param, 3, 4, SMALL[request.param], given=("partial", "coarse"))
    for parameter in made.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.2)
    return made.eval()


X = torch.randn(3, 40, 3, generator=torch.Generator().manual_seed(0))
ANGLE = torch.linspace(0.1, math.pi / 2, 3)
CLOUD = torch.randn(3, 12, 3, generator=torch.Generator().manual_seed(1))
MASK = torch.tensor([[1] * 12, [1] * 5 + [0] * 7, [1] * 12])


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_a_given_cloud_is_heard_of_at_every_point_and_flagged_by_its_kind(net: nn.Module) -> None:
    without, partial, coarse = net(X, ANGLE, {}), net(X, ANGLE, {"partial": CLOUD}), net(X, ANGLE, {"coarse": CLOUD})
    assert partial.shape == X.shape
    assert ((partial - without).abs().amax(-1) > 1e-5).float().mean() > 0.95
    assert (partial - coarse).abs().max() > 1e-3
    both = net(X, ANGLE, {"partial": CLOUD, "coarse": CLOUD + 1})
    assert (both - partial).abs().max() > 1e-3


def test_its_points_have_no_order(net: nn.Module) -> None:
    order = torch.randperm(12, generator=torch.Generator().manual_seed(2))
    ordered = {"partial": CLOUD[:, order], "partial_mask": MASK[:, order]}
    close(net(X, ANGLE, ordered), net(X, ANGLE, {"partial": CLOUD, "partial_mask": MASK}))


def test_permuting_the_noisy_points_permutes_the_prediction(net: nn.Module) -> None:
    cond = {"partial": CLOUD, "partial_mask": MASK}
    order = torch.randperm(40, generator=torch.Generator().manual_seed(2))
    close(net(X[:, order], ANGLE, cond), net(X, ANGLE, cond)[:, order])


def test_absent_points_change_nothing_wherever_they_are(net: nn.Module) -> None:
    short = net(X[1:2], ANGLE[1:2], {"partial": CLOUD[1:2, :5]})
    there = MASK[..., None] > 0
    for filler in (0.0, 100.0):
        cond = {"partial": torch.where(there, CLOUD, filler), "partial_mask": MASK}
        close(net(X, ANGLE, cond)[1:2], short)


def test_a_hidden_row_is_one_without_the_condition(net: nn.Module) -> None:
    hidden = torch.where(torch.tensor([[False], [False], [True]]), -1, MASK)
    found = net(X, ANGLE, {"partial": CLOUD, "partial_mask": hidden})
    close(found[2:], net(X[2:], ANGLE[2:], {}))
    close(found[:2], net(X[:2], ANGLE[:2], {"partial": CLOUD[:2], "partial_mask": MASK[:2]}))


def test_without_a_mask_all_points_are_there(net: nn.Module) -> None:
    close(net(X, ANGLE, {"partial": CLOUD}), net(X, ANGLE, {"partial": CLOUD, "partial_mask": torch.ones(3, 12)}))


def test_one_noisy_point_among_absent_ones(net: nn.Module) -> None:
    y = net(X[:, :1], ANGLE, {"partial": CLOUD, "partial_mask": -torch.ones(3, 12, dtype=torch.int64)})
    close(y, net(X[:, :1], ANGLE, {}))


def test_gradients_reach_the_flags(net: nn.Module) -> None:
    cond = {"partial": CLOUD, "partial_mask": MASK, "coarse": CLOUD[:, :3]}
    net(X, ANGLE, cond).square().mean().backward()
    gradient = net.get_parameter("flags.flag.weight").grad
    assert gradient is not None and (gradient.abs().amax(1) > 0).all() and torch.isfinite(gradient).all()


def test_bfloat16_stays_finite_with_absent_points(net: nn.Module) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(net(X, ANGLE, {"partial": CLOUD, "partial_mask": MASK})).all()


def test_clouds_that_do_not_fit_are_refused(net: nn.Module) -> None:
    for cloud in (CLOUD[0], CLOUD[:2], CLOUD[..., :2]):
        with pytest.raises(ValueError, match="partial must be clouds"):
            net(X, ANGLE, {"partial": cloud})
    with pytest.raises(ValueError, match="partial_mask must be"):
        net(X, ANGLE, {"partial": CLOUD, "partial_mask": MASK[:, :3]})


def test_pooling_counts_what_is_there() -> None:
    f = torch.tensor([[[1.0], [3.0], [50.0]]])
    mean, highest = pooled(f, torch.tensor([[True, True, False]]))
    assert (mean.item(), highest.item()) == (2.0, 3.0)
    assert [part.item() for part in pooled(f, None)] == [18.0, 50.0]
