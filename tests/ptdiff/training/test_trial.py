"""The trial before training: it finds the quickest way, says why, costs little, and is kept with the run."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from trial import Recorder, Start, assert_bit_equal

from ptdiff.machine import host
from ptdiff.machine.timing import CLOSE, Way, plainest, race
from ptdiff.modality import Modality, Visualizer
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.run.config import merged, read, validate
from ptdiff.training.autotune import SECONDS, Settled, pays, settle, worth_a_try
from ptdiff.training.autotuned import comes_of

SINGLE, DOUBLE, HALF = Way("32", 1, 1), Way("32", 2, 1), Way("bf16", 1, 1)


class Clock:
    """Seconds that pass only in what is measured; each measurement comes out as the way's own time, times a factor."""

    def __init__(self, seconds: dict[Way, float], factors: Iterator[float] | None = None) -> None:
        self.seconds, self.factors, self.now, self.asked = seconds, factors, 0.0, dict.fromkeys(seconds, 0)

    def __call__(self) -> float:
        return self.now

    def measure(self, way: Way) -> float:
        spent = self.seconds[way] * (next(self.factors) if self.factors else 1.0)
        self.now += spent
        self.asked[way] += 1
        return spent


def test_the_quickest_way_leads_and_hopeless_ones_are_given_up_after_one_step() -> None:
    clock = Clock({SINGLE: 0.10, DOUBLE: 0.06, HALF: 0.90})
    found = race(list(clock.seconds), clock.measure, SECONDS, clock)
    assert plainest(found) == DOUBLE
    assert clock.asked[HALF] == 1
    assert clock.now < SECONDS + 0.9


def test_of_ways_that_are_about_as_quick_the_plainest_is_taken() -> None:
    assert plainest({SINGLE: 0.1, DOUBLE: 0.1 / CLOSE * 1.001, HALF: 0.099}) == SINGLE
    assert plainest({SINGLE: 0.1, HALF: 0.09}) == HALF


def test_times_that_scatter_by_a_half_mislead_nobody_by_more_than_a_twentieth() -> None:
    chance = torch.Generator().manual_seed(0)

    def scattered() -> Iterator[float]:
        while True:
            yield 0.75 + 0.5 * float(torch.rand((), generator=chance))

    regrets = []
    for _ in range(200):
        seconds = {SINGLE: 0.05, DOUBLE: 0.03, HALF: 0.045}
        clock = Clock(seconds, scattered())
        chosen = plainest(race(list(seconds), clock.measure, SECONDS, clock))
        regrets.append(seconds[chosen] / min(seconds.values()))
    assert max(regrets) <= 1.05


class Slow(nn.Module):
    """A linear network that sleeps as it is told to by its modality."""

    def __init__(self, options: Paced) -> None:
        super().__init__()
        self.options, self.linear = options, nn.Linear(2, 2)

    def forward(self, x: Tensor, angle: Tensor, cond: dict[str, Tensor]) -> Tensor:
        half = torch.is_autocast_enabled("cpu")
        busy = torch.get_num_threads() > 1
        time.sleep(self.options.pause * (self.options.half if half else 1) * (self.options.threads if busy else 1))
        y: Tensor = self.linear(x)
        return y * self.options.wrong if half else y


