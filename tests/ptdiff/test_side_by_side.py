"""Runs side by side: lines of killed runs, what differs, curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from ptdiff.errors import RunError
from ptdiff.experiments.compare_runs import differing, history, runs_in, summary
from ptdiff.experiments.loss_curves import curves


def a_run(path: Path, lines: list[dict[str, object]], **config: object) -> Path:
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({"modality": "m", "seed": 0} | config))
    (path / "data.json").write_text("{}")
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def line(step: int, loss: float | None, **more: object) -> dict[str, object]:
    return {"step": step, "seconds": step * 6.0, "loss": loss} | more


def test_steps_that_were_done_twice_count_once(tmp_path: Path) -> None:
    lines = [line(5, 1.0), line(10, 0.9), line(15, 0.8), line(12, 0.85), line(20, 0.7)]
    run = a_run(tmp_path / "r", lines)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "lo')
    assert [(entry["step"], entry["loss"]) for entry in history(run)] == [(5, 1.0), (10, 0.9), (12, 0.85), (20, 0.7)]


def test_a_summary_has_the_last_loss_the_best_validation_and_the_figures(tmp_path: Path) -> None:
    lines = [line(5, 1.0, validation_loss=0.4), line(10, 0.5, validation_loss=0.3), line(15, None, validation_loss=0.6)]
    run = a_run(tmp_path / "r", lines, training={"lr": 0.1})
    found = summary(run)
    assert (found.steps, found.minutes, found.loss, found.validation) == (15, 1.5, 0.5, 0.3)
    assert (dict(found.settings), found.figures) == ({"modality": "m", "seed": 0, "training.lr": 0.1}, {})
    (run / "eval.json").write_text(
        json.dumps({"protocol": "p", "n": 3, "metrics": {"energy": {"value": 2.5, "floor": 1.0}}})
    )
    assert summary(run).figures == {"energy": 2.5}
    empty = summary(a_run(tmp_path / "new", []))
    assert (empty.steps, empty.loss, empty.validation) == (0, None, None)
    with pytest.raises(RunError, match="not a run folder"):
        summary(tmp_path)


def test_only_settings_that_differ_are_named(tmp_path: Path) -> None:
    one = a_run(tmp_path / "a", [], training={"lr": 0.1, "batch": 8}, process={"name": "ve", "sigma_max": 80})
    two = a_run(tmp_path / "b", [], training={"lr": 0.2, "batch": 8}, process={"name": "flow"})
    found = [summary(path) for path in runs_in(tmp_path)]
    assert [run.path for run in found] == [one, two]
    assert differing(found) == ["process.name", "process.sigma_max", "training.lr"]
    assert differing(found[:1]) == []


def test_curves_are_drawn_in_a_color_a_run(tmp_path: Path) -> None:
    runs = [
        a_run(tmp_path / name, [line(s, 1 / (s + k), validation_loss=2 / (s + k)) for s in range(1, 40)])
        for k, name in enumerate("ab", 1)
    ]
    picture = curves(runs)
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    colored = picture.reshape(-1, 3)[np.ptp(picture.reshape(-1, 3), axis=1) > 100]
    blue, orange = (colored[:, 2] > colored[:, 0]).sum(), (colored[:, 2] < colored[:, 0]).sum()
    assert min(blue, orange) > 300
    with pytest.raises(ValueError, match="no losses to plot"):
        curves([a_run(tmp_path / "new", [])])
