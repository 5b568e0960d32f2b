"""The names that plugins bring work in commands and configurations, and their errors are one line with their name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

Install = Callable[..., Path]

CODE = """
from dataclasses import dataclass

from ptdiff.metrics import Score
from ptdiff.process import Flow
from ptdiff.solvers import SOLVERS


@dataclass(frozen=True)
class Solver:
    order = 1
    broken: bool = False

    def table(self, levels):
        if self.broken:
            raise LookupError("no table\\nat all")
        return SOLVERS["euler"]().table(levels)


@dataclass(frozen=True)
class Process(Flow):
    pass


def metric(sets):
    return Score(1.0, 0.5, 2.0, 0.25)


def wrong(sets):
    return 1.0


class Engine:
    def __init__(self, workers=1): ...

    def map(self, function, items):
        yield from map(function, items)


class Lines:
    def __init__(self, place, run, group):
        place.mkdir(parents=True, exist_ok=True)
        self.file = place / "lines.txt"

    def log_metrics(self, metrics, step):
        self.file.write_text(f"{step}")

    def log_hyperparams(self, params): ...

    def save(self): ...

    def finalize(self, status): ...
"""


@pytest.fixture(autouse=True)
def _installed(install: Install) -> None:
    groups = {
        "ptdiff.solvers.v1": {"theirs": "their_things:Solver"},
        "ptdiff.processes.v1": {"theirs": "their_things:Process"},
        "ptdiff.metrics.v1": {"theirs": "their_things:metric", "wrong": "their_things:wrong"},
        "ptdiff.engines.v1": {"theirs": "their_things:Engine"},
        "ptdiff.trackers.v1": {"theirs": "their_things:Lines"},
    }
    install("their-things", CODE, groups)


def samples(path: Path) -> np.ndarray:
    with np.load(path) as file:
        return file["samples"]


def test_a_solver_and_a_process_of_a_plugin_generate_samples(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    a, b, c = (tmp_path / f"{name}.npz" for name in "abc")
    for out, options in (
        (a, ["--solver", "euler"]),
        (b, ["--solver", "theirs", "--process", "theirs"]),
        (c, ["--solver", "theirs", "--workers", "2", "--engine", "theirs"]),
    ):
        done = ptdiff("sample", run, "-n", 8, "--steps", 3, "--out", out, *options)
        assert done.returncode == 0, done.stderr
    assert np.array_equal(samples(a), samples(b)) and np.array_equal(samples(a), samples(c))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--solver", "theirz"], "error: unknown solver 'theirz': did you mean 'theirs'? (choose from: heun, ddim"),
        (
            ["--set", "solver.name=theirs", "--set", "solver.brokn=1"],
            "option of solver theirs 'brokn': did you mean 'bro",
        ),
        (
            ["--set", "solver.name=theirs", "--set", "solver.broken=true"],
            "error: plugin theirs (their-things 1.2): LookupError: no table at all; --debug shows the traceback",
        ),
        (["--workers", "2", "--engine", "thiers"], "error: unknown engine 'thiers': did you mean 'theirs'?"),
    ],
)
def test_a_mistake_is_answered_in_one_line(ptdiff, run: Path, options: list[str], said: str) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("sample", run, "-n", 2, *options)
    assert done.returncode in (1, 2) and said in done.stderr and done.stderr.count("error: ") == 1


def test_a_metric_of_a_plugin_is_added_to_the_scores(ptdiff, run: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("eval", run, "-n", 8, "--steps", 2, "--metric", "theirs", "--metric", "energy", "--json")
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)["metrics"]
    assert scores["theirs"] == {"value": 1.0, "low": 0.5, "high": 2.0, "floor": 0.25} and "energy" in scores
    done = ptdiff("eval", run, "-n", 8, "--steps", 2, "--metric", "wrong")
    assert done.returncode == 2 and "error: metric wrong returned a float, not a ptdiff.metrics.Score" in done.stderr


def test_a_run_is_trained_with_names_of_a_plugin_and_says_what_is_missing_without_it(
    ptdiff, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "theirs.yaml"
    file.write_text("modality: points2d\nprocess: theirs\nsampling: {solver: {name: theirs}}\n")
    small = ["-o", "count=64", "-o", "width=8", "-o", "blocks=1", "--set", "training.batch=16"]
    done = ptdiff("train", "-c", file, "--steps", 4, *small, "--logger", "theirs", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "run" / "logs" / "lines.txt").is_file()
    monkeypatch.setenv("PTDIFF_PLUGINS", "none")
    done = ptdiff("sample", tmp_path / "run", "-n", 2)
    assert done.returncode == 2
    assert done.stderr == "error: process 'theirs' of their-things 1.2 is disabled by PTDIFF_PLUGINS=none\n"


@pytest.mark.parametrize("command", [["solvers"], ["processes"], ["list", "metric"], ["list", "engine"], ["list"]])
def test_lists_have_their_names_and_import_nothing(ptdiff, command: list[str]) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(*command)
    assert done.returncode == 0 and "theirs" in done.stdout
    as_json = ptdiff(*command, "--json")
    assert as_json.returncode == 0 and "theirs" in as_json.stdout
    assert "their_things" not in sys.modules


def test_the_schema_for_editors_allows_their_names(ptdiff) -> None:  # type: ignore[no-untyped-def]
    described = json.loads(ptdiff("config", "schema").stdout)["$defs"]["solver"]["anyOf"]
    assert "theirs" in described[0]["enum"] and "their_things" not in sys.modules
