"""Signals to training in a process of its own: orderly stops, kills, and going on to the same bits."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trial import Recorder, Start, Trial, assert_bit_equal, command, environment

from ptdiff.modality import registry
from ptdiff.run.checkpoint import latest
from ptdiff.run.folder import Run

SCRIPT = """
import sys
from pathlib import Path
import torch
from ptdiff.modality import registry
from ptdiff.run.folder import Run
from ptdiff.training.observer import Observer
from ptdiff.training.fit import fit

class Watch(Observer):
    def tick(self, done, fraction, seconds):
        print(f"step {done}", flush=True)
    def say(self, line):
        print(line, flush=True)

torch.set_num_threads(1)
registry.trust("tiny_modality:Tiny")
run = Run.open(Path(sys.argv[1]))
kind = run.modality()
outcome = fit(run, kind, kind.dataset(), observer=Watch())
sys.exit(0 if outcome.signal is None else 128 + outcome.signal)
"""


def process(trial: Trial) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(trial.run.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
    )


def wait_for(child: subprocess.Popen[str], word: str) -> str:
    assert child.stdout is not None
    lines = []
    for line in child.stdout:
        lines.append(line)
        if word in line:
            return line
    raise AssertionError(f"{word!r} never came: {''.join(lines)[-2000:]}")


NUMBERS = [signal.SIGINT, signal.SIGTERM, *(getattr(signal, n) for n in ("SIGHUP", "SIGUSR1") if hasattr(signal, n))]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_leaves_a_usable_run_and_its_exit_code(start: Start, number: signal.Signals) -> None:
    whole, trial = start("whole", {"delay": 0.0}), start("stopped", {"delay": 0.03}, steps=40)
    whole.fit()
    with process(trial) as child:
        wait_for(child, "step 10")
        child.send_signal(number)
        rest = child.communicate(timeout=60)[0]
    assert child.returncode == 128 + number, rest
    assert "stopping after this step" in rest
    step = trial.state()["step"]
    assert 10 <= step < 40
    assert trial.run.denoiser() is not None
    assert trial.fit().steps == 40
    assert_bit_equal(whole.tensors(), trial.tensors())


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no terminals that hang up")
def test_a_lost_terminal_saves_though_nothing_can_be_written_to_it(start: Start) -> None:
    import pty

    try:
        ours, theirs = pty.openpty()
    except OSError as error:
        pytest.skip(f"no terminal can be made here: {error}")
    trial = start("stopped", {"delay": 0.03}, steps=40)
    child = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(trial.run.path)],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(),
        start_new_session=True,
    )
    os.close(theirs)
    seen = b""
    while b"step 10" not in seen:
        seen += os.read(ours, 1000)
    os.close(ours)
    # the system and the shell both send it, the second at any time until the process has ended
    end = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end:
        child.send_signal(signal.SIGHUP)
        time.sleep(0.002)
    assert child.wait(timeout=1) == 128 + signal.SIGHUP
    assert 10 <= trial.state()["step"] < 40


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no terminals that hang up")
def test_nohup_is_heeded(start: Start) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        outcome = start(steps=20).fit(Recorder(lambda done: os.kill(os.getpid(), signal.SIGHUP)))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (outcome.signal, outcome.steps) == (None, 20)


@pytest.mark.slow
def test_a_second_signal_ends_at_once_and_saves_nothing(start: Start) -> None:
    trial = start("stopped", {"delay": 1.0}, steps=40, inner_steps=2)
    with process(trial) as child:
        wait_for(child, "step 2")
        child.send_signal(signal.SIGINT)
        wait_for(child, "repeat to stop immediately")
        child.send_signal(signal.SIGINT)
        child.wait(timeout=30)
    assert child.returncode == 130
    assert latest(trial.run.checkpoints) is None


@pytest.mark.slow
def test_kills_at_any_moment_change_no_bit_of_the_end(start: Start) -> None:
    training = {"steps": 60, "inner_steps": 3, "save_minutes": 0.05 / 60}
    whole, trial = start("whole", **training), start("killed", {"delay": 0.02}, **training)
    whole.fit()
    chance, kills, reached = random.Random(1), 0, 0
    while True:
        with process(trial) as child:
            assert child.stdout is not None
            if kills < 5:
                wait_for(child, "step")
                time.sleep(chance.uniform(0, 0.5))
                child.kill()
                kills += 1
            child.communicate(timeout=120)
        found = latest(trial.run.checkpoints)
        step = 0 if found is None else found.step
        assert step >= reached, "a committed checkpoint is gone"
        reached = step
        if child.returncode == 0:
            break
    assert kills == 5
    assert trial.state()["step"] == 60
    assert_bit_equal(whole.tensors(), trial.tensors())


def end(child: subprocess.Popen[str], timeout: float = 120) -> tuple[int, str]:
    out = child.communicate(timeout=timeout)[0]
    return child.returncode, out


TRAIN = ["train", "-m", "tiny_modality:Tiny", "--steps", "60", "--threads", "1", "--set", "training.batch=8"]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_line_stops_on_a_signal_and_resumes_to_the_end(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "run"
    with command(*TRAIN, "-o", "delay=0.1", "--set", "training.inner_steps=1", "--out", path) as child:
        deadline = time.monotonic() + 100
        # a report needs steps: it is written every five seconds
        while not (path / "metrics.jsonl").exists() and time.monotonic() < deadline and child.poll() is None:
            time.sleep(0.1)
        child.send_signal(number)
        code, out = end(child)
    assert code == 128 + number, out
    assert f"ptdiff resume {path}" in out
    run = Run.open(path)
    assert 1 <= run.checkpoint().step < 60
    code, out = end(command("resume", path, "--threads", "1", "--trust", "tiny_modality:Tiny"))
    assert code == 0, out
    assert run.checkpoint().step == 60
    kind = registry.load("tiny_modality:Tiny", {})
    whole = Run.create(tmp_path / "whole", run.config.model_copy(update={"options": {}}), kind.dataset())
    trial = Trial(whole, kind, kind.dataset())
    trial.fit()
    assert_bit_equal(trial.tensors(), Trial(run, kind, kind.dataset()).tensors())
    steps = [json.loads(line)["step"] for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps)
    assert steps[-1] == 60


@pytest.mark.slow
def test_the_command_line_gives_up_a_divergence_with_exit_code_4(tmp_path: Path) -> None:
    code, out = end(command(*TRAIN, "-o", "broken=true", "--out", tmp_path / "run"))
    assert code == 4, out
    assert out.count("times the learning rate") == 3
    assert "training diverged" in out
    assert "Traceback" not in out
    assert latest(tmp_path / "run" / "checkpoints") is None


def test_a_signal_in_the_middle_of_a_line_stops_too_and_is_told_after_it(start: Start) -> None:
    class Writing(Recorder):
        """Cannot say anything while it reports step 10: a stream that is being written to cannot be entered again."""

        busy = False

        def say(self, line: str) -> None:
            if self.busy:
                raise RuntimeError("reentrant call")
            super().say(line)

        def tick(self, done: int, fraction: float, seconds: float) -> None:
            self.busy = True
            if done == 10:
                os.kill(os.getpid(), signal.SIGINT)
            self.busy = False

    trial, seen = start(inner_steps=1), Writing()
    outcome = trial.fit(seen)
    assert (outcome.signal, outcome.steps) == (signal.SIGINT, 10)
    assert any(line.startswith("stopping after this step") for line in seen.lines)
