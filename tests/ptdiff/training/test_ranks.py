"""Two ranks on one machine (gloo) give what one device gives, and end together, with replicas or a sharded network."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from trial import Start, Trial, assert_bit_equal, environment

from ptdiff.run.checkpoint import latest
from ptdiff.training.fit import ROLLBACKS

both = pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
# two processes import everything: minutes on a busy machine
pytestmark = pytest.mark.timeout(900)

SCRIPT = """
import os, sys
from pathlib import Path
import torch
from ptdiff.errors import Diverged
from ptdiff.modality import registry
from ptdiff.run.folder import Run
from ptdiff.training.observer import Observer
from ptdiff.training.fit import Hardware, fit

class Watch(Observer):
    def say(self, line):
        print(line, flush=True)

    def tick(self, done, fraction, seconds):
        print(f"step {done}", flush=True)

torch.set_num_threads(1)
registry.trust("tiny_modality:Tiny")
run = Run.open(Path(sys.argv[1]))
kind = run.modality()
try:
    outcome = fit(run, kind, kind.dataset(), hardware=Hardware(devices=2, strategy=sys.argv[2]), observer=Watch())
except (ConnectionError, Diverged) as error:
    sys.exit(f"{type(error).__name__}: {error}")
sys.exit(0 if outcome.signal is None else 128 + outcome.signal)
"""


def two_ranks(trial: Trial, spoil: str = "", strategy: str = "ddp") -> subprocess.Popen[str]:
    # Lightning starts the second rank by running the same file again
    script = trial.run.path.parent / "train.py"
    script.write_text(SCRIPT.replace("torch.set_num_threads(1)\n", f"torch.set_num_threads(1)\n{spoil}\n"))
    return subprocess.Popen(
        [sys.executable, str(script), str(trial.run.path), strategy],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        start_new_session=True,
    )


def finished(process: subprocess.Popen[str], timeout: float = 400) -> tuple[int, str]:
    try:
        out = process.communicate(timeout=timeout)[0]
    finally:
        end(process)
    return process.returncode, out


def end(process: subprocess.Popen[str]) -> None:
    """Kill what is left of both ranks."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.slow
@both
@pytest.mark.parametrize(("batch", "micro_batch"), [(8, None), (7, None), (7, 2)])
def test_two_ranks_train_the_weights_of_one(start: Start, batch: int, micro_batch: int | None, strategy: str) -> None:
    options = {"classes": 2}
    one, two = start("one", options, batch=batch), start("two", options, batch=batch, micro_batch=micro_batch)
    one.fit()
    code, out = finished(two_ranks(two, strategy=strategy))
    assert code == 0, out
    mine, theirs = one.tensors(), two.tensors()
    assert mine.keys() == theirs.keys()
    for name, value in mine.items():
        torch.testing.assert_close(
            theirs[name], value, rtol=0, atol=1e-6, msg=lambda text, name=name: f"{name}: {text}"
        )
    # and not because nothing was trained
    fresh = one.run.network().state_dict()["net.out.weight"]
    assert float((mine["model.net.out.weight"] - fresh).abs().max()) > 0.05
    assert one.state()["step"] == two.state()["step"] == 40


