"""Training that becomes slow is remarked upon once, and long blocks become short ones."""

from __future__ import annotations

import signal
import time
from typing import Any

import pytest
from test_fit import stop_at
from torch import Tensor, nn
from trial import Recorder, Start, Trial, assert_bit_equal

from ptdiff.training import module as module_file
from ptdiff.training.slowness import Pace


def lines(pace: Pace, *stretches: tuple[int, float]) -> list[str]:
    """What is said during stretches of (steps, steps per second), seen step by step."""
    found, done, seconds = [], 0, 0.0
    for steps, rate in stretches:
        for _ in range(steps):
            done, seconds = done + 1, seconds + 1 / rate
            pace.see(done, seconds)
            found.append(pace.remark())
    return [line for line in found if line is not None]


def test_a_third_of_the_first_rate_is_remarked_upon_once() -> None:
    (line,) = lines(Pace(), (100, 3.0), (60, 0.9), (100, 3.0), (100, 0.5))
    assert "is the machine busy" in line and "from 3 at first" in line


def test_half_of_the_rate_a_slow_first_step_and_a_short_pause_are_not() -> None:
    assert lines(Pace(), (200, 3.0), (200, 1.5)) == []
    assert lines(Pace(), (1, 0.02), (200, 3.0)) == []
    assert lines(Pace(), (200, 3.0), (3, 0.3), (200, 3.0)) == []


def test_a_rate_that_was_measured_before_is_the_yardstick() -> None:
    assert lines(Pace(), (100, 0.9)) == []
    (line,) = lines(Pace(3.0), (100, 0.9))
    assert "0.9 steps/s from 3" in line


def test_a_return_to_a_checkpoint_is_no_slowness() -> None:
    pace = Pace(3.0)
    assert lines(pace, (100, 3.0)) == []
    assert lines(pace, (100, 3.0)) == []


class Slow(nn.Module):
    """A network that takes its time."""

    def __init__(self, inner: nn.Module, seconds: float) -> None:
        super().__init__()
        self.inner, self.seconds = inner, seconds

    def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        time.sleep(self.seconds)
        y: Tensor = self.inner(x, angle, cond)
        return y


def slowed(trial: Trial, seconds: float, monkeypatch: pytest.MonkeyPatch) -> Trial:
    backbone = type(trial.modality).backbone
    monkeypatch.setattr(type(trial.modality), "backbone", lambda self, data: Slow(backbone(self, data), seconds))
    return trial


class Timed(Recorder):
    """Notes when each thing happens."""

    def __init__(self, act: Any = None) -> None:
        super().__init__(act)
        self.times: list[float] = []

    def tick(self, done: int, fraction: float, seconds: float) -> None:
        self.times.append(time.monotonic())
        super().tick(done, fraction, seconds)


@pytest.mark.slow
def test_a_stop_is_obeyed_after_the_step_under_way_of_a_slow_network(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    # without parts measured, which would call the network before the first step
    options: dict[str, Any] = {"steps": 9, "inner_steps": 10, "micro_batch": None, "validations": 0}
    whole = start("whole", **options)
    whole.fit()
    trial = slowed(start("slow", **options), 0.3, monkeypatch)
    recorder = Timed(stop_at(1).act)
    assert trial.fit(recorder).steps in (1, 2)
    # in the middle of a block, where the next steps stand ready
    assert trial.fit(Timed(stop_at(4).act)).steps in (4, 5)
    trial.fit()
    mine = {name.replace(".inner.", "."): value for name, value in trial.tensors().items()}
    assert_bit_equal(whole.tensors(), mine)


@pytest.mark.slow
def test_a_block_ends_soon_where_steps_are_slow(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_file, "BLOCK", 0.2)
    trial, recorder = slowed(start(steps=8, inner_steps=10, micro_batch=None), 0.15, monkeypatch), Recorder()
    recorder.reports_at = []  # type: ignore[attr-defined]
    recorder.report = lambda values: recorder.reports_at.append(values["step"])  # type: ignore[attr-defined,method-assign]
    trial.fit(recorder)
    assert recorder.steps == list(range(1, 9)), "every step is seen, not every block"
    # a report waits for half a second and the end of a block, not for the end of all eight steps
    assert len(recorder.reports_at) >= 2  # type: ignore[attr-defined]


def test_a_stop_before_the_first_step_does_none(start: Start) -> None:
    trial = start("early", steps=9, inner_steps=1)

    class Impatient(Recorder):
        def begin(self, what: str) -> None:
            if what == "first step":
                signal.raise_signal(signal.SIGINT)

    assert trial.fit(Impatient()).steps == 0
    whole = start("whole", steps=9, inner_steps=1)
    whole.fit()
    assert trial.fit().steps == 9
    assert_bit_equal(whole.tensors(), trial.tensors())
