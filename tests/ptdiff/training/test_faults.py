"""What goes wrong beside the mathematics: losses that are not finite, loggers, previews and disks that fail."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from pytorch_lightning.loggers.logger import Logger
from torch import Tensor
from trial import Recorder, Start, Trial, assert_bit_equal

import ptdiff.training.callbacks as callbacks
from ptdiff.errors import CheckpointError, Diverged
from ptdiff.noise import Stream, mix
from ptdiff.training.fit import ROLLBACKS
from ptdiff.training.module import PATIENCE
from ptdiff.training.trackers import Trackers


class Poisoned:
    """Samples that are not finite in some steps, the first time or always."""

    def __init__(self, trial: Trial, steps: range, *, times: int = 10**9, value: float = float("nan")) -> None:
        assert trial.data.train is not None
        self.inner, self.value, self.times = trial.data.train, value, times
        self.seeds = {mix(0, int(Stream.DATA), step): step for step in steps}
        self.seen: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, ids: Tensor, seed: int) -> Any:
        x, cond = self.inner.batch(ids, seed)
        step = self.seeds.get(seed)
        if step is not None:
            self.seen[step] = self.seen.get(step, 0) + 1
            if self.seen[step] <= self.times:
                x = torch.full_like(x, self.value)
        return x, cond


def poison(trial: Trial, steps: range, **options: Any) -> Poisoned:
    samples = Poisoned(trial, steps, **options)
    trial.data = replace(trial.data, train=samples)
    return samples


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_steps_without_a_finite_gradient_are_skipped_and_counted(start: Start, value: float) -> None:
    trial = start(steps=12, inner_steps=1)
    poison(trial, range(4, 7), value=value)
    weights: dict[int, Tensor] = {}
    module: list[Any] = []

    class Keep(Recorder):
        def tick(self, done: int, fraction: float, seconds: float) -> None:
            weights[done] = module[0].denoiser.net.out.weight.detach().clone()

    original = callbacks.OrderlyStop.on_train_start

    def note(self: Any, trainer: Any, found: Any) -> None:
        module.append(found)
        original(self, trainer, found)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(callbacks.OrderlyStop, "on_train_start", note)
        trial.fit(Keep())
    for done in range(2, 13):
        moved = not torch.equal(weights[done], weights[done - 1])
        # step s is done as number s + 1
        assert moved == (done - 1 not in (4, 5, 6)), done
    assert trial.state()["skipped"] == 3
    assert all(torch.isfinite(value).all() for value in trial.tensors().values())
    # a step that was skipped does not count for the optimizer's corrections of bias either
    assert {float(v) for k, v in trial.tensors().items() if k.endswith(".step")} == {9.0}


def test_the_reported_loss_is_that_of_the_finite_samples(start: Start) -> None:
    clean, trial = start("clean", steps=10), start("spoiled", steps=10)
    poison(trial, range(9, 10))
    for each in (clean, trial):
        each.fit()
    mine, theirs = (json.loads((t.run.path / "metrics.jsonl").read_text()) for t in (clean, trial))
    # nine of ten steps are the same
    assert theirs["loss"] == pytest.approx(mine["loss"], rel=0.2)
    assert theirs["skipped_steps"] == 1


def test_a_loss_that_stays_bad_for_less_than_the_patience_ends_nothing(start: Start) -> None:
    trial = start(steps=40, inner_steps=1)
    poison(trial, range(10, 10 + PATIENCE - 1))
    recorder = Recorder()
    assert trial.fit(recorder).steps == 40
    assert not recorder.lines
    assert trial.state()["skipped"] == PATIENCE - 1
    assert trial.state()["rate"] == 1.0


@pytest.mark.parametrize("inner", [1, 10])
def test_a_divergence_goes_back_to_the_last_checkpoint_at_half_the_rate(start: Start, inner: int) -> None:
    trial = start(steps=60, inner_steps=inner)
    # a first part that is saved
    assert trial.fit(Recorder(stop_after(20))).steps == 20
    saved = trial.tensors()
    samples = poison(trial, range(30, 30 + 2 * PATIENCE), times=1)
    recorder = Recorder()
    assert trial.fit(recorder).steps == 60
    assert [line for line in recorder.lines if "half" in line or "0.5" in line]
    # twice bad: the first pass ends after PATIENCE steps, the second finds the later steps bad and ends again
    assert samples.seen[30] >= 2
    back = [a for a, b in zip(recorder.steps, recorder.steps[1:], strict=False) if b < a]
    assert back
    assert recorder.steps[recorder.steps.index(back[0]) + 1] == 21
    assert trial.state()["rate"] in (0.5, 0.25)
    assert not torch.equal(saved["model.net.out.weight"], trial.tensors()["model.net.out.weight"])


def stop_after(step: int) -> Any:
    import os
    import signal

    return lambda done: os.kill(os.getpid(), signal.SIGTERM) if done == step else None


def test_a_loss_that_never_recovers_is_given_up_and_the_last_good_checkpoint_stays(start: Start) -> None:
    trial = start(steps=60, inner_steps=1)
    trial.fit(Recorder(stop_after(20)))
    saved = trial.tensors()
    samples = poison(trial, range(25, 60))
    recorder = Recorder()
    with pytest.raises(Diverged, match=f"{PATIENCE} steps"):
        trial.fit(recorder)
    assert samples.seen[25] == ROLLBACKS + 1
    assert [line.rsplit(" with ")[1] for line in recorder.lines] == [
        f"{rate} times the learning rate" for rate in ("0.5", "0.25", "0.125")
    ]
    assert trial.state()["step"] == 20
    assert_bit_equal(saved, trial.tensors())


def test_a_rate_that_was_halved_before_is_halved_again_after_a_resume(start: Start) -> None:
    trial = start(steps=80, inner_steps=1)
    poison(trial, range(5, 5 + PATIENCE), times=1)
    trial.fit(Recorder(stop_after(40)))
    assert trial.state()["rate"] == 0.5
    poison(trial, range(50, 50 + PATIENCE), times=1)
    recorder = Recorder()
    trial.fit(recorder)
    assert trial.state()["rate"] == 0.25
    assert len(recorder.lines) == 1


class Broken(Logger):
    """A tracker that fails wherever it is told to."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where, self.calls = where, 0

    def _maybe(self, where: str) -> None:
        if where == self.where:
            self.calls += 1
            raise RuntimeError(f"no {where}")

    @property
    def name(self) -> str:
        self._maybe("name")
        return "broken"

    @property
    def version(self) -> str:
        return "0"

    @property
    def experiment(self) -> Any:
        self._maybe("experiment")

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        _ = self.experiment
        self._maybe("log_metrics")

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self._maybe("log_hyperparams")

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        self._maybe("log_graph")

    def save(self) -> None:
        self._maybe("save")

    def finalize(self, status: str) -> None:
        self._maybe("finalize")


