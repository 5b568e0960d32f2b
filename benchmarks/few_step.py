"""Measure samples in few calls: a flow map that starts from the shipped model ``swissroll``, and solvers of that model.

    python benchmarks/few_step.py [--steps 1500] [-n 5000] [--quick]

The map trains for ``--steps`` steps on one thread, about a minute on an idle core.  The score is the sliced Wasserstein
distance to held-out points for 1, 2, 4 and 8 network calls, with 95 % intervals and the floor, the distance of real
points: the mean over three seeds of the samples, and the widest interval; one training.  Writes results/few_step.json
unless ``--quick``, which trains for 100 steps and generates 500 points.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ptdiff
from ptdiff.documents.atomic import write_atomic
from ptdiff.machine.yardstick import yardstick
from ptdiff.model.loaded import Model

RESULTS = Path(__file__).parent / "results" / "few_step.json"
CALLS, SEEDS = (1, 2, 4, 8), (0, 1, 2)
SOLVERS = {"flow map": "ddim", "ddim": "ddim", "dpm++2m": "dpm++2m"}


def measured(model: Model, solver: str, calls: int, n: int) -> dict[str, float]:
    """The distance by ``solver`` with that many calls, one for each step."""
    scores = [model.evaluate(n=n, solver=solver, steps=calls, seed=seed).scores["sliced_wasserstein"] for seed in SEEDS]
    return {
        "value": statistics.mean(score.value for score in scores),
        "low": min(score.low for score in scores),
        "high": max(score.high for score in scores),
        "floor": statistics.mean(score.floor for score in scores),
    }


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--quick", action="store_true")
    asked = parser.parse_args()
    steps, n = (100, 500) if asked.quick else (asked.steps, asked.n)
    with TemporaryDirectory() as folder:
        began, busy = time.perf_counter(), time.process_time()
        settings: dict[str, Any] = {"threads": 1, "shards": 1, "precision": "32", "steps": steps}
        student = ptdiff.train(
            start="swissroll",
            out=Path(folder) / "map",
            objective={"name": "flow-map"},
            sampling={"solver": "ddim", "steps": 1},
            training=settings,
            say=print,
        )
        wall, busy = time.perf_counter() - began, time.process_time() - busy
        teacher = ptdiff.load("swissroll")
        rows = {
            name: {calls: measured(student if name == "flow map" else teacher, solver, calls, n) for calls in CALLS}
            for name, solver in SOLVERS.items()
        }
    result = {
        "n": n,
        "seeds": len(SEEDS),
        "steps": steps,
        "training, s": {"wall": round(wall, 1), "processor": round(busy, 1)},
        "rows": rows,
        "machine": yardstick(),
    }
    text = json.dumps(result, indent=1)
    print(text)
    if not asked.quick:
        write_atomic(RESULTS, text + "\n")


if __name__ == "__main__":
    main()
