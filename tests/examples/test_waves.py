"""The example's signals: addressed by split and number, and what they are called."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[2] / "examples" / "waves"))

from ptdiff_waves import KINDS, Waves


def signals(count: int, split: str = "train") -> tuple[Tensor, Tensor]:
    samples = getattr(Waves(count=count, length=32).dataset(), split)
    x, cond = samples.batch(torch.arange(len(samples)), 0)
    return x, cond["label"]


def test_another_count_leaves_the_first_signals_as_they_are() -> None:
    for split, shared in (("train", 200), ("val", 20)):
        (few, few_labels), (many, many_labels) = signals(200, split), signals(300, split)
        assert torch.equal(many[:shared], few)
        assert torch.equal(many_labels[:shared], few_labels)


def test_the_splits_share_no_signal() -> None:
    assert torch.cdist(signals(400)[0].flatten(1), signals(400, "val")[0].flatten(1)).min() > 1e-3


def test_kinds_come_equally_often_and_look_like_their_names() -> None:
    x, label = signals(3000)
    assert torch.bincount(label, minlength=len(KINDS)) == pytest.approx(1000, abs=5 * (3000 * 2 / 9) ** 0.5)
    square = x[label == KINDS.index("square")]
    assert (square.abs().amax(-1) - square.abs().amin(-1)).abs().max() < 1e-6
    assert 0.5 <= float(x.abs().amax(-1).max()) <= 1.5
