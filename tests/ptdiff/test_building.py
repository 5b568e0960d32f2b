"""A network that outgrows memory is refused while it is built, before it fills it."""

from __future__ import annotations

import time

import pytest
from torch import nn

from ptdiff.denoiser.building import MOST_TENSORS, USE, within_memory


def test_a_network_that_fits_is_built_and_nothing_is_counted_afterwards() -> None:
    with within_memory(USE, free=2 * 4 * 110):
        nn.Linear(10, 10)
    nn.Linear(100, 100)


def test_the_weights_are_counted_with_their_copies() -> None:
    for copies in (1, 2, 5):
        with pytest.raises(ValueError, match="make it smaller"), within_memory(copies, free=copies * 4 * 110 - 1):
            nn.Linear(10, 10)


def test_one_huge_layer_is_refused_before_it_is_filled() -> None:
    began = time.process_time()
    with pytest.raises(ValueError, match=r"the network needs more than .* GiB"), within_memory(USE, free=1 << 30):
        nn.Linear(1 << 16, 1 << 15)
    assert time.process_time() - began < 1


def test_a_network_of_very_many_small_layers_ends() -> None:
    class Endless(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scales = nn.ParameterList()
            for _ in range(10**9):
                nn.Linear(1, 1)

    with pytest.raises(ValueError, match=f"more than {MOST_TENSORS:,} weight tensors"), within_memory(USE):
        Endless()


def test_lazy_weights_and_missing_ones_are_not_counted() -> None:
    with within_memory(USE, free=1):
        nn.LazyLinear(10, bias=False)
        nn.BatchNorm1d(3, affine=False)
