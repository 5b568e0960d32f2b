"""Fitting: bit-exact resuming, learning what can be known, ending when it should."""

from __future__ import annotations

import itertools
import json
import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from trial import Recorder, Start, Trial, assert_bit_equal

from ptdiff.denoiser.oracle import Gaussian
from ptdiff.density import LogitNormal
from ptdiff.process import Flow
from ptdiff.training.callbacks import Reports
from ptdiff.training.fit import _Blocks


def stop_at(step: int) -> Recorder:
    """Asks for an orderly stop after so many steps, by the signal that Ctrl-C sends."""
    return Recorder(lambda done: os.kill(os.getpid(), signal.SIGINT) if done == step else None)


def stopped_and_resumed(trial: Trial, *steps: int) -> Trial:
    for step in steps:
        outcome = trial.fit(stop_at(step))
        assert outcome.signal == signal.SIGINT
        # the signal comes after a step and the next one is finished before the run stops, unless it stops between two
        assert trial.state()["step"] == outcome.steps < 40
    assert trial.fit().steps == 40
    return trial


@pytest.mark.parametrize(
    "options",
    [{}, {"classes": 3}, {"dropout": 0.3}],
    ids=["plain", "with labels hidden at random", "with dropout"],
)
def test_a_run_that_was_stopped_ends_bit_equal_to_one_that_was_not(start: Start, options: dict[str, Any]) -> None:
    whole = start("whole", options, inner_steps=1)
    assert whole.fit().steps == 40
    parted = stopped_and_resumed(start("parted", options, inner_steps=1), 17, 31)
    assert_bit_equal(whole.tensors(), parted.tensors())
    assert whole.state()["ema_updates"] == parted.state()["ema_updates"] == 40


def test_a_run_may_be_stopped_at_every_single_step(start: Start) -> None:
    whole = start("whole", steps=8, inner_steps=1)
    whole.fit()
    parted = start("parted", steps=8, inner_steps=1)
    for step in range(1, 8):
        assert parted.fit(stop_at(step)).steps == step
    assert parted.fit().steps == 8
    assert_bit_equal(whole.tensors(), parted.tensors())


def test_the_number_of_steps_inside_one_lightning_step_changes_no_bit(start: Start) -> None:
    results = {}
    for inner in (1, 7, 10, 64):
        trial = start(f"inner-{inner}", {"classes": 2}, inner_steps=inner)
        trial.fit()
        results[inner] = trial.tensors()
    for inner in (7, 10, 64):
        assert_bit_equal(results[1], results[inner])


def test_another_seed_is_another_run(start: Start) -> None:
    from ptdiff.run.config import validate
    from ptdiff.run.folder import Run

    one, other = start("one"), start("other")
    other.run = Run(other.run.path, validate(other.run.config.model_dump() | {"seed": 1}), other.data)
    one.fit()
    other.fit()
    assert not torch.equal(one.tensors()["model.net.out.weight"], other.tensors()["model.net.out.weight"])


def test_the_global_random_state_changes_nothing(start: Start) -> None:
    one, other = start("one", {"dropout": 0.2}), start("other", {"dropout": 0.2})
    one.fit()
    torch.manual_seed(12345)
    torch.randn(7)
    other.fit(Recorder(lambda done: torch.manual_seed(done)))  # type: ignore[arg-type,return-value]
    assert_bit_equal(one.tensors(), other.tensors())


def test_a_finished_run_is_left_as_it_is(start: Start) -> None:
    trial = start(steps=5)
    first = trial.fit()
    before = trial.tensors()
    again = trial.fit()
    assert (again.steps, again.seconds, again.signal) == (5, pytest.approx(first.seconds), None)
    assert_bit_equal(before, trial.tensors())


def test_the_denoiser_approaches_the_posterior_mean(start: Start) -> None:
    trial = start(
        options={"count": 4000, "width": 48},
        steps=700,
        batch=256,
        lr=1e-2,
        ema=0.99,
        warmup=20,
        save_minutes=60,
    )
    trial.fit()
    assert trial.data.train is not None
    z = trial.data.normalize(trial.data.train.x)  # type: ignore[attr-defined]
    exact = Gaussian(z.mean(dim=0), z.std(dim=0))
    generator = torch.Generator().manual_seed(0)
    x0 = exact.mean + exact.std * torch.randn(2000, 2, generator=generator)
    eps = torch.randn(2000, 2, generator=generator)
    level = Flow().level(torch.linspace(0.02, 0.98, 2000))
    wide = level.like(x0)
    x = wide.alpha * x0 + wide.sigma * eps
    average = trial.run.denoiser()
    raw = trial.run.denoiser(weights="raw")
    truth = exact(x, level, {})
    with torch.no_grad():
        error = (average(x, level, {}) - truth).square().mean().sqrt()
        jumpy = (raw(x, level, {}) - truth).square().mean().sqrt()
        untrained = (trial.run.network()(x, level, {}) - truth).square().mean().sqrt()
    assert float(untrained) > 0.2
    assert float(error) < 0.03
    assert float(jumpy) < 0.03


