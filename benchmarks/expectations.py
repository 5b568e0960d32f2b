"""Measure scores of the default recipe by number of steps: plugins/<plugin>/recipes/expectations.json.

    python benchmarks/expectations.py                             three short runs of point clouds, with n = 400
    python benchmarks/expectations.py --steps 75 300 --add RUN    the same, and finished runs of the recipe

``ptdiff train --minutes`` uses this table to say what to expect at the rate of the current machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from ptdiff.documents.atomic import write_atomic
from ptdiff.machine import host
from ptdiff.modality import registry
from ptdiff.run.folder import Run
from ptdiff.training.expectations import FILE, Expectations

COUNT = 400
WORDS = [[78, "recognizable shapes"], [92, "rough shapes"], [100, "blobs"]]
"""Appearance of samples up to a value of 1-NNA-CD, judged by eye on the contact sheets of the runs."""


def main() -> None:
    """Train, evaluate and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="*", default=[75, 300, 1200], help="numbers of steps of the runs")
    parser.add_argument("--add", type=Path, nargs="*", default=[], help="finished runs of the recipe")
    parser.add_argument("--folder", type=Path, default=Path("runs/expectations"))
    given = parser.parse_args()
    runs = [*given.add, *(_trained(given.folder / f"steps-{steps}", steps) for steps in given.steps)]
    rows = sorted((_row(run) for run in runs), key=lambda row: int(row["steps"]))
    floors = [row.pop("floor") for row in rows]
    table = {
        "metric": "1-NNA-CD",
        "n": COUNT,
        "floor": round(sum(floors) / len(floors), 1),
        "data": "the built-in shapes",
        "command": f"python benchmarks/expectations.py {_words(given)}",
        "machine": host.facts(),
        "words": WORDS,
        "rows": rows,
    }
    Expectations.read(table)
    text = json.dumps({key: value for key, value in table.items() if key != "rows"}, indent=1)[:-2]
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    module = importlib.import_module(registry.modality_class("pointcloud").__module__)
    assert module.__file__ is not None
    write_atomic(Path(module.__file__).parent / FILE, f'{text},\n "rows": [\n  {lines}\n ]\n}}\n')


def _words(given: argparse.Namespace) -> str:
    """Options as given, without paths of this machine."""
    added = ["--add", *(path.name for path in given.add)] if given.add else []
    return " ".join(["--steps", *map(str, given.steps), *added])


def _trained(run: Path, steps: int) -> Path:
    warmup = max(1, min(100, steps // 10))
    if not (run / "config.yaml").exists():
        settings = ["--steps", str(steps), "--set", f"training.warmup={warmup}"]
        _ptdiff("train", "-m", "pointcloud", *settings, "--out", str(run))
    else:
        _ptdiff("resume", str(run))
    return run


def _row(run: Path) -> dict[str, Any]:
    """Score of a run, evaluated first if necessary."""
    done = run / "eval.json"
    if not done.exists() or json.loads(done.read_text())["n"] != COUNT:
        _ptdiff("eval", str(run), "-n", str(COUNT), "--points", "512")
    score = json.loads(done.read_text())["metrics"]["1nna_cd"]
    return {
        "steps": Run.open(run).checkpoint().step,
        **{key: round(score[key], 1) for key in ("value", "low", "high", "floor")},
    }


def _ptdiff(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "ptdiff_cli.main", *arguments], check=True)


if __name__ == "__main__":
    main()
