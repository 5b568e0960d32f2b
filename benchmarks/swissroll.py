"""Measure how close a model of the swiss roll is to its data after a quarter of a minute, with 'ptdiff eval'.

    python benchmarks/swissroll.py

Five runs with five seeds use the recipe of 'ptdiff train -m points2d --data swissroll', and each is compared with
10,000 held-out points.  The floor is the score of an equal number of training points, the distance between two parts of
the data.  It is random too, so two ratios are given: to the floor of each evaluation, and to the root mean square over
many parts.  Seconds are training time, as in metrics.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from ptdiff.machine.yardstick import yardstick
from ptdiff.metrics import sliced_wasserstein
from ptdiff.run.folder import Run

COUNT = 10_000
HALVES = 20


def measured(folder: Path, seed: int, more: list[str]) -> dict[str, Any]:
    """Train and evaluate one run with the command line."""
    run = folder / f"seed-{seed}"
    train = ["train", "-m", "points2d", "--data", "swissroll", "--seed", str(seed), "--out", str(run), *more]
    for command in (train, ["eval", str(run), "-n", str(COUNT), "--seed", str(seed), "--json"]):
        subprocess.run([sys.executable, "-m", "ptdiff_cli.main", *command], check=True, stdout=subprocess.DEVNULL)
    score = json.loads((run / "eval.json").read_text(encoding="utf-8"))["metrics"]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    sliced = score["sliced_wasserstein"]
    return {
        "seed": seed,
        "steps": max(line["step"] for line in lines),
        "seconds": max(line["seconds"] for line in lines),
        "sliced_wasserstein": sliced["value"],
        "floor": sliced["floor"],
        "ratio": sliced["value"] / sliced["floor"],
        "energy": score["energy"],
        "mmd_squared": score["mmd_squared"],
        "nll": score["nll"],
    }


def between_halves(run: Run) -> float:
    """Root mean square distance between two random parts of the data, COUNT points each."""
    train = run.modality().dataset().train
    assert train is not None
    found = []
    for seed in range(HALVES):
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
        x = train.batch(order, 0)[0]
        found.append(sliced_wasserstein(x[:COUNT], x[COUNT : 2 * COUNT], seed=seed) ** 2)
    return float(statistics.fmean(found) ** 0.5)


def main() -> None:
    """Measure and write benchmarks/results/swissroll.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "swissroll.json")
    given, more = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = []
        for seed in range(given.seeds):
            rows.append(measured(Path(folder), seed, more))
            row = rows[-1]
            print(f"seed {seed}: {row['seconds']:.1f} s, ratio {row['ratio']:.3f}", flush=True)
        halves = between_halves(Run.open(Path(folder) / "seed-0"))
    result = {
        "n": COUNT,
        "cores": os.cpu_count(),
        "settings": more,
        "median": {key: statistics.median(row[key] for row in rows) for key in ("seconds", "ratio")}
        | {"sliced_wasserstein": statistics.median(row["sliced_wasserstein"] for row in rows)},
        "between_halves": halves,
        "ratio_to_mean_halves": statistics.median(row["sliced_wasserstein"] for row in rows) / halves,
        "runs": rows,
        "machine": yardstick(),
    }
    given.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"median ratio {result['median']['ratio']:.3f}; to the mean of halves {result['ratio_to_mean_halves']:.3f}")


if __name__ == "__main__":
    main()