def test_the_loss_falls_to_what_the_best_denoiser_leaves(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Reports.__init__, "__defaults__", (0.0,))
    trial = start(options={"count": 4000, "width": 32}, steps=400, batch=128, inner_steps=5)
    recorder = Recorder()
    trial.fit(recorder)
    losses = torch.tensor([values["loss"] for values in recorder.reports])
    # the first step alone, then five at a time
    assert len(losses) == 81
    # x = cos x0 + sin eps, v = cos eps - sin x0:  Var(v | x) = s^2 / (s^2 cos^2 + sin^2) for data of deviation s
    assert trial.data.train is not None
    variance = trial.data.normalize(trial.data.train.x).var(dim=0)  # type: ignore[attr-defined]
    angle = LogitNormal().levels((torch.arange(10_000, dtype=torch.float64) + 0.5) / 10_000, Flow()).angle[:, None]
    best = (variance / (variance * angle.cos() ** 2 + angle.sin() ** 2)).mean()
    assert float(losses[:4].mean()) > 1.05 * best
    assert float(losses[-40:].mean()) == pytest.approx(float(best), rel=0.03)
    lines = [json.loads(line) for line in (trial.run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [*range(1, 401, 5), 400]
    assert all(len(line["loss_by_band"]) == 4 and line["skipped_steps"] == 0 for line in lines)


def test_the_clock_ends_a_run_that_is_given_minutes(start: Start) -> None:
    trial = start(options={"delay": 0.005}, steps=10**9, minutes=0.02, inner_steps=10)
    began = time.monotonic()
    outcome = trial.fit()
    assert 1.2 <= outcome.seconds < 2.0
    assert time.monotonic() - began < 20
    assert 10 < outcome.steps < 250
    assert trial.state()["step"] == outcome.steps
    assert trial.fit().steps == outcome.steps


def test_the_time_already_spent_counts_after_a_resume(start: Start) -> None:
    trial = start(options={"delay": 0.005}, steps=10**9, minutes=0.02, inner_steps=1)
    spent = trial.fit(stop_at(60)).seconds
    assert spent > 0.25
    total = trial.fit().seconds
    assert 1.2 <= total < 1.6
    assert trial.state()["elapsed"] == pytest.approx(total)


@dataclass
class Pretended:
    """A module that has done so many steps, and does so many in a block."""

    done: int
    block: int


def test_blocks_cover_every_step_once_and_cost_nothing_for_a_billion_steps() -> None:
    for first, last, inner in itertools.product((0, 3, 17), (17, 18, 40), (1, 7, 10, 100)):
        module, found = Pretended(first, inner), []
        blocks = _Blocks(module, last, marks=(5, 20))  # type: ignore[arg-type]
        for block in blocks:
            # some blocks end early
            done = block if len(found) % 3 else block[: 1 + len(block) // 2]
            found.append(done)
            module.done = done.stop
            assert len(block) <= inner
            assert not any(block.start < mark < block.stop for mark in (5, 20)), "a block goes over a mark"
        assert [step for block in found for step in block] == list(range(first, last))
        assert len(found) <= len(blocks) == last - first
    began = time.perf_counter()
    assert next(iter(_Blocks(Pretended(0, 1), 10**9))) == range(1)  # type: ignore[arg-type]
    assert time.perf_counter() - began < 0.1


def test_an_empty_training_set_is_refused(start: Start) -> None:
    from dataclasses import replace

    trial = start()
    trial.data = replace(trial.data, train=None)
    with pytest.raises(ValueError, match="no training samples"):
        trial.fit()


def test_checkpoints_come_by_the_clock_and_keep_as_many_as_asked(start: Start) -> None:
    trial = start(options={"delay": 0.01}, steps=30, inner_steps=1, save_minutes=0.05 / 60, keep=3)
    trial.fit()
    steps = sorted(int(p.name) for p in trial.run.checkpoints.iterdir())
    assert len(steps) == 3
    assert steps[-1] == 30
    assert steps[0] > 5


def test_a_damaged_newest_checkpoint_costs_the_steps_since_the_one_before_and_no_bit(start: Start) -> None:
    whole = start("whole", inner_steps=1)
    whole.fit()
    trial = start("damaged", inner_steps=1)
    trial.fit(stop_at(10))
    trial.fit(stop_at(20))
    file = trial.run.checkpoints / "20" / "ema.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 4
    file.write_bytes(data)
    recorder = Recorder()
    assert trial.fit(recorder).steps == 40
    assert any("ema.safetensors has changed" in line for line in recorder.lines)
    assert recorder.steps[0] == 11
    assert (trial.run.checkpoints / "20.damaged").is_dir()
    assert_bit_equal(whole.tensors(), trial.tensors())
