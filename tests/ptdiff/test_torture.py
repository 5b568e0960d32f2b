"""A part of ``make torture`` (tests/torture/torture.py)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

TORTURE = Path(__file__).parents[1] / "torture"
sys.path.insert(0, str(TORTURE))

import torture  # noqa: E402

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
@pytest.mark.parametrize("modality", list(torture.MODALITIES))
def test_a_run_killed_again_and_again_ends_bit_equal(tmp_path: Path, modality: str) -> None:
    assert torture.kills_in_training(tmp_path, modality, 5)["broken"] == 0


@pytest.mark.parametrize("count", [60, pytest.param(200, marks=pytest.mark.slow)])
def test_damage_of_any_file_of_a_run_is_noticed(tmp_path: Path, count: int) -> None:
    result = torture.damage(tmp_path, count)
    assert result["broken"] == 0, result
    assert result["refused"] > 0
    assert result["named"] > 0


@pytest.mark.slow
def test_every_operation_of_a_save_may_fail(tmp_path: Path) -> None:
    result = torture.faults(tmp_path)
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
    assert torture.damage(tmp_path, 13)["broken"] == 13
