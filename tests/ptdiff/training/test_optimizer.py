"""Optimizers: Muon against torch's own, its steps against their definition, and steps that are not taken."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ptdiff.run.config import Training
from ptdiff.training.optimizer import OPTIMIZERS, AdamW, Muon, hidden, orthogonal


def a_network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 48), nn.SiLU(), nn.Linear(48, 32), nn.Linear(32, 3))


def gradients(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in network.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


@pytest.mark.parametrize("shape", [(3, 20, 64), (2, 64, 20), (1, 32, 32)])
def test_an_orthogonal_factor_keeps_the_directions_and_evens_the_strengths(shape: tuple[int, int, int]) -> None:
    g = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    found = orthogonal(g)
    strengths = torch.linalg.svdvals(found)
    assert strengths.min() > 0.6
    assert strengths.max() < 1.25
    u, _, vh = torch.linalg.svd(g, full_matrices=False)
    exact = u @ vh
    cosine = (found * exact).sum((-2, -1)) / (found.norm(dim=(-2, -1)) * exact.norm(dim=(-2, -1)))
    assert cosine.min() > 0.95


def test_the_orthogonal_factor_of_zero_is_zero() -> None:
    assert not orthogonal(torch.zeros(2, 16, 20)).any()


def test_hidden_matrices_move_as_under_muon_of_torch() -> None:
    plan = Training(lr=0.01, weight_decay=0.05)
    ours, theirs = a_network(), a_network()
    inside = [layer.weight for layer in theirs if hidden(layer)]
    assert len(inside) == 2
    reference = torch.optim.Muon(
        inside, lr=0.01, weight_decay=0.05, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"
    )
    optimizer = Muon().build(ours, plan)
    before = [p.detach().clone() for p in inside]
    for step in range(5):
        gradients(ours, step)
        gradients(theirs, step)
        optimizer.step()
        reference.step()
    moved = [layer.weight for layer in ours if hidden(layer)]
    for start, a, b in zip(before, moved, inside, strict=True):
        # theirs is rounded to bfloat16
        assert (a - b).norm() < 0.02 * (b - start).norm()


def test_the_rest_moves_as_under_adamw() -> None:
    plan = Training(lr=0.01, weight_decay=0.05)
    ours, theirs = a_network(), a_network()
    mine, reference = Muon().build(ours, plan), AdamW().build(theirs, plan)
    for step in range(3):
        gradients(ours, step)
        gradients(theirs, step)
        mine.step()
        reference.step()
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b) == (name not in ("2.weight", "4.weight")), name


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_a_step_whose_gradient_is_not_finite_leaves_everything_as_it_was(name: str) -> None:
    network = a_network()
    optimizer = OPTIMIZERS[name]().build(network, Training())
    gradients(network, 0)
    optimizer.found_inf = torch.zeros(())  # type: ignore[attr-defined]
    optimizer.step()
    weights, state = copy.deepcopy(network.state_dict()), copy.deepcopy(optimizer.state_dict()["state"])
    gradients(network, 1)
    for p in network.parameters():
        p.grad = torch.full_like(p, torch.nan)
    optimizer.found_inf = torch.ones(())  # type: ignore[attr-defined]
    optimizer.step()
    assert all(torch.equal(weights[key], value) for key, value in network.state_dict().items())
    after = optimizer.state_dict()["state"]
    assert all(torch.equal(value, after[i][key]) for i, kept in state.items() for key, value in kept.items())


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_an_optimizer_goes_on_from_its_state(name: str) -> None:
    whole, halves = a_network(), a_network()
    optimizer = OPTIMIZERS[name]().build(whole, Training())
    first = OPTIMIZERS[name]().build(halves, Training())
    for step in range(4):
        gradients(whole, step)
        optimizer.step()
        if step == 2:
            second = OPTIMIZERS[name]().build(halves, Training())
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            first = second
        gradients(halves, step)
        first.step()
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), halves.parameters(), strict=True))


def test_convolutions_are_matrices_too() -> None:
    network = nn.Sequential(nn.Conv2d(16, 32, 3), nn.Conv2d(32, 1, 3), nn.Embedding(64, 64))
    optimizer = Muon().build(network, Training())
    matrices = [group for group in optimizer.param_groups if "momentum" in group]
    assert [p.shape for p in matrices[0]["params"]] == [network[0].weight.shape]
    gradients(network, 0)
    optimizer.step()


def test_a_network_without_hidden_matrices_is_left_to_adamw() -> None:
    network = nn.Linear(3, 3)
    optimizer = Muon().build(network, Training())
    gradients(network, 0)
    before = network.weight.detach().clone()
    optimizer.step()
    assert not torch.equal(before, network.weight)


def test_momentum_lies_below_one() -> None:
    with pytest.raises(ValueError, match="momentum must lie in"):
        Muon(momentum=1.0)
