"""The pointwise network: its flow prior, its posterior, and points that know of each other by the code alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from ptdiff_pointcloud.networks.coupling_flow import CouplingFlow
from ptdiff_pointcloud.networks.pointwise import Pointwise


def shaken(module: nn.Module, std: float = 0.2) -> nn.Module:
    torch.manual_seed(3)
    for parameter in module.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=std)
    return module.eval()


@pytest.mark.parametrize("size", [2, 5, 8])
def test_the_flow_leads_back_to_where_it_came_from(size: int) -> None:
    flow = shaken(CouplingFlow(size, classes=3))
    u = torch.randn(7, size)
    cond = {"label": torch.tensor([0, 1, 2, -1, 0, 1, 2])}
    z, log_det = flow(u, cond)
    assert not torch.allclose(z, u, atol=0.1)
    expected = -0.5 * (u.square() + math.log(2 * math.pi)).sum(1) - log_det
    assert torch.allclose(flow.log_density(z, cond), expected, atol=1e-4)


def test_the_volume_of_the_flow_is_the_determinant_of_its_jacobian() -> None:
    flow = shaken(CouplingFlow(5))
    u = torch.randn(5)
    jacobian = torch.autograd.functional.jacobian(lambda v: flow(v[None], {})[0][0], u)
    assert float(flow(u[None], {})[1].detach()) == pytest.approx(
        float(torch.linalg.slogdet(jacobian).logabsdet), abs=1e-4
    )


def test_the_flow_learns_a_distribution_that_is_no_gaussian() -> None:
    torch.manual_seed(0)
    flow = CouplingFlow(2)
    optimizer = torch.optim.Adam(flow.parameters(), 5e-3)
    side = torch.sign(torch.randn(4000, 1))
    z = torch.cat([2 * side, -side], dim=1) + 0.3 * torch.randn(4000, 2)
    for _ in range(250):
        optimizer.zero_grad()
        (-flow.log_density(z, {}).mean()).backward()
        optimizer.step()
    with torch.no_grad():
        own = flow(torch.randn(2000, 2), {})[0]
    # two modes, at opposite corners, in about equal shares
    assert 0.35 < float((own[:, 0] > 0).float().mean()) < 0.65
    assert float(torch.corrcoef(own.T)[0, 1]) < -0.8
    assert float((own[:, 0].abs() < 0.7).float().mean()) < 0.15


def test_a_class_has_a_prior_of_its_own() -> None:
    flow = shaken(CouplingFlow(4, classes=2))
    u = torch.randn(3, 4)
    first, second = (flow(u, {"label": torch.full((3,), i)})[0] for i in (0, 1))
    assert not torch.allclose(first, second)
    assert torch.equal(flow(u, {})[0], flow(u, {"label": torch.full((3,), -1)})[0])


def test_a_point_knows_of_the_others_by_the_code_alone() -> None:
    net = shaken(Pointwise(width=16, code=8))
    x, angle, code = torch.randn(2, 20, 3), torch.tensor([0.4, 1.0]), torch.randn(2, 8)
    whole = net(x, angle, {"code": code})
    assert torch.allclose(net(x[:, :5], angle, {"code": code}), whole[:, :5], atol=1e-5)
    assert not torch.allclose(net(x, angle, {"code": code + 1}), whole, atol=1e-3)


def test_the_posterior_is_that_of_a_set() -> None:
    net = shaken(Pointwise(width=16, code=8))
    x = torch.randn(2, 20, 3)
    mean, log_variance = net.posterior(x, {})
    other = net.posterior(x[:, torch.randperm(20)], {})
    assert torch.allclose(mean, other[0], atol=1e-5) and torch.allclose(log_variance, other[1], atol=1e-5)
    assert not torch.allclose(mean, net.posterior(x + 1, {})[0], atol=1e-3)


def test_a_code_has_two_numbers_at_least() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        CouplingFlow(1)


@pytest.mark.slow
def test_a_short_training_puts_two_shapes_into_two_codes() -> None:
    from ptdiff.denoiser.latent_code import in_training
    from ptdiff.denoiser.network import NetworkDenoiser
    from ptdiff.process import Level

    torch.manual_seed(0)
    line = torch.stack([torch.linspace(-1.7, 1.7, 32), torch.zeros(32), torch.zeros(32)], dim=1)
    shapes = torch.stack([line, line[:, [1, 0, 2]]])
    model = NetworkDenoiser(Pointwise(width=16, code=4), "velocity")
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(600):
        x0 = shapes[torch.randint(2, (32,))]
        angle = torch.rand(32) * math.pi / 2
        level = Level(torch.cos(angle), torch.sin(angle))
        cond, penalty = in_training(model, x0, {}, torch.randn(32, 4))
        loss = (model.loss(x0, torch.randn_like(x0), level, cond) + penalty).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        codes = model.net.prior(torch.randn(64, 4), {})
        noise = torch.randn(64, 200, 3)
        # at pure noise the code alone says along which axis the shape lies
        found = model(noise, Level(torch.zeros(64), torch.ones(64)), {"code": codes})
        mean, _ = model.net.posterior(shapes, {})
        told = model(noise[:2], Level(torch.full((2,), 0.7), torch.full((2,), 0.7)), {"code": mean})
    spread = told.std(dim=1)
    assert spread[0, 0] > 3 * spread[0, 1] and spread[1, 1] > 3 * spread[1, 0]
    assert torch.isfinite(found).all()
