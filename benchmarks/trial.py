"""Measure the choices of the trial before training, and their cost: benchmarks/results/trial.json.

    python benchmarks/trial.py                      20 trials on the idle machine, 20 with one core kept busy

Each trial's choice is compared with the fastest of all combinations, measured at length and alternately before and
after the trials of its load.  Regret is the step time of the chosen combination divided by that of the fastest.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ptdiff.documents.atomic import write_atomic
from ptdiff.machine import host
from ptdiff.machine.timing import Way
from ptdiff.machine.yardstick import yardstick
from ptdiff.modality import Modality, registry
from ptdiff.modality.data import Data
from ptdiff.run.config import Config, defaults, merged, validate
from ptdiff.training.autotune import settle
from ptdiff.training.timed_steps import Steps

RESULTS = Path(__file__).parent / "results" / "trial.json"
ROUNDS = 8


def main() -> None:
    """Run trials under both loads and compute the regret of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--modality", default="pointcloud")
    given = parser.parse_args()
    host.keep_freed_memory()
    kind = registry.load(given.modality, {"shapes_per_class": 20} if given.modality == "pointcloud" else {})
    data = kind.dataset()
    values = merged(merged(defaults(given.modality), kind.recipe()), {"options": dataclasses.asdict(kind)})
    config = validate(merged(values, {"training": {"minutes": 8, "steps": None}}))
    found = {}
    for hogs in (0, 1):
        with busy(hogs):
            found[f"{hogs} busy cores"] = under_load(config, kind, data, given.trials)
    result = {"command": " ".join(sys.argv), "machine": yardstick(), "modality": given.modality, "loads": found}
    write_atomic(RESULTS, json.dumps(result, indent=1) + "\n")
    for load, each in found.items():
        print(f"{load}: regret at most {max(each['regrets']):.3f}, trials of {max(each['seconds']):.1f} s at most")


def under_load(config: Config, kind: Modality, data: Data, trials: int) -> dict[str, Any]:
    """Choices of ``trials`` trials and their regrets."""
    first = settle(config, kind, data, torch.device("cpu"))
    # every combination in the race; those skipped at once were several times slower
    ways = list(first.seconds)
    before = at_length(config, kind, data, ways)
    chosen, seconds = [], []
    for _ in range(trials):
        began = time.perf_counter()
        chosen.append(settle(config, kind, data, torch.device("cpu")).way)
        seconds.append(round(time.perf_counter() - began, 2))
    after = at_length(config, kind, data, ways)
    mean = {way: (before[way] + after[way]) / 2 for way in ways}
    best = min(mean.values())
    known = {way: mean.get(way) or at_length(config, kind, data, [way])[way] for way in dict.fromkeys(chosen)}
    return {
        "milliseconds": {str(dataclasses.astuple(way)): round(1e3 * each, 1) for way, each in mean.items()},
        "chosen": {str(dataclasses.astuple(way)): chosen.count(way) for way in known},
        "regrets": [round(known[way] / best, 3) for way in chosen],
        "seconds": seconds,
    }


def at_length(config: Config, kind: Modality, data: Data, ways: list[Way]) -> dict[Way, float]:
    """Mean seconds per step of the whole batch for each combination, measured alternately."""
    threads, steps = torch.get_num_threads(), Steps(config, kind, data, torch.device("cpu"))
    try:
        steps.build(config.training.batch)
        times: dict[Way, list[float]] = {way: [] for way in ways}
        for turn in range(ROUNDS + 1):
            for way in ways:
                spent = steps.time(way)
                # the first one includes one-time preparation
                times[way] += [spent] if turn else []
    finally:
        steps.close()
        torch.set_num_threads(threads)
    return {way: sum(each) / len(each) for way, each in times.items()}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep cores busy, one process each, inside the context."""
    code = "import time\nend = time.monotonic() + 900\nwhile time.monotonic() < end: pass"
    hogs = [subprocess.Popen([sys.executable, "-I", "-S", "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for hog in hogs:
            hog.kill()
            hog.wait()


if __name__ == "__main__":
    main()
