"""Two processes that start into one folder at the same time: one trains, the other gets an error, nothing is mixed."""

from __future__ import annotations

import multiprocessing
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ptdiff.errors import RunError
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.run.checkpoint import save
from ptdiff.run.config import validate
from ptdiff.run.folder import Run

PAIRS = 16


def start(path: Path, seed: int, at: float) -> None:
    """Create a run and save weights that show its seed; exit with 3 if another process has the folder."""
    data = Data((2,), train=TensorSplit(torch.zeros(4, 2)), mean=float(seed))
    config = validate({"modality": "points2d", "seed": seed})
    time.sleep(max(0.0, at - time.time()))
    try:
        run = Run.create(path, config, data)
        with run.locked():
            save(run.checkpoints, 1, {"model": {"seed": torch.tensor([seed])}}, {"step": 1})
    except RunError:
        sys.exit(3)


@pytest.mark.skipif(sys.platform == "win32", reason="processes are forked, so that they start together")
def test_no_pair_leaves_the_configuration_of_one_beside_the_weights_of_the_other(tmp_path: Path) -> None:
    fork, rng = multiprocessing.get_context("fork"), random.Random(0)
    for pair in range(PAIRS):
        path, at = tmp_path / str(pair), time.time() + 0.05
        # half of the pairs start at once, the others within 0.2 s
        delays = (0.0, 0.0 if pair % 2 else rng.uniform(0, 0.2))
        both = [fork.Process(target=start, args=(path, seed, at + delays[seed])) for seed in (0, 1)]
        for process in both:
            process.start()
        for process in both:
            process.join(60)
        codes = [process.exitcode for process in both]
        assert sorted(codes) == [0, 3], codes
        run, winner = Run.open(path), codes.index(0)
        assert run.config.seed == winner == run.data.mean
        assert run.checkpoint().tensors("model")["seed"].item() == winner


@pytest.mark.slow
def test_two_trainings_into_one_folder_end_as_one_run_and_one_error(tmp_path: Path) -> None:
    def command(seed: int) -> subprocess.Popen[str]:
        small = ["-o", "count=64", "-o", "width=8", "-o", "blocks=1", "--set", "training.batch=8", "--threads", "1"]
        words = ["train", "-m", "points2d", "--steps", "5", "--seed", str(seed), "--out", str(tmp_path / "run"), *small]
        return subprocess.Popen(
            [sys.executable, "-m", "ptdiff_cli.main", *words], stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )

    both = [command(0), command(1)]
    said = [process.communicate(timeout=300)[1] for process in both]
    codes = [process.returncode for process in both]
    assert sorted(codes) == [0, 2], said
    loser = said[1 - codes.index(0)]
    assert "already contains a run" in loser or "by another process" in loser
    assert Run.open(tmp_path / "run").config.seed == codes.index(0)