PLACES = ["experiment", "log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "name"]


@pytest.mark.parametrize("where", PLACES)
def test_a_logger_that_fails_never_stops_training_and_costs_no_bit(start: Start, where: str) -> None:
    plain, trial = start("plain", steps=6), start("logged", steps=6)
    plain.fit()
    recorder, logger = Recorder(), Broken(where)
    assert trial.fit(recorder, loggers=[logger]).steps == 6
    assert_bit_equal(plain.tensors(), trial.tensors())
    if logger.calls:
        assert logger.calls == 1
        assert any("Broken failed and is switched off" in line and f"no {where}" in line for line in recorder.lines)


def test_a_logger_that_fails_does_not_silence_the_others() -> None:
    class Good:
        def __init__(self) -> None:
            self.seen: list[Any] = []

        def log_metrics(self, metrics: Any, step: int) -> None:
            self.seen.append((metrics, step))

        def save(self) -> None:
            self.seen.append("saved")

        def finalize(self, status: str) -> None:
            self.seen.append(status)

    good, lines = Good(), []  # type: ignore[var-annotated]
    trackers = Trackers([Broken("save"), good, Broken("finalize")], lines.append)
    trackers.log({"loss": 1.0}, 5)
    trackers.log({"loss": 0.5}, 6)
    trackers.close("success")
    assert good.seen == [({"loss": 1.0}, 5), "saved", ({"loss": 0.5}, 6), "saved", "success"]
    assert len(lines) == 2


def test_previews_are_drawn_and_cost_no_bit(start: Start) -> None:
    plain = start("plain", {"classes": 2, "dropout": 0.2}, steps=6, inner_steps=1)
    trial = start("drawn", {"classes": 2, "dropout": 0.2}, steps=6, inner_steps=1, preview_minutes=1e-9)
    plain.fit()
    recorder = Recorder()
    trial.fit(recorder)
    assert not recorder.lines
    pictures = sorted(p.name for p in (trial.run.path / "samples").iterdir())
    assert pictures == [f"step-{step:07d}.png" for step in range(1, 7)]
    assert_bit_equal(plain.tensors(), trial.tensors())


def test_a_preview_that_fails_never_stops_training(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise ImportError("no pencil")

    monkeypatch.setattr(callbacks, "save_image", fail)
    trial, recorder = start(steps=6, inner_steps=1, preview_minutes=1e-9), Recorder()
    assert trial.fit(recorder).steps == 6
    assert recorder.lines == ["no preview at step 1: ImportError: no pencil"]


def failing_saves(monkeypatch: pytest.MonkeyPatch, fails: range) -> list[int]:
    calls: list[int] = []
    original = callbacks.save_state

    def save(*arguments: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] in fails:
            raise CheckpointError("no room")
        return original(*arguments)

    monkeypatch.setattr(callbacks, "save_state", save)
    return calls


def test_two_saves_that_fail_are_reported_and_training_goes_on(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_saves(monkeypatch, range(2))
    trial, recorder = start(steps=8, inner_steps=1, save_minutes=1e-9), Recorder()
    assert trial.fit(recorder).steps == 8
    assert recorder.lines == ["no room (1 in a row)", "no room (2 in a row)"]
    assert trial.state()["step"] == 8


def test_three_saves_that_fail_in_a_row_end_the_run(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = failing_saves(monkeypatch, range(2, 5))
    trial, recorder = start(steps=20, inner_steps=1, save_minutes=1e-9), Recorder()
    with pytest.raises(CheckpointError, match="no room"):
        trial.fit(recorder)
    assert len(calls) == 5
    assert trial.state()["step"] == 2


def test_a_last_save_that_fails_is_never_a_silent_success(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    failing_saves(monkeypatch, range(1))
    with pytest.raises(CheckpointError):
        start(steps=3).fit()


def test_metrics_that_cannot_be_written_do_not_end_a_run(start: Start) -> None:
    trial, recorder = start(steps=5), Recorder()
    (trial.run.path / "metrics.jsonl").mkdir()
    assert trial.fit(recorder).steps == 5
    assert any("cannot write metrics.jsonl" in line for line in recorder.lines)
    assert recorder.reports[-1]["step"] == 5


def test_signal_handlers_are_as_before_after_training(start: Start) -> None:
    import signal

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    start("good", steps=3).fit()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    trial = start("bad", steps=30, inner_steps=1)
    poison(trial, range(30))
    with pytest.raises(Diverged):
        trial.fit()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
