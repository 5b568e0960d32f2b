"""The order of the data: permutations, addressed by (seed, step), stitched over the borders of epochs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ptdiff.training.data_order import sample_ids


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    count=st.integers(1, 60),
    batch=st.integers(1, 50),
    epochs=st.integers(1, 4),
)
def test_every_epoch_is_a_permutation_whatever_the_batch(seed: int, count: int, batch: int, epochs: int) -> None:
    steps = -(-epochs * count // batch)
    line = torch.cat([sample_ids(seed, step, batch, count) for step in range(steps)])
    assert line.dtype == torch.int64
    for epoch in range(epochs):
        assert sorted(line[epoch * count : (epoch + 1) * count].tolist()) == list(range(count))


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1),
    count=st.integers(1, 40),
    batch=st.integers(1, 50),
    step=st.integers(0, 30),
)
def test_the_batch_size_only_cuts_the_line(seed: int, count: int, batch: int, step: int) -> None:
    line = torch.cat([sample_ids(seed, place, 1, count) for place in range(step * batch, (step + 1) * batch)])
    assert torch.equal(sample_ids(seed, step, batch, count), line)


def test_a_step_is_addressed_and_needs_no_steps_before_it() -> None:
    late = sample_ids(3, 10_000, 32, 1000)
    for step in range(5):
        sample_ids(3, step, 32, 1000)
    assert torch.equal(sample_ids(3, 10_000, 32, 1000), late)


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = [tuple(sample_ids(seed, step, 500, 500).tolist()) for seed in range(3) for step in range(3)]
    assert len(set(orders)) == 9


def test_a_place_holds_every_sample_equally_often() -> None:
    seen = np.array([sample_ids(seed, 0, 1, 5).item() for seed in range(2000)])
    counts = np.bincount(seen, minlength=5)
    # four standard deviations of a binomial count
    assert np.abs(counts - 400).max() < 4 * np.sqrt(2000 * 0.2 * 0.8)


@pytest.mark.parametrize("count", [1, 7])
def test_a_batch_larger_than_the_data_holds_whole_epochs(count: int) -> None:
    ids = sample_ids(0, 0, 3 * count, count)
    assert torch.bincount(ids, minlength=count).tolist() == [3] * count
