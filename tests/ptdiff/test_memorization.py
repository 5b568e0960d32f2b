"""Nearest neighbors of any data, and whether samples repeat what was trained on."""

import pytest
import torch
from torch import Tensor

from ptdiff.metrics import memorization, nearest


def drawn(count: int, seed: int, *shape: int) -> Tensor:
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def test_the_nearest_is_that_of_all_distances_in_blocks_of_any_size() -> None:
    x, y = drawn(23, 0, 3, 2), drawn(31, 1, 3, 2) + 1000
    full = (x[:, None] - y[None]).double().flatten(2).norm(dim=2)
    for block in (1, 40, 2**20):
        seen: list[tuple[int, int]] = []
        distance, place = nearest(x, y, lambda *at: seen.append(at), block=block)  # noqa: B023
        torch.testing.assert_close(distance, full.amin(1))
        assert torch.equal(place, full.argmin(1))
        assert seen[-1] == (23, 23)


def test_samples_of_another_shape_have_no_neighbors() -> None:
    with pytest.raises(ValueError, match="needs a nonempty set"):
        nearest(drawn(3, 0, 2), drawn(3, 1, 3))
    with pytest.raises(ValueError, match="needs a nonempty set"):
        nearest(drawn(3, 0, 2), drawn(0, 1, 2))


def test_copies_of_training_data_are_told_from_new_samples() -> None:
    training, held_out, fresh = (drawn(300, seed, 4) for seed in (0, 1, 2))
    copies = training[:150] + 0.05 * drawn(150, 3, 4)
    unseen = nearest(held_out, training)[0]
    new, old = (memorization(nearest(x, training)[0], unseen) for x in (fresh, copies))
    assert new.value == pytest.approx(1, abs=0.15) and new.floor == 1
    assert new.high - new.low < 0.3
    assert old.high < 0.3


def test_the_interval_covers_as_often_as_it_says() -> None:
    inside = 0
    for seed in range(60):
        x, y = 1 + drawn(40, 2 * seed).square(), 1 + drawn(60, 2 * seed + 1).square()
        score = memorization(x, y, seed)
        inside += score.low <= 1 <= score.high
    assert inside >= 52


def test_a_ratio_needs_distances() -> None:
    with pytest.raises(ValueError, match="at least 2 distances"):
        memorization(torch.ones(1), torch.ones(5))
    with pytest.raises(ValueError, match="outside the training set"):
        memorization(torch.ones(5), torch.zeros(5))
