"""What training does when its checkpoints are unreadable, damaged or gone."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from test_faults import stop_after
from trial import Recorder, Start, Trial

import ptdiff.run.checkpoint as checkpoint_file
from ptdiff.errors import CheckpointError, RunError


def spoil_all(trial: Trial) -> None:
    for path in trial.run.checkpoints.iterdir():
        (path / "model.safetensors").write_bytes(b"spoiled")


def test_a_disk_that_fails_ends_a_resume_and_loses_nothing(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    trial = start(steps=40, inner_steps=1)
    step = trial.fit(Recorder(stop_after(20))).steps
    original = checkpoint_file.sha256

    def fails(path: Path) -> str:
        if path.name == "model.safetensors":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return original(path)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint_file, "sha256", fails)
        with pytest.raises(CheckpointError, match=r"cannot be read.*nothing was changed"):
            trial.fit()
    recorder = Recorder()
    assert trial.fit(recorder).steps == 40
    assert recorder.steps[0] == step + 1


def test_a_run_whose_checkpoints_are_all_damaged_asks_before_it_begins_again(start: Start) -> None:
    trial = start(steps=40, inner_steps=1)
    step = trial.fit(Recorder(stop_after(20))).steps
    spoil_all(trial)
    for _ in range(2):
        recorder = Recorder()
        with pytest.raises(RunError, match=r"no usable checkpoint.*--from-scratch"):
            trial.fit(recorder)
        assert not recorder.steps
    assert (trial.run.checkpoints / f"{step}.damaged").is_dir()
    recorder = Recorder()
    assert trial.fit(recorder, from_scratch=True).steps == 40
    assert recorder.steps[0] == 1
    assert (trial.run.checkpoints / f"{step}.damaged").is_dir()


def test_from_scratch_is_refused_while_a_checkpoint_is_good(start: Start) -> None:
    trial = start(steps=40, inner_steps=1)
    step = trial.fit(Recorder(stop_after(20))).steps
    with pytest.raises(RunError, match="is a good checkpoint: resume without --from-scratch"):
        trial.fit(from_scratch=True)
    assert trial.state()["step"] == step


def test_a_run_killed_before_its_first_checkpoint_begins_without_asking(start: Start) -> None:
    trial = start(steps=5)
    (trial.run.checkpoints / ".tmp-0123").mkdir()
    assert trial.fit().steps == 5


def test_a_stray_best_file_is_never_taken(start: Start) -> None:
    import shutil

    import torch

    trial = start(steps=5)
    trial.fit()
    (place,) = trial.run.checkpoints.iterdir()
    before = trial.run.denoiser().state_dict()
    shutil.copy(place / "model.safetensors", place / "best.safetensors")
    after = trial.run.denoiser().state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_that_another_process_trains_is_not_trained_here(start: Start) -> None:
    trial, recorder = start(steps=5), Recorder()
    with trial.run.locked(), pytest.raises(RunError, match="is being trained by another process"):
        trial.fit(recorder)
    assert not recorder.steps and not list(trial.run.checkpoints.iterdir())
    assert trial.fit().steps == 5
