"""Measure the scores and the cost of the points2d recipes with 'ptdiff eval'.

    python benchmarks/points2d.py [--only NAME] [--datasaurus FOLDER]

Trains every recipe and compares it with held-out points.  The Datasaurus recipe needs its table; recipes without their
table are skipped and listed.  Writes benchmarks/results/points2d.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from ptdiff.machine.yardstick import yardstick
from ptdiff.run.recipes import recipes

COUNT = 2000
TABLES = ("datasaurus", "table")


def measured(name: str, folder: Path, data: str | None) -> dict[str, Any]:
    """Train and evaluate one recipe with the command line."""
    run = folder / name
    train = ["train", "-m", "points2d", "-c", name, "--out", str(run), *(["--data", data] if data else [])]
    for command in (train, ["eval", str(run), "-n", str(COUNT), "--json"]):
        subprocess.run([sys.executable, "-m", "ptdiff_cli.main", *command], check=True, stdout=subprocess.DEVNULL)
    found = json.loads((run / "eval.json").read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    return {
        "recipe": name,
        "n": found["n"],
        "steps": max(line["step"] for line in lines),
        "seconds": max(line["seconds"] for line in lines),
        "calls": found["sampling"]["calls"],
        "metrics": found["metrics"],
    }


def main() -> None:
    """Measure all recipes, and write the results after each."""
    parser = argparse.ArgumentParser(description="figures of the recipes of points2d")
    parser.add_argument("--only", action="append")
    parser.add_argument("--datasaurus", help="file of the Datasaurus Dozen, or its folder")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "points2d.json")
    given = parser.parse_args()
    old = json.loads(given.out.read_text(encoding="utf-8"))["recipes"] if given.out.is_file() else []
    rows = {row["recipe"]: row for row in old}
    tables = {"datasaurus": given.datasaurus}
    with tempfile.TemporaryDirectory() as folder:
        for recipe in recipes("points2d"):
            if given.only and recipe.name not in given.only:
                continue
            if recipe.name in TABLES and not tables.get(recipe.name):
                print(f"{recipe.name}: skipped, its table is not given")
                continue
            row = measured(recipe.name, Path(folder), tables.get(recipe.name))
            rows[recipe.name] = row
            sliced = row["metrics"]["sliced_wasserstein"]
            print(
                f"{recipe.name}: {row['seconds']:.0f} s, {sliced['value']:.4f} (floor {sliced['floor']:.4f})",
                flush=True,
            )
            result = {"machine": yardstick(), "recipes": [rows[name] for name in sorted(rows)]}
            given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
