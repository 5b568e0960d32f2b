"""Attacks by links outside runs: in sweeps, beside samples, and where outputs go that the reader did not name."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import numpy as np
import pytest

SWEEP = "trials: 1\nsearch: optuna\ntraining.lr: [0.001]\n"
SMALL = ["--data", "moons", "--steps", 2, "-o", "count=64", "-o", "width=16", "-o", "blocks=1"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder of the reader, which must not change."""
    place = tmp_path / "home"
    place.mkdir(exist_ok=True)
    (place / "notes.txt").write_text("mine\n")
    (place / "photo.png").write_text("mine\n")
    return place


def contents(home: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in home.iterdir()}


@pytest.mark.parametrize("name", ["base.yaml", "trials.jsonl", "optuna.db", "trial-000", "sweep.yaml"])
def test_a_sweep_writes_through_no_link_in_its_folder(ptdiff, tmp_path: Path, home: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "sweep"
    folder.mkdir()
    (tmp_path / "s.yaml").write_text(SWEEP)
    for target in (home / "new", home / "notes.txt"):
        (folder / name).symlink_to(target)
        done = ptdiff("train", "--sweep", tmp_path / "s.yaml", "-m", "points2d", "--out", folder, *SMALL)
        assert done.returncode and f"{name} is a link" in done.stderr, done.stderr
        assert contents(home) == {"notes.txt": "mine\n", "photo.png": "mine\n"}
        (folder / name).unlink()


def test_a_study_with_a_second_name_keeps_its_contents_there(tmp_path: Path, home: Path) -> None:
    pytest.importorskip("optuna")
    from ptdiff.experiments.optuna import Optuna

    made = Optuna().open(tmp_path / "mine", {"seed": (1, 2)}, minimize=True)
    made.ask(0)
    (tmp_path / "sweep").mkdir()
    os.link(tmp_path / "mine" / "optuna.db", tmp_path / "sweep" / "optuna.db")
    before = (tmp_path / "mine" / "optuna.db").read_bytes()
    Optuna().open(tmp_path / "sweep", {"seed": (1, 2)}, minimize=True).ask(1)
    assert (tmp_path / "mine" / "optuna.db").read_bytes() == before


@pytest.mark.parametrize("kept", ["junk", "of another"])
def test_a_study_that_is_none_of_this_sweep_is_refused_in_one_line(tmp_path: Path, kept: str) -> None:
    pytest.importorskip("optuna")
    from ptdiff.experiments.optuna import Optuna

    if kept == "junk":
        (tmp_path / "optuna.db").write_text("junk")
    else:
        Optuna().open(tmp_path, {"training.lr": (1, 2)}, minimize=True).ask(0)
    with pytest.raises(ValueError, match=r"not a study of this sweep|of another sweep"):
        Optuna().open(tmp_path, {"seed": (1, 2)}, minimize=True).ask(0)


@pytest.mark.parametrize("place", ["runs/models/swissroll", "runs/models/swissroll/samples"])
def test_no_output_of_an_installed_model_goes_through_a_link(ptdiff, tmp_path: Path, home: Path, place: str) -> None:  # type: ignore[no-untyped-def]
    """The current folder is a stranger's project."""
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).symlink_to(home)
    done = ptdiff("sample", "swissroll", "-n", 2, "--steps", 2, cwd=tmp_path)
    assert done.returncode and "is a link" in done.stderr and done.stderr.count("\n") <= 2
    assert contents(home) == {"notes.txt": "mine\n", "photo.png": "mine\n"}


def test_a_link_at_the_name_of_an_output_that_nobody_named_is_not_followed(ptdiff, tmp_path: Path, home: Path) -> None:  # type: ignore[no-untyped-def]
    np.savez(tmp_path / "x.npz", samples=np.zeros((2, 2), np.float32), modality=np.array("points2d"))
    (tmp_path / "x.png").symlink_to(home / "photo.png")
    done = ptdiff("render", tmp_path / "x.npz")
    assert done.returncode and "x.png is a link: name the output to write there" in done.stderr
    cloud = np.random.default_rng(0).random((1, 64, 3), np.float32)
    np.savez(tmp_path / "c.npz", samples=cloud, modality=np.array("pointcloud"))
    (tmp_path / "c-meshes").symlink_to(home)
    assert "c-meshes is a link" in ptdiff("mesh", tmp_path / "c.npz").stderr
    (tmp_path / "c-meshes").unlink()
    (tmp_path / "c-meshes").mkdir()
    (tmp_path / "c-meshes" / "0000-c.glb").symlink_to(home / "notes.txt")
    assert "0000-c.glb is a link" in ptdiff("mesh", tmp_path / "c.npz").stderr
    assert contents(home) == {"notes.txt": "mine\n", "photo.png": "mine\n"}
    # what the reader names is his
    assert ptdiff("render", tmp_path / "x.npz", "--out", tmp_path / "x.png").returncode == 0


def test_a_database_of_mlflow_sends_no_pictures_out_of_the_run(tmp_path: Path, home: Path) -> None:
    pytest.importorskip("mlflow")
    from ptdiff.training.backends import MLflow

    first = MLflow(tmp_path / "logs", "theirs")
    first.log_hyperparams({"a": 1})
    first.log_picture("sheet", np.zeros((4, 4, 3), np.uint8), 1)
    assert list((tmp_path / "logs" / "mlflow-artifacts").rglob("*.png"))
    with sqlite3.connect(tmp_path / "logs" / "mlflow.db") as database:
        database.execute("update runs set artifact_uri = ?", (home.as_uri(),))
    database.close()
    with pytest.raises(OSError, match="outside the run"):
        MLflow(tmp_path / "logs", "theirs").log_picture("sheet", np.zeros((4, 4, 3), np.uint8), 2)
    assert contents(home) == {"notes.txt": "mine\n", "photo.png": "mine\n"}


def test_two_runs_of_one_process_have_databases_of_their_own(tmp_path: Path) -> None:
    """MLflow exports the address of each logger, and the next run must not take it for the reader's server."""
    pytest.importorskip("mlflow")
    from ptdiff.training.backends import MLflow

    for name in ("one", "two"):
        MLflow(tmp_path / name / "logs", name).log_hyperparams({"a": 1})
    assert all((tmp_path / name / "logs" / "mlflow.db").is_file() for name in ("one", "two"))