@dataclass(frozen=True)
class Paced(Modality):
    """Points in the plane; a step takes ``pause`` s, times ``half`` in bfloat16, times ``threads`` with several."""

    pause: float = 0.01
    half: float = 1.0
    threads: float = 1.0
    wrong: float = 1.0

    def dataset(self) -> Data:
        points = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
        return Data((2,), train=TensorSplit(points), val=TensorSplit(points[:8])).measured()

    def backbone(self, data: Data) -> nn.Module:
        return Slow(self)

    def visualizer(self) -> Visualizer:
        raise NotImplementedError


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two threads whose products of matrices are as quick in bfloat16 as in float32."""
    monkeypatch.setattr(host, "gemm_peak", lambda *_, **__: 100.0)
    torch.set_num_threads(2)


def settled(kind: Modality, **training: Any) -> Settled:
    values = {"modality": "paced", "training": {"steps": None, "minutes": 1, "batch": 8} | training}
    return settle(validate(merged({}, values)), kind, kind.dataset(), torch.device("cpu"))


@pytest.mark.usefixtures("capable")
def test_float32_is_taken_where_bfloat16_is_slower_and_the_line_says_so() -> None:
    found = settled(Paced(half=3.0))
    assert found.config.training.precision == "32"
    assert found.line().startswith("float32")
    assert "steps/s" in found.line() and "in 1 minutes" in found.line()


@pytest.mark.usefixtures("capable")
def test_bfloat16_is_taken_where_it_is_quicker_and_keeps_the_loss() -> None:
    assert settled(Paced(half=0.5)).config.training.precision == "bf16"
    spoiled = settled(Paced(half=0.5, wrong=3.0))
    assert spoiled.config.training.precision == "32"
    assert "the loss differs in bfloat16" in spoiled.line()


@pytest.mark.usefixtures("capable")
def test_one_thread_is_taken_where_two_are_slower() -> None:
    found = settled(Paced(threads=2.0))
    assert (found.config.training.threads, found.config.training.shards) == (1, 1)
    assert "slower now" in found.line()


@pytest.mark.usefixtures("capable")
def test_what_is_given_is_not_tried() -> None:
    found = settled(Paced(half=0.2, threads=5.0), precision="32", threads=2, shards=1)
    assert found.way == Way("32", 2, 1)
    assert list(found.seconds) == [found.way]


def test_emulated_bfloat16_costs_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "gemm_peak", lambda kind, *_, **__: 50.0 if kind == torch.float32 else 1.0)
    found = settled(Paced(half=1000.0))
    assert found.config.training.precision == "32"
    assert found.line().startswith("float32: this processor has no fast bfloat16 (50x slower)")


def test_threads_are_as_before_after_a_trial() -> None:
    torch.set_num_threads(1)
    settled(Paced())
    assert torch.get_num_threads() == 1


def test_a_run_keeps_what_was_chosen_and_says_it_once(start: Start) -> None:
    trial, seen = start(precision="auto", threads="auto", shards="auto", steps=30), Recorder()
    trial.fit(seen)
    kept = validate(read(trial.run.path / "config.yaml")).training
    assert "auto" not in (kept.precision, kept.threads, kept.shards)
    told = json.loads((trial.run.path / "env.json").read_text())["trial"]
    assert told["chosen"] in seen.lines
    assert told["tried"]
    # as the command line would: opened anew, and it was finished already
    again, lines = Recorder(), len(seen.lines)
    trial.run = type(trial.run).open(trial.run.path)
    trial.fit(again)
    assert told["chosen"] not in again.lines and len(again.lines) < lines


def test_the_trial_changes_no_bit_of_the_run(start: Start) -> None:
    # given by name on one side, found by a trial on the other: a run this short is not worth more than the plainest
    plain, tried = start("plain"), start("tried", precision="auto", threads="auto", shards="auto")
    plain.fit()
    tried.fit()
    assert_bit_equal(plain.tensors(), tried.tensors())


def test_a_run_in_bfloat16_is_told_where_that_is_slow(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "gemm_peak", lambda kind, *_, **__: 50.0 if kind == torch.float32 else 1.0)
    trial, seen = start(precision="bf16", steps=2), Recorder()
    trial.fit(seen)
    assert any("bfloat16" in line and "50x" in line for line in seen.lines)
    assert trial.run.config.training.precision == "bf16"


def test_compiling_pays_where_what_it_saves_is_more_than_it_takes() -> None:
    assert pays(run=3600, plain=0.1, compiled=0.08, took=60)
    assert not pays(run=3600, plain=0.1, compiled=0.099, took=60)
    assert not pays(run=60, plain=0.1, compiled=0.05, took=60)


def test_only_long_runs_on_gpus_are_worth_trying_to_compile() -> None:
    long, short = (
        validate({"modality": "paced", "training": {"steps": None, "minutes": minutes}}) for minutes in (60, 5)
    )
    assert worth_a_try(long, torch.device("cuda"), each=0.1)
    assert not worth_a_try(short, torch.device("cuda"), each=0.1)
    assert not worth_a_try(long, torch.device("cpu"), each=0.1)


def test_a_settled_configuration_comes_of_the_one_that_left_it_open() -> None:
    asked = validate({"modality": "paced", "training": {"steps": None, "minutes": 1}})
    done = settled(Paced()).config
    done = done.model_copy(update={"training": done.training.model_copy(update={"batch": asked.training.batch})})
    assert comes_of(done, asked)
    assert comes_of(asked, asked)
    for change in ({"batch": 7}, {"lr": 1.0}, {"warmup": 10**6}):
        assert not comes_of(done.model_copy(update={"training": done.training.model_copy(update=change)}), asked)


@pytest.mark.usefixtures("capable")
def test_data_that_is_slow_to_read_takes_no_time_from_the_race() -> None:
    class Slowly(Paced):
        def backbone(self, data: Data) -> nn.Module:
            time.sleep(SECONDS)
            return super().backbone(data)

    assert settled(Slowly(half=0.3)).config.training.precision == "bf16"
