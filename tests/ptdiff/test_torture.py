"""A part of ``make torture`` (tests/torture/torture.py)."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
import torch

from ptdiff.run.checkpoint import save

TORTURE = Path(__file__).parents[1] / "torture"
sys.path.insert(0, str(TORTURE))

import torture  # noqa: E402
import whole_runs  # noqa: E402

posix = pytest.mark.skipif(sys.platform == "win32", reason="this system has neither fork nor SIGKILL")


@posix
@pytest.mark.parametrize(("count", "there"), [(5, True), pytest.param(30, False, marks=pytest.mark.slow)])
def test_kills_inside_the_save_lose_nothing_that_was_promised(tmp_path: Path, count: int, there: bool) -> None:
    memory = Path("/dev/shm")
    result = torture.kills_in_save(tmp_path / "c", count, memory if there and memory.is_dir() else None)
    assert result["kills"] == count
    assert result["broken"] == 0, result


@posix
@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("modality", list(whole_runs.MODALITIES))
def test_a_run_killed_again_and_again_ends_bit_equal(tmp_path: Path, modality: str) -> None:
    result = whole_runs.kills(tmp_path, modality, 30)
    assert result["kills"] == 30
    assert result["broken"] == 0, result
    assert result["inside_a_save"] > 3 and result["finished"] > 1


@posix
@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_any_operation_of_a_whole_run_may_fail(tmp_path: Path) -> None:
    result = whole_runs.faults(tmp_path, "points2d", every=17)
    assert result["faults"] > 10
    assert result["broken"] == 0, result
    assert result["stopped"] > 0 and result["went_on"] > 0


def test_a_lost_or_another_checkpoint_of_a_killed_run_is_noticed(tmp_path: Path) -> None:
    trial = object.__new__(whole_runs.Trial)
    trial.run, trial.steps = tmp_path, 2
    for step in (1, 2):
        torture.keep_state(tmp_path / "checkpoints", step)
    trial.expected = {str(step): whole_runs.facts(tmp_path / "checkpoints" / str(step)) for step in (1, 2)}
    assert trial.wrong(2) is None
    assert trial.wrong(3) == "step 3 was promised, and 2 is there"
    shutil.rmtree(tmp_path / "checkpoints" / "2")
    assert trial.wrong(2) == "step 2 was promised, and 1 is there"
    tensors = {"w": torch.full((200,), 7.0)}
    save(tmp_path / "checkpoints", 2, {"model": tensors, "ema": tensors}, {"step": 2, "elapsed": 9.5})
    assert trial.wrong(2) == "the checkpoint of step 2 is another"
    (tmp_path / "checkpoints" / "2").rename(tmp_path / "checkpoints" / "2.damaged")
    assert trial.wrong(1) == "2.damaged was committed"


@pytest.mark.parametrize("count", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_damage_of_any_file_of_a_run_is_noticed(tmp_path: Path, count: int) -> None:
    result = torture.damage(tmp_path, count)
    assert result["broken"] == 0, result
    assert result["refused"] > 0
    assert result["named"] > 0


@pytest.mark.slow
def test_every_operation_of_a_save_may_fail(tmp_path: Path) -> None:
    result = torture.faults_in_save(tmp_path)
    assert result["faults"] > 100
    assert result["broken"] == 0, result


def test_a_full_disk_costs_no_checkpoint(tmp_path: Path) -> None:
    result = torture.full_disk(tmp_path)
    if "skipped" in result:
        pytest.skip(result["skipped"])
    assert result["broken"] == 0, result


def test_a_soak_leaks_nothing(tmp_path: Path) -> None:
    assert torture.soak(tmp_path, 0.03)["handles"] <= 0


def test_the_torture_notices_a_checkpoint_that_is_taken_unverified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torture, "look", lambda run, facts: "silent")
    assert torture.damage(tmp_path, 31)["broken"] == 31
