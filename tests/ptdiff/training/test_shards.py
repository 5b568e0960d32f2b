"""Threads that share a batch find the gradient of the whole batch, the same bits every time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from ptdiff.training.shards import Shards


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def _network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 3))


X = torch.randn(33, 3, generator=torch.Generator().manual_seed(1))


def _shared(network: nn.Module, count: int) -> tuple[Tensor, list[Tensor]]:
    shards = Shards(count, network)
    try:
        losses = shards.gradients(lambda rows: network(X[rows]).square().mean(dim=1), len(X))
    finally:
        shards.close()
    return losses, [p.grad.clone() for p in network.parameters() if p.grad is not None]


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("count", [2, 3])
def test_the_gradient_is_that_of_the_whole_batch(count: int) -> None:
    network = _network()
    losses = network(X).square().mean(dim=1)
    torch.autograd.backward(losses.mean())
    whole = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    shared, parts = _shared(network, count)
    torch.testing.assert_close(shared, losses.detach())
    torch.testing.assert_close(parts, whole)


@pytest.mark.usefixtures("two_threads")
def test_the_bits_do_not_depend_on_who_is_done_first() -> None:
    first = _shared(_network(), 2)[1]
    for _ in range(5):
        assert all(torch.equal(a, b) for a, b in zip(first, _shared(_network(), 2)[1], strict=True))


@pytest.mark.usefixtures("two_threads")
def test_the_threads_of_torch_are_given_back() -> None:
    shards = Shards(2, _network())
    assert torch.get_num_threads() == 1
    shards.close()
    assert torch.get_num_threads() == 2


def test_a_network_with_dropout_is_refused() -> None:
    with pytest.raises(ValueError, match=r"training\.shards must be 1"):
        Shards(2, nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.1)))
    Shards(2, nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.0))).close()