@pytest.mark.slow
@both
@pytest.mark.parametrize("batch", [8, 7])
def test_two_ranks_see_the_gradient_noise_of_two_shards(start: Start, batch: int, strategy: str) -> None:
    # threads have the same rows as ranks: every other one of the batch
    shards, ranks = start("shards", batch=batch, shards=2), start("ranks", batch=batch)
    torch.set_num_threads(2)
    shards.fit()
    code, out = finished(two_ranks(ranks, strategy=strategy))
    assert code == 0, out
    mine, theirs = (trial.state()["gradient_noise"] for trial in (shards, ranks))
    assert theirs == pytest.approx(mine, rel=1e-2)
    # five of forty steps are measured
    assert theirs[2] == pytest.approx(1 - 0.99**5)
    last = json.loads((ranks.run.path / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["gradient_noise_scale"] == (pytest.approx(theirs[0] / theirs[1]) if theirs[1] > 0 else None)


@pytest.mark.slow
@both
def test_ranks_end_together_by_the_clock(start: Start, strategy: str) -> None:
    trial = start(options={"delay": 0.01}, steps=10**9, minutes=0.05)
    code, out = finished(two_ranks(trial, strategy=strategy))
    assert code == 0, out
    assert trial.state()["elapsed"] == pytest.approx(3.0, abs=0.5)


def children(process: subprocess.Popen[str]) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def past(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(word):
            return
    raise AssertionError(f"{word!r} never came: {''.join(lines)[-2000:]}")


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the second rank in /proc")
NUMBERS = [signal.SIGINT, signal.SIGTERM, *(getattr(signal, n) for n in ("SIGHUP", "SIGUSR1") if hasattr(signal, n))]


@pytest.mark.slow
@both
@linux
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_to_any_rank_stops_both_with_its_exit_code(
    start: Start, number: signal.Signals, rank: int, strategy: str
) -> None:
    trial = start(options={"delay": 0.05}, steps=10**4)
    process = two_ranks(trial, strategy=strategy)
    try:
        past(process, "step 5")
        os.kill([process.pid, *children(process)][rank], number)
    except BaseException:
        end(process)
        raise
    code, out = finished(process, 120)
    assert code == 128 + number, out
    assert "Traceback" not in out
    assert 5 <= trial.state()["step"] < 10**4


DOUBT = """
from ptdiff.training.divergence import History
from ptdiff.training.module import DiffusionModule
original, asked = History.problem, []
def problem(self, weights, steps=20):
    # in the look before the final save, once; both ranks take part in the norm of sharded weights
    found = original(self, weights, steps)
    if os.environ.get("LOCAL_RANK", "0") == "{rank}" and steps == 3 and not asked:
        asked.append(steps)
        return "a doubt of one rank"
    return found
History.problem = problem
"""


@pytest.mark.slow
@both
@pytest.mark.parametrize("rank", [0, 1])
def test_a_rank_that_doubts_the_final_state_alone_takes_the_other_back(start: Start, rank: int, strategy: str) -> None:
    trial = start(steps=20)
    code, out = finished(two_ranks(trial, DOUBT.replace("{rank}", str(rank)), strategy))
    assert code == 0, out
    assert "back to the beginning with 0.5 times the learning rate" in out
    assert (trial.state()["step"], trial.state()["rate"]) == (20, 0.5)


@pytest.mark.slow
@both
def test_two_ranks_that_diverge_end_in_one_line_each(start: Start, strategy: str) -> None:
    trial = start(options={"broken": True}, steps=40, inner_steps=1)
    code, out = finished(two_ranks(trial, strategy=strategy))
    assert code == 1, out
    assert "Traceback" not in out
    assert out.count("back to the beginning") == 2 * ROLLBACKS
    # both ranks write to one stream, where their lines may run into each other
    said = out.split("Diverged: ")[1:]
    assert len(said) == 2 and all("there is no checkpoint" in each for each in said), out


NAN = """
from ptdiff.training.module import DiffusionModule
original = DiffusionModule.losses_of
calls = []
def losses_of(self, *rest):
    calls.append(1)
    return original(self, *rest) * (math.nan if os.environ.get("LOCAL_RANK") == "1" and len(calls) == 10 else 1)
import math
DiffusionModule.losses_of = losses_of
"""


@pytest.mark.slow
@both
def test_a_nan_on_one_rank_is_skipped_by_both(start: Start, strategy: str) -> None:
    trial = start(steps=20, inner_steps=1)
    code, out = finished(two_ranks(trial, NAN, strategy))
    assert code == 0, out
    assert trial.state()["skipped"] == 1
    assert all(bool(torch.isfinite(value.float()).all()) for value in trial.tensors().values())


@pytest.mark.slow
@both
@pytest.mark.timeout(900)
@linux
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_rank_ends_the_other_with_one_line_that_names_it_and_costs_no_bit(
    start: Start, rank: int, strategy: str
) -> None:
    training = {"steps": 120, "save_minutes": 0.3 / 60}
    trial, whole = start("killed", {"delay": 0.02}, **training), start("whole", **training)
    process = two_ranks(trial, strategy=strategy)
    try:
        while latest(trial.run.checkpoints) is None:
            past(process, "step")
        os.kill([process.pid, *children(process)][rank], signal.SIGKILL)
    except BaseException:
        end(process)
        raise
    # both close the pipe: it is read to its end only once neither is left
    _, out = finished(process, 120)
    lines = [line for line in out.splitlines() if line.startswith("ConnectionError")]
    assert len(lines) == 1, out
    assert f"rank {rank} " in lines[0]
    assert "Traceback" not in out
    assert 0 < trial.state()["step"] < 120
    for each in (trial, whole):
        code, out = finished(two_ranks(each, strategy=strategy))
        assert code == 0, out
        assert each.state()["step"] == 120
    assert_bit_equal(trial.tensors(), whole.tensors())
