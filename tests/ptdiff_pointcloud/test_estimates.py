"""The latent transformer may be shown its own last estimate of the points."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ptdiff_pointcloud import PointCloud
from ptdiff_pointcloud.networks.latent import Latent


def network(given: tuple[str, ...] = ()) -> Latent:
    torch.manual_seed(0)
    net = Latent(width=32, layers=2, latents=8, heads=2, compute=1, given=given, self_conditioning=True)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net


def clouds(seed: int, n: int = 20) -> Tensor:
    return torch.randn(3, n, 3, generator=torch.Generator().manual_seed(seed))


ANGLE = torch.tensor([0.3, 0.9, 1.5])


def test_zeros_and_absence_mean_that_there_is_none_and_an_estimate_is_seen() -> None:
    net, x = network(), clouds(0)
    none = net(x, ANGLE, {})
    torch.testing.assert_close(net(x, ANGLE, {"estimate": torch.zeros_like(x)}), none)
    assert not torch.allclose(net(x, ANGLE, {"estimate": clouds(1)}), none, atol=1e-2)


def test_points_and_their_estimates_have_no_order_together() -> None:
    net, x, estimate = network(), clouds(0), clouds(1)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(2))
    y = net(x, ANGLE, {"estimate": estimate})
    torch.testing.assert_close(net(x[:, order], ANGLE, {"estimate": estimate[:, order]}), y[:, order])
    # an estimate belongs to its own point
    assert not torch.allclose(net(x, ANGLE, {"estimate": estimate[:, order]}), y, atol=1e-2)


def test_it_goes_with_clouds_that_are_given() -> None:
    net, x = network(("partial",)), clouds(0)
    cond = {"partial": clouds(3, 7), "estimate": clouds(1)}
    y = net(x, ANGLE, cond)
    assert y.shape == x.shape
    alone = net(x[1:2], ANGLE[1:2], {key: value[1:2] for key, value in cond.items()})
    torch.testing.assert_close(alone, y[1:2])


def test_it_is_an_option_of_the_latent_transformer_alone() -> None:
    assert PointCloud(network="latent", self_conditioning=True).self_conditioning
    with pytest.raises(ValueError, match="self_conditioning has no effect on dit"):
        PointCloud(network="dit", self_conditioning=True)
