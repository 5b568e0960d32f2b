"""Exact resume: a run may be stopped after any step, in parts of a batch, on two ranks, and changes no bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from test_fit import stop_at
from test_ranks import finished
from trial import Start, Trial, assert_bit_equal, environment

from ptdiff.modality import registry
from ptdiff.run.checkpoint import Checkpoint, verified
from ptdiff.run.config import merged, validate
from ptdiff.run.folder import Run

MODALITIES: dict[str, dict[str, Any]] = {
    "points2d": {"data": "moons", "count": 64, "width": 16, "blocks": 1},
    "images": {"data": "digits", "width": 8, "layers": 1},
    "pointcloud": {
        **{"points": 32, "shapes_per_class": 2, "rotate": True, "jitter": 0.01},
        **{"width": 16, "layers": 1, "heads": 2, "inducers": 4},
    },
}
EVERY = range(1, 40)
PLAIN = {"precision": "32", "threads": 1, "shards": 1, "compile": False, "inner_steps": 1, "warmup": 5}


def trial_of(path: Path, modality: str, micro_batch: int | None, **training: Any) -> Trial:
    # saved after every step
    plan = {"steps": 40, "batch": 8, "save_minutes": 1e-9, "keep": 100, "micro_batch": micro_batch} | PLAIN | training
    kind = registry.load(modality, MODALITIES[modality])
    data = kind.dataset()
    values = {"modality": modality, "options": MODALITIES[modality], "training": plan}
    return Trial(Run.create(path, validate(merged({}, values)), data), kind, data)


def saved(run: Run) -> dict[int, Checkpoint]:
    return {int(path.name): verified(path) for path in run.checkpoints.iterdir() if path.name.isdigit()}


def assert_equal_at_every_step(whole: Run, parted: Run, steps: int) -> None:
    mine, theirs = saved(whole), saved(parted)
    assert sorted(mine) == sorted(theirs) == list(range(1, steps + 1))
    for step, found in sorted(mine.items()):
        other = theirs[step].state
        different = [key for key in found.state if key != "elapsed" and found.state[key] != other.get(key)]
        assert not different, f"{different} differ at step {step}"
        for part in found.parts:
            assert_bit_equal(found.tensors(part), theirs[step].tensors(part))


@pytest.mark.parametrize("accumulation", [1, 4])
@pytest.mark.parametrize(
    ("modality", "steps", "stops"),
    [
        ("points2d", 12, [1, 5, 11]),
        *(pytest.param(name, 40, EVERY, marks=pytest.mark.slow, id=f"{name}-every") for name in MODALITIES),
    ],
)
def test_a_run_resumed_after_a_step_has_the_bits_of_one_that_never_stopped(
    tmp_path: Path, modality: str, steps: int, stops: list[int], accumulation: int
) -> None:
    micro_batch = None if accumulation == 1 else 8 // accumulation
    whole, parted = (trial_of(tmp_path / name, modality, micro_batch, steps=steps) for name in ("whole", "parted"))
    whole.fit()
    for step in stops:
        outcome = parted.fit(stop_at(step))
        assert (outcome.steps, outcome.signal) == (step, signal.SIGINT)
    parted.fit()
    assert_equal_at_every_step(whole.run, parted.run, steps)
    # and not because nothing was trained
    first, last = (saved(whole.run)[step].tensors("model") for step in (1, steps))
    assert any(not torch.equal(first[name], last[name]) for name in first)


SCRIPT = """
import os, signal, sys
from pathlib import Path
import torch
from ptdiff.modality import registry
from ptdiff.run.folder import Run
from ptdiff.training.observer import Observer
from ptdiff.training.fit import Hardware, fit

class Stop(Observer):
    def __init__(self, step):
        self.step = step
    def tick(self, done, fraction, seconds):
        if done == self.step:
            os.kill(os.getpid(), signal.SIGINT)

torch.set_num_threads(1)
registry.trust("tiny_modality:Tiny")
for words in sys.argv[1:]:
    path, *stops = words.split(",")
    run = Run.open(Path(path))
    kind = run.modality()
    data = kind.dataset()
    for stop in map(int, stops):
        # only the first rank hears of steps, and is sent the signal
        outcome = fit(run, kind, data, hardware=Hardware(devices=2, strategy="ddp"), observer=Stop(stop))
        assert outcome.steps == min(stop, run.config.training.steps), outcome
"""


def two_ranks(folder: Path, *runs: tuple[Run, list[int]]) -> None:
    """Train runs on two ranks, each with stops after these steps."""
    script = folder / "ranks.py"
    script.write_text(SCRIPT)
    words = [",".join([str(run.path), *map(str, stops)]) for run, stops in runs]
    process = subprocess.Popen(
        [sys.executable, str(script), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        start_new_session=True,
    )
    code, out = finished(process, 1000)
    assert code == 0, out


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("accumulation", [1, 4])
def test_two_ranks_resumed_after_every_step_have_the_bits_of_two_that_never_stopped(
    start: Start, tmp_path: Path, accumulation: int
) -> None:
    # eight rows of each rank
    training = PLAIN | {"batch": 16, "micro_batch": None if accumulation == 1 else 2, "save_minutes": 1e-9, "keep": 100}
    whole, parted = (start(name, {"classes": 2, "dropout": 0.2}, **training).run for name in ("whole", "parted"))
    two_ranks(tmp_path, (whole, [40]), (parted, [*EVERY, 40]))
    assert_equal_at_every_step(whole, parted, 40)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [8, 7])
def test_one_rank_then_two_then_one_end_within_1e_6_of_one(start: Start, tmp_path: Path, batch: int) -> None:
    training = PLAIN | {"batch": batch, "micro_batch": None, "lr": 1e-3}
    one, changing = (start(name, {"classes": 2}, **training) for name in ("one", "changing"))
    one.fit()
    assert changing.fit(stop_at(13)).steps == 13
    two_ranks(tmp_path, (changing.run, [26]))
    assert changing.state()["step"] == 26
    changing.fit()
    mine, theirs = one.tensors(), changing.tensors()
    for name in (name for name in mine if name.split(".")[0] in ("model", "ema")):
        torch.testing.assert_close(theirs[name], mine[name], rtol=0, atol=1e-6)
    fresh = one.run.network().state_dict()["net.out.weight"]
    assert float((mine["model.net.out.weight"] - fresh).abs().max()) > 0.01
