"""The names that plugins bring work in commands and configurations, and their errors are one line with their name."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ptdiff as ptdiff_package

Install = Callable[..., Path]

CODE = """
from dataclasses import dataclass

from torch import nn

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


@dataclass(frozen=True)
class Backbone:
    width: int = 4
    outputs: int = 2

    def build(self, data):
        if data.shape != (2,):
            raise ValueError(f"backbone theirs is for points in the plane, not for samples of shape {data.shape}")
        return Network(self.width, self.outputs)


class Network(nn.Module):
    def __init__(self, width, outputs):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, outputs))

    def forward(self, x, angle, cond):
        return self.layers(x)


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
        "ptdiff.backbones.v1": {"theirs": "their_things:Backbone"},
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


SMALL = ["-m", "points2d", "-o", "count=64", "--steps", 4, "--set", "training.batch=16"]


def test_a_backbone_of_a_plugin_replaces_that_of_a_modality(ptdiff, tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    chosen = ["--set", "backbone.name=theirs", "--set", "backbone.width=5"]
    done = ptdiff("train", *SMALL, *chosen, "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert "backbone:\n  name: theirs\n  width: 5\n" in (tmp_path / "run" / "config.yaml").read_text()
    model = ptdiff_package.load(tmp_path / "run")
    assert sum(p.numel() for p in model.denoiser.parameters()) == 2 * 5 + 5 + 5 * 2 + 2
    assert ptdiff("sample", tmp_path / "run", "-n", 4, "--steps", 2, "--out", tmp_path / "a.npz").returncode == 0
    assert ptdiff("resume", tmp_path / "run", "--steps", 6).returncode == 0
    monkeypatch.setenv("PTDIFF_PLUGINS", "none")
    done = ptdiff("sample", tmp_path / "run", "-n", 4)
    assert done.returncode == 2 and "backbone 'theirs' of their-things 1.2 is disabled" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--set", "backbone.name=theirs", "--set", "backbone.outputs=1"],
            "the network Network returned a tensor of shape (2, 1), not the shape of its input, (2, 2)",
        ),
        (["--set", "backbone=thiers"], "unknown backbone 'thiers': did you mean 'theirs'? (choose from: theirs)"),
        (["--set", "backbone.name=theirs", "--set", "backbone.widht=1"], "'widht': did you mean 'width'?"),
        (
            ["--set", "backbone.name=theirs", "-m", "pointcloud", "-o", "shapes_per_class=2"],
            "is for points in the plane",
        ),
    ],
)
def test_a_backbone_that_does_not_fit_is_refused_in_one_line(
    ptdiff, tmp_path: Path, options: list[str], said: str
) -> None:  # type: ignore[no-untyped-def]
    small = SMALL[4:] if "pointcloud" in options else SMALL
    done = ptdiff("train", *small, *options, "--set", "training.micro_batch=null", "--out", tmp_path / "run")
    assert done.returncode in (1, 2) and said in done.stderr.splitlines()[-1], done.stderr


@pytest.mark.parametrize(
    "command", [["solvers"], ["processes"], ["list", "metric"], ["list", "engine"], ["list", "backbone"], ["list"]]
)
def test_lists_have_their_names_and_import_nothing(ptdiff, command: list[str]) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff(*command)
    assert done.returncode == 0 and "theirs" in done.stdout
    as_json = ptdiff(*command, "--json")
    assert as_json.returncode == 0 and "theirs" in as_json.stdout
    assert "their_things" not in sys.modules


def test_the_schema_for_editors_allows_their_names(ptdiff) -> None:  # type: ignore[no-untyped-def]
    described = json.loads(ptdiff("config", "schema").stdout)["$defs"]["solver"]["anyOf"]
    assert "theirs" in described[0]["enum"] and "their_things" not in sys.modules
