"""How samples are computed: the quickest way is found, and what is not left open stays as it is."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from ptdiff.machine import host
from ptdiff.machine.timing import Way, threads
from ptdiff.modality.data import Condition
from ptdiff.process import Flow, Level
from ptdiff.sampling.autotune import quickest
from ptdiff.sampling.sampler import Plan, in_arithmetic


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Paced:
    """A denoiser that takes ``pause`` seconds, times ``half`` in bfloat16, times ``crowd`` with several threads."""

    def __init__(self, pause: float = 0.01, half: float = 1.0, crowd: float = 1.0) -> None:
        self.pause, self.half, self.crowd = pause, half, crowd

    def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
        factor = self.half if torch.is_autocast_enabled("cpu") else 1.0
        time.sleep(self.pause * factor * (self.crowd if torch.get_num_threads() > 1 else 1.0))
        return x


def chosen(model: Paced, plan: Plan, calls: int = 2000) -> Way:
    return quickest(model, plan, torch.arange(4), (2,), {}, calls)


def test_fewer_threads_are_taken_where_more_are_slower() -> None:
    assert chosen(Paced(crowd=3.0), Plan(Flow())).threads == 1
    assert chosen(Paced(crowd=0.5), Plan(Flow())).threads == 2
    assert torch.get_num_threads() == 2


def test_the_arithmetic_is_tried_only_where_it_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "emulates_bfloat16", lambda where: None)
    quick = Paced(half=0.3)
    assert chosen(quick, Plan(Flow())).precision == "32"
    assert chosen(quick, Plan(Flow(), precision="bf16")).precision == "bf16"
    assert chosen(quick, Plan(Flow(), precision="auto")).precision == "bf16"
    monkeypatch.setattr(host, "emulates_bfloat16", lambda where: 50.0)
    assert chosen(quick, Plan(Flow(), precision="auto")).precision == "32"


def test_a_few_calls_are_not_worth_a_trial() -> None:
    assert chosen(Paced(crowd=0.1), Plan(Flow()), calls=3) == Way("32", 1)


def test_a_network_in_bfloat16_gives_samples_in_their_own_type() -> None:
    linear = torch.nn.Linear(8, 8)

    def model(x: Tensor, level: Level, cond: Condition) -> Tensor:
        return linear(x).to(x.dtype)

    x, level = torch.randn(3, 8), Level(torch.tensor(0.6), torch.tensor(0.8))
    exact, half = (in_arithmetic(model, name)(x, level, {}) for name in ("32", "bf16"))
    assert half.dtype == x.dtype
    assert not torch.equal(exact, half)
    torch.testing.assert_close(exact, half, atol=0.05, rtol=0.05)


def test_threads_are_as_before_outside() -> None:
    with threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_one_way_needs_no_trial() -> None:
    class Untouched:
        def __call__(self, x: Tensor, level: Level, cond: Condition, /) -> Tensor:
            raise AssertionError("nothing is left to choose")

    with threads(1):
        assert quickest(Untouched(), Plan(Flow()), torch.arange(4), (2,), {}, 2000) == Way("32", 1)
