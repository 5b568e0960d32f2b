"""``ptdiff bench train``: real training beside a bare loop, and the profile."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ptdiff.machine.flops import operations

TINY = "tiny_modality:Tiny"


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "ptdiff" / "training"))


def test_training_is_timed_in_both_precisions_and_profiled(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    out = tmp_path / "speed.json"
    # enough time for rounds even where the machine is busy
    asked = ["-m", TINY, "--seconds", 2, "--threads", 1, "--profile", "--json", "--out", out]
    done = ptdiff("bench", "train", *asked)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert json.loads(out.read_text()) == found
    assert found["machine"]["torch"] == torch.__version__
    assert [row["precision"] for row in found["speeds"]] == ["float32", "bf16"]
    row = found["speeds"][0]
    assert row["measured"] == "training"
    assert row["threads"] == row["shards"] == 1
    assert row["samples a second"] == pytest.approx(32 * row["steps a second"], rel=0.01)
    # averages, reports and Lightning are a large part of a network of this size
    assert 1 < row["over a bare loop"] < 20
    assert 0 < row["share of peak"] < 0.5
    shares = found["profile"][TINY]
    assert sum(shares.values()) == pytest.approx(1)
    assert {"matrix products", "activation", "optimizer", "averages", "between operations"} <= shares.keys()


def test_a_step_too_long_to_repeat_is_shown_with_what_was_seen(ptdiff, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    from ptdiff.training import speed
    from ptdiff.training.bare_loop import Bare

    ticks = iter(range(10**6))
    monkeypatch.setattr(speed.time, "process_time", lambda: float(next(ticks)))
    monkeypatch.setattr(Bare, "step", lambda self: None)
    done = ptdiff("bench", "train", "-m", TINY, "--seconds", 0.1, "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "1*" in done.stdout
    assert "too slow to repeat" in done.stderr


def test_a_wrong_kind_of_data_ends_with_two(ptdiff) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("bench", "train", "-m", "points2")
    assert done.returncode == 2
    assert "points2d" in done.stderr


def test_operations_of_a_product_are_two_for_each_multiplication() -> None:
    a, b = torch.ones(3, 5), torch.ones(5, 7)
    assert operations(lambda: a @ b) == 2 * 3 * 5 * 7
