"""``ptdiff plan`` and ``--dry-run``: costs with their basis; afterwards, how far off they were."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from ptdiff_cli.shared import costs, session


def test_a_plan_has_every_place_with_its_basis(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    arguments = ["plan", run, "--samples", 5000, "--machines", 16, "--gpu", "h200", "--price", 2, "--batch", 500]
    done = ptdiff(*arguments)
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    for place in ("here", "10 machines", "H200", "10 x H200"):
        assert f"sample 5,000, {place}: " in done.stdout
    assert "assumed, not measured" in " ".join(done.stdout.split())
    done = ptdiff(*arguments, "--json")
    here, many, *_ = json.loads(done.stdout)
    assert here["kind"] == "sample" and here["machines"] == 1
    assert here["seconds"]["low"] < here["seconds"]["likely"] < here["seconds"]["high"]
    # there are ten batches of 500
    assert many["seconds"]["likely"] == pytest.approx(here["seconds"]["likely"] / 10, abs=1e-3)
    assert here["money"] == pytest.approx(2 * here["machine_hours"], abs=1e-4)
    assert here["disk_bytes"] == 5000 * 2 * 4


def test_a_modality_is_planned_with_its_training(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    small = ["-o", "count=256", "-o", "width=32", "--set", "training.steps=500"]
    done = ptdiff("plan", "points2d", *small, "--json", cwd=tmp_path)
    (found,) = json.loads(done.stdout)
    assert found["work"] == "train 500" and found["basis"]
    done = ptdiff("plan", "swissroll-ddpm", "-o", "count=256", "--samples", 10, "-n", 20, "--json", cwd=tmp_path)
    assert [cost["work"] for cost in json.loads(done.stdout)] == ["sample 10", "sample 20", "compare 20"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swissroll"], "say what to plan: --samples, -n, --steps or --minutes"),
        (["swissrol", "--samples", 5], "unknown run, modality or recipe 'swissrol': did you mean 'swissroll'"),
        (["swissroll", "--samples", 5, "--gpu", "h20"], "unknown gpu 'h20': did you mean 'h200'"),
        (["swissroll", "--samples", 5, "-o", "width=3"], "a run has its options"),
        (["swissroll", "-n", 20, "--protocol", "x"], "unknown protocol 'x'"),
        (["swissroll", "--samples", 5, "--price", -1], "--price"),
    ],
)
def test_what_cannot_be_planned_is_refused(ptdiff, arguments: list[object], message: str) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("plan", *arguments)
    assert done.returncode != 0 and done.stdout == ""
    assert message in " ".join(done.stderr.split())


def test_a_rehearsed_command_says_what_it_costs_and_does_nothing(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    before = sorted(run.rglob("*"))
    done = ptdiff("sample", run, "-n", 400, "--out", tmp_path / "x.npz", "--dry-run")
    assert done.returncode == 0 and "sample 400" in done.stdout, done.stderr
    done = ptdiff("eval", run, "-n", 30, "--dry-run", "--json")
    assert [cost["work"] for cost in json.loads(done.stdout)] == ["sample 30", "compare 30"]
    done = ptdiff("eval", run, "-n", 30, "--dry-run", "--reference", "rings", "--split", "train")
    assert "compare 30" in done.stdout, done.stderr
    done = ptdiff("train", "-m", "points2d", "-o", "count=256", "--steps", 700, "--dry-run", cwd=tmp_path)
    assert "train 700, here: 700 steps of" in done.stdout
    assert sorted(run.rglob("*")) == before and list(tmp_path.iterdir()) == []
    done = ptdiff("sample", run, "--workers", 2, "--dry-run")
    assert "--dry-run cannot be combined with --weak or --workers" in " ".join(done.stderr.split())


def test_long_work_says_how_far_off_its_plan_was(
    ptdiff, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("sample", run, "-n", 200, "--out", tmp_path / "short.npz")
    assert "planned" not in done.stderr
    for module in ("sample", "evaluate"):
        # the name of the module is also that of its function
        monkeypatch.setattr(costs, "LONG", 1e-9)
        done = ptdiff(
            *{"sample": ["sample", run, "--out", tmp_path / "x.npz"], "evaluate": ["eval", run]}[module], "-n", 90
        )
        assert done.returncode == 0, done.stderr
        assert "planned: " in done.stderr
        assert " took " in done.stderr and (" % over" in done.stderr or " % under" in done.stderr)


@pytest.mark.parametrize(
    ("minutes", "steps", "done", "seconds", "line"),
    [
        (None, 1000, 1000, 300.0, "planned 4.2 min, took 5.0 min: 20 % over"),
        (5.0, None, 900, 300.0, "planned 1,200 steps in 5.0 min, made 900: 25 % fewer"),
        (5.0, 1000, 1000, 200.0, "planned 4.2 min, took 3.3 min: 20 % under"),
        (None, 10, 10, 2.0, None),
    ],
)
def test_training_compares_its_length_with_its_trial(
    minutes: float | None, steps: int | None, done: int, seconds: float, line: str | None
) -> None:
    training = SimpleNamespace(minutes=minutes, steps=steps)
    trained = SimpleNamespace(expected_rate=4.0, config=SimpleNamespace(training=training))
    assert session._off(trained, SimpleNamespace(steps=done, seconds=seconds)) == line  # type: ignore[arg-type]
    trained.expected_rate = None
    assert session._off(trained, SimpleNamespace(steps=done, seconds=seconds)) is None  # type: ignore[arg-type]
