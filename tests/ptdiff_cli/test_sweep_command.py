"""``ptdiff train --sweep`` and ``ptdiff runs``: sets that fail in part, are stopped, and go on."""

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from ptdiff.pictures.files import IMAGE_SUFFIXES

SMALL = ["-m", "points2d", "--data", "moons", "-o", "count=128", "-o", "width=16", "-o", "blocks=1"]
FAST = ["--steps", 12, "--set", "training.batch=16", "--set", "training.validations=2"]


def write(folder: Path, text: str) -> Path:
    path = folder / "rates.yaml"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def grid(ptdiff, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """A grid of two learning rates, one of which makes the loss infinite, and two seeds."""
    folder = tmp_path_factory.mktemp("set")
    file = write(folder, "training.lr: [1e-3, 1e+30]\nseed: [0, 1]\n")
    done = ptdiff("train", *SMALL, *FAST, "--sweep", file, "--out", folder / "out", "--set", "training.clip=1e30")
    assert done.returncode == 0, done.stderr
    assert "best: " in done.stderr
    # what is compared is called by its name
    assert [line.split()[0] for line in done.stderr.splitlines() if "loss " in line[:16]] == ["validation_loss"] * 2
    return folder


def test_a_set_is_ordinary_runs_and_a_failed_one_does_not_end_it(grid: Path) -> None:
    records = [json.loads(line) for line in (grid / "out" / "trials.jsonl").read_text().splitlines()]
    assert [r["trial"] for r in records] == [0, 1, 2, 3]
    assert [r["settings"]["seed"] for r in records] == [0, 1, 0, 1]
    good, bad = records[:2], records[2:]
    assert all(r["value"] is not None and r["problem"] is None for r in good)
    assert all(r["value"] is None and "diverged" in r["problem"] for r in bad)
    lines = [json.loads(line) for line in (grid / "out" / "trial-001" / "metrics.jsonl").read_text().splitlines()]
    assert good[1]["value"] == min(line["validation_loss"] for line in lines if "validation_loss" in line)


def test_the_same_command_goes_on_and_trains_only_what_is_missing(ptdiff, grid: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    copy = tmp_path / "out"
    shutil.copytree(grid / "out", copy)
    records = (copy / "trials.jsonl").read_text().splitlines(keepends=True)
    # as if killed in the second trial, after its last checkpoint
    (copy / "trials.jsonl").write_text("".join([records[0], *records[2:]]))
    before = (copy / "trial-000" / "metrics.jsonl").read_bytes()
    again = ["train", *SMALL, *FAST, "--set", "training.clip=1e30", "--sweep", grid / "rates.yaml", "--out", copy]
    done = ptdiff(*again)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("trial ")] == [
        "trial 2 of 4: training.lr=0.001, seed=1"
    ]
    found = {json.loads(line)["trial"]: json.loads(line) for line in (copy / "trials.jsonl").read_text().splitlines()}
    assert found[1] == json.loads(records[1])
    assert (copy / "trial-000" / "metrics.jsonl").read_bytes() == before


def test_another_set_or_other_settings_do_not_go_into_the_same_folder(ptdiff, grid: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    other = write(tmp_path, "training.lr: [2e-3]\n")
    done = ptdiff("train", *SMALL, *FAST, "--sweep", other, "--out", grid / "out")
    assert (done.returncode, "holds another sweep" in done.stderr) == (2, True)


@pytest.mark.parametrize("rehearsed", [[], ["--dry-run"]])
def test_a_set_does_not_go_on_with_other_options(ptdiff, grid: Path, tmp_path: Path, rehearsed: list[str]) -> None:  # type: ignore[no-untyped-def]
    copy = tmp_path / "out"
    shutil.copytree(grid / "out", copy)
    # trials are missing, so that there is something to do
    (copy / "trials.jsonl").unlink()
    shutil.rmtree(copy / "trial-003")
    before = sorted(copy.rglob("*"))
    again = ["train", *SMALL, *FAST, "--sweep", grid / "rates.yaml", "--out", copy, *rehearsed]
    done = ptdiff(*again, "--steps", 13, "--set", "training.clip=1e30", "-o", "width=24")
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert "out has other settings: " in line
    assert "options.width was 16 and is 24, training.steps was 12 and is 13; choose another --out" in line
    assert sorted(copy.rglob("*")) == before


def test_a_trial_that_was_begun_otherwise_is_not_gone_on_with(ptdiff, grid: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    copy = tmp_path / "out"
    shutil.copytree(grid / "out", copy)
    (copy / "trials.jsonl").unlink()
    # as of a set that some other program made
    (copy / "base.yaml").unlink()
    done = ptdiff("train", *SMALL, "--steps", 13, "--sweep", grid / "rates.yaml", "--out", copy)
    assert (done.returncode, "trial-000 has other settings" in done.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainig.lr: [1e-3]\n", "did you mean 'training'?"),
        ("training.lr: [1e-3, -1]\n", "greater than 0"),
        ("process: [flow, flwo]\n", "did you mean 'flow'?"),
    ],
)
def test_a_wrong_value_anywhere_is_refused_before_anything_is_written(
    ptdiff, text: str, message: str, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", *SMALL, "--sweep", write(tmp_path, text), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["rates.yaml"]


NO_METRIC = [
    ("slicd_wasserstein", [], "unknown metric 'slicd_wasserstein': did you mean 'sliced_wasserstein'?"),
    ("validation_los", [], "did you mean 'validation_loss'?"),
    ("nll", ["-o", "data=coins"], "unknown metric 'nll'"),
    ("validation_loss", ["--set", "training.validations=0"], "held-out samples"),
]


@pytest.mark.parametrize(("metric", "more", "message"), NO_METRIC)
@pytest.mark.parametrize("rehearsed", [[], ["--dry-run"]])
def test_a_metric_that_there_is_not_is_refused_before_any_training(
    ptdiff, metric: str, more: list[str], message: str, rehearsed: list[str], tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    file = write(tmp_path, f"seed: [0, 1]\nmetric: {metric}\n")
    options = ["-m", "points2d", "-o", "count=128", "-o", "width=16", "--steps", 12]
    done = ptdiff("train", *options, *more, "--sweep", file, *rehearsed, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr.splitlines()[-1]
    assert [p.name for p in tmp_path.iterdir()] == ["rates.yaml"]


def test_a_metric_whose_names_cannot_be_known_beforehand_costs_no_set(
    ptdiff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    from ptdiff_points2d import Points2D

    whole = Points2D.compare

    def compare(self, comparison, protocol=None):  # type: ignore[no-untyped-def]
        if len(comparison.samples) < 50:
            raise ValueError("50 samples at least")
        return whole(self, comparison, protocol)

    monkeypatch.setattr(Points2D, "compare", compare)
    file = write(tmp_path, "seed: [0]\nmetric: energy\n")
    done = ptdiff("train", *SMALL, *FAST, "--set", "sampling.steps=2", "--sweep", file, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "cannot be checked before the first trial: 50 samples at least" in done.stderr
    assert any(line.startswith("energy ") for line in done.stderr.splitlines())


def test_runs_are_compared_by_what_differs(ptdiff, grid: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    good = [grid / "out" / "trial-000", grid / "out" / "trial-001"]
    found = json.loads(ptdiff("runs", "compare", *good, "--json").stdout)
    assert [item["settings"] for item in found] == [{"seed": 0}, {"seed": 1}]
    assert [item["steps"] for item in found] == [12, 12]
    rows = list(csv.DictReader(io.StringIO(ptdiff("runs", "compare", grid, "--csv").stdout)))
    assert [(row["training.lr"], row["seed"]) for row in rows] == [
        ("0.001", "0"),
        ("0.001", "1"),
        ("1e+30", "0"),
        ("1e+30", "1"),
    ]
    assert float(rows[0]["validation"]) == found[0]["validation"]
    done = ptdiff("runs", "compare", *good, "--plot", tmp_path / "curves.png")
    assert done.returncode == 0, done.stderr
    assert "trial-001" in done.stdout
    assert (tmp_path / "curves.png").stat().st_size > 10_000
    listed = json.loads(ptdiff("runs", "list", grid, "--json").stdout)
    assert len(listed) == 4


def test_what_cannot_be_compared_ends_with_two(ptdiff, grid: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    assert ptdiff("runs", "compare", tmp_path).returncode == 2
    missing = ptdiff("runs", "compare", grid, tmp_path / "nosuch")
    assert missing.returncode == 2 and "nosuch" in missing.stderr
    done = ptdiff("runs", "compare", grid, "--plot", tmp_path / "curves.pdf")
    assert (done.returncode, IMAGE_SUFFIXES[0] in done.stderr) == (2, True)
    assert ptdiff("runs", "compare", grid, "--json", "--csv").returncode == 2


@pytest.mark.slow
def test_a_figure_of_the_evaluation_guides_optuna(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    pytest.importorskip("optuna", reason="optuna is not installed")
    text = "search: optuna\ntrials: 2\nmetric: sliced_wasserstein\ntraining.lr: {low: 1e-3, high: 1e-2, log: true}\n"
    command = ["train", *SMALL, *FAST, "--set", "sampling.steps=3", "--sweep", write(tmp_path, text)]
    done = ptdiff(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "runs" / "rates"
    records = [json.loads(line) for line in (folder / "trials.jsonl").read_text().splitlines()]
    for record in records:
        measured = json.loads((folder / f"trial-{record['trial']:03d}" / "eval.json").read_text())
        assert record["value"] == measured["metrics"]["sliced_wasserstein"]["value"]
    assert records[0]["settings"] != records[1]["settings"]
