"""Sharded tensors behave like whole ones: a process group of this process alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch._C._distributed_c10d import HashStore
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.tensor import DTensor

from ptdiff.denoiser.latent_code import in_training
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.errors import UnknownName
from ptdiff.modality import registry
from ptdiff.process import Level
from ptdiff.run.config import Training
from ptdiff.training.divergence import weight_norm
from ptdiff.training.ema import EMA
from ptdiff.training.fsdp import shard
from ptdiff.training.hardware import Hardware
from ptdiff.training.optimizer import Muon
from ptdiff.training.sharded import gathered, like, local, spread, whole


@pytest.fixture
def mesh() -> Iterator[DeviceMesh]:
    dist.init_process_group("gloo", store=HashStore(), rank=0, world_size=1)
    yield init_device_mesh("cpu", (1,))
    dist.destroy_process_group()


def networks(mesh: DeviceMesh) -> tuple[nn.Module, nn.Module]:
    """The same network whole and sharded."""

    def made() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 20), nn.SiLU(), nn.Linear(20, 17), nn.SiLU(), nn.Linear(17, 1))

    one, other = made(), made()
    shard(other, mesh)
    return one, other


def test_a_sharded_tensor_is_gathered_and_spread_again(mesh: DeviceMesh) -> None:
    one, other = networks(mesh)
    plain, parts = one.state_dict(), other.state_dict()
    assert all(isinstance(value, DTensor) for value in parts.values())
    for name, value in gathered(parts).items():
        assert type(value) is torch.Tensor and torch.equal(value, plain[name])
    back = spread(plain, parts)
    assert all(isinstance(back[name], DTensor) and torch.equal(whole(back[name]), plain[name]) for name in plain)
    # tensors of another shape, such as a number of steps, stay whole, and so do those of a network that is not sharded
    assert type(like(torch.tensor(3.0), parts["0.weight"])) is torch.Tensor
    assert gathered(plain) == plain and spread(plain, plain)["0.bias"] is plain["0.bias"]
    # a part shares memory with the tensor
    local(parts["0.bias"]).zero_()
    assert float(whole(other.state_dict()["0.bias"]).abs().sum()) == 0


def test_sharded_training_takes_the_same_steps(mesh: DeviceMesh) -> None:
    plan = Training(lr=1e-2)
    x, found = torch.randn(16, 3, generator=torch.Generator().manual_seed(1)), []
    for network in networks(mesh):
        optimizer, average = Muon().build(network, plan), EMA(network, 0.9)
        for _ in range(10):
            network.zero_grad()
            network(x).square().mean().backward()
            norm = whole(torch.nn.utils.clip_grad_norm_(network.parameters(), 0.1))
            optimizer.found_inf = torch.zeros(())  # type: ignore[attr-defined]
            optimizer.step()
            average.update()
        numbers = {"norm": norm, "weights": torch.tensor(weight_norm(list(network.parameters())))}
        found.append(
            numbers | gathered(network.state_dict()) | {f"ema {k}": v for k, v in gathered(average.average).items()}
        )
    for name, value in found[0].items():
        torch.testing.assert_close(found[1][name], value, rtol=0, atol=1e-6, msg=name)


@pytest.mark.filterwarnings("ignore:FSDP2-wrapped module:UserWarning")
def test_a_network_that_reads_a_code_of_its_own_computes_with_sharded_weights(mesh: DeviceMesh) -> None:
    kind = registry.load("pointcloud", {"network": "pointwise", "width": 16, "points": 32, "dense": 64})
    data = kind.dataset()
    losses = []
    for parts in (None, mesh):
        torch.manual_seed(0)
        denoiser = NetworkDenoiser(kind.backbone(data))
        if parts is not None:
            shard(denoiser.net, parts)
        generator = torch.Generator().manual_seed(1)
        x, u = torch.randn(4, 32, 3, generator=generator), torch.randn(4, denoiser.code, generator=generator)
        cond, penalty = in_training(denoiser, x, {}, u)
        (
            denoiser(x, Level(torch.full((4,), 0.6), torch.full((4,), 0.8)), cond).square().mean() + penalty
        ).sum().backward()
        assert denoiser.code
        losses.append(torch.stack([whole(p.grad).norm() for p in denoiser.parameters() if p.grad is not None]))
    torch.testing.assert_close(*losses)


def test_unknown_strategies_and_fsdp_on_one_device_are_refused_in_one_line() -> None:
    with pytest.raises(
        UnknownName, match=r"unknown strategy 'fdsp': did you mean 'fsdp'\? \(choose from: auto, ddp, fsdp\)"
    ):
        Hardware(devices=2, strategy="fdsp")
    with pytest.raises(ValueError, match="strategy fsdp needs several devices to shard the network over, not one"):
        Hardware(strategy="fsdp")


def test_a_network_with_a_number_as_parameter_is_refused_by_its_name(mesh: DeviceMesh) -> None:
    network = nn.Linear(2, 2)
    network.gain = nn.Parameter(torch.ones(()))
    with pytest.raises(ValueError, match="gain"):
        shard(network, mesh)
