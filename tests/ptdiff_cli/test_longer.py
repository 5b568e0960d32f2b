"""ptdiff resume with --steps and --minutes trains a finished run for longer."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ptdiff.run.folder import Run


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
