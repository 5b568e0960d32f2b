"""ptdiff resume with --steps and --minutes trains a finished run for longer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from ptdiff.run.folder import Run

SMALL = ["-o", "count=256", "-o", "width=32", "-o", "blocks=1", "--set", "training.batch=64"]


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def test_a_finished_run_is_trained_to_a_larger_total_that_is_kept(ptdiff: Any, copy: Path) -> None:
    done = ptdiff("resume", copy, "--steps", 80)
    assert done.returncode == 0, done.stderr
    assert "learning rate follows the schedule of the new length: 0 -> " in done.stderr + done.stdout
    again = Run.open(copy, warn=pytest.fail)
    assert again.checkpoint().step == 80
    assert (again.config.training.steps, again.config.training.minutes) == (80, None)


def test_minutes_alone_remove_the_limit_of_steps(ptdiff: Any, copy: Path) -> None:
    done = ptdiff("resume", copy, "--minutes", 0.05)
    assert done.returncode == 0, done.stderr
    again = Run.open(copy)
    assert again.checkpoint().step > 60
    assert (again.config.training.steps, again.config.training.minutes) == (None, 0.05)


@pytest.mark.parametrize(
    ("option", "message"), [(("--steps", 60), "has 60 steps already"), (("--minutes", 1e-9), "has")]
)
def test_a_total_that_is_already_reached_is_refused_and_nothing_changes(
    ptdiff: Any, copy: Path, option: tuple[str, float], message: str
) -> None:
    before = (copy / "config.yaml").read_bytes()
    done = ptdiff("resume", copy, *option)
    assert done.returncode == 2
    assert message in done.stderr
    assert (copy / "config.yaml").read_bytes() == before


def test_a_run_that_stopped_improving_gets_no_more_steps_and_its_best_weights_begin_another(
    ptdiff: Any, tmp_path: Path
) -> None:
    path = tmp_path / "run"
    # nothing is better than the first validation
    patience = ["training.patience=1", "training.validations=20", "training.min_delta=1e9"]
    settings = [word for each in patience for word in ("--set", each)]
    done = ptdiff("train", "-m", "points2d", "--data", "moons", "--steps", 60, "--out", path, *SMALL, *settings)
    assert done.returncode == 0, done.stderr
    ended = Run.open(path)
    step = ended.checkpoint().step
    assert step < 60
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    for option in (("--steps", 80), ("--minutes", 5)):
        done = ptdiff("resume", path, *option)
        assert done.returncode == 2
        said = " ".join(done.stderr.split())
        assert "ended because it stopped improving (training.patience)" in said
        assert f"ptdiff train --from {path}" in said
    assert before == {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    # as the message says
    done = ptdiff("train", "--from", path, "--steps", 2, "--out", tmp_path / "next")
    assert done.returncode == 0, done.stderr
    new = Run.open(tmp_path / "next")
    assert new.checkpoint().step == 2
    began, best = new.network().state_dict(), ended.denoiser().state_dict()
    assert all(torch.equal(began[name], best[name]) for name in best)
    trained = new.denoiser(weights="raw").state_dict()
    assert any(not torch.equal(began[name], trained[name]) for name in best)
