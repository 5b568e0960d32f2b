"""Comparisons are fair: every class is there, in the same numbers, and no sample stands on both sides."""

import pytest
import torch

from ptdiff.evaluation import largest, reference_sets
from ptdiff.modality.data import TensorSplit


def _in_turn(count: int, classes: int, first: int = 0) -> TensorSplit:
    """Samples whose value is their own number and whose classes come in turn."""
    x = torch.arange(first, first + count, dtype=torch.float32)[:, None]
    return TensorSplit(x, torch.arange(count) % classes)


@pytest.mark.parametrize("n", [40, 100, 200])
def test_classes_in_turn_are_all_compared_in_the_same_numbers(n: int) -> None:
    sets = reference_sets(_in_turn(4000, 10), _in_turn(400, 10, 10**6), n, seed=3)
    assert sets.labels is not None
    counts = torch.bincount(sets.labels, minlength=10)
    assert (counts > 0).all()
    assert sets.labels.tolist() == (sets.reference[:, 0].long() % 10).tolist()
    assert torch.bincount(sets.training[:, 0].long() % 10, minlength=10).tolist() == counts.tolist()
    assert sets.training.unique().numel() == n


def test_the_whole_split_is_taken_in_order_when_it_is_asked_for() -> None:
    target = _in_turn(50, 10)
    assert torch.equal(reference_sets(_in_turn(500, 10), target, 50).reference, target.x)


def test_a_training_split_is_never_compared_with_itself() -> None:
    both = _in_turn(100, 5)
    sets = reference_sets(both, both, 50)
    assert not torch.isin(sets.reference, sets.training).any()
    assert largest(both, both, 500) == 50


def test_missing_classes_are_made_up_for_by_others() -> None:
    sets = reference_sets(_in_turn(60, 2), _in_turn(30, 3), 30)
    assert len(sets.training) == 30


def test_data_without_classes_needs_none() -> None:
    plain = TensorSplit(torch.randn(30, 2))
    sets = reference_sets(plain, TensorSplit(torch.randn(20, 2)), 20)
    assert sets.labels is None
    assert sets.training.shape == (20, 2)


def test_the_draw_is_addressed_by_the_seed() -> None:
    train, val = _in_turn(4000, 10), _in_turn(400, 10)
    assert torch.equal(reference_sets(train, val, 50, 1).reference, reference_sets(train, val, 50, 1).reference)
    assert not torch.equal(reference_sets(train, val, 50, 1).reference, reference_sets(train, val, 50, 2).reference)


@pytest.mark.parametrize("n", [1, 31])
def test_too_few_samples_are_an_error(n: int) -> None:
    with pytest.raises(ValueError, match="cannot be compared"):
        reference_sets(_in_turn(100, 2), _in_turn(30, 2), n)
