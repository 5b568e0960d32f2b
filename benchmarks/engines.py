"""Time sampling by workers: the overhead of the executor on one process, and two workers compared with one.

    python benchmarks/engines.py [--json benchmarks/results/engines.json] [--quick]

2,000 clouds of the shipped model ``shapes``, about 5 minutes on idle cores. The overhead is the difference between
``sample_in_shards`` with one worker and ``model.sample``, both on one thread. It does not depend on the number of
solver steps, so it is measured with few, alternately, and compared with the time of ``STEPS`` steps; the goal is 2 %.
The other goal is that two workers take 0.55 of the time of one on two idle cores; ``cores had`` tells if they were
idle. The ratio of processor times, half of that of two workers over that of one, hardly depends on other load.
``--quick`` generates 100 clouds and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ptdiff
from ptdiff.documents.atomic import write_atomic
from ptdiff.machine.engines import Processes
from ptdiff.machine.timing import threads
from ptdiff.machine.yardstick import had, yardstick
from ptdiff.model import sharded
from ptdiff.model.loaded import Model

RESULTS = Path(__file__).parent / "results" / "engines.json"
STEPS, FEW = 20, 1
"""Heun steps of the comparison of workers, the default of the model (39 network calls), and of the overhead (1)."""


def measured(work: Callable[[], object]) -> dict[str, float]:
    """Wall-clock and processor seconds of a call, its child processes included."""
    began, used = time.perf_counter(), _used()
    work()
    wall = time.perf_counter() - began
    for child in multiprocessing.active_children():
        child.join()
    return {"wall": wall, "processor": _used() - used}


def _used() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def plain(model: Model, count: int, steps: int) -> None:
    """Generate samples without an engine, on one thread."""
    with threads(1):
        model.sample(count, steps=steps)


def by_workers(model: Model, count: int, steps: int, workers: int) -> None:
    """Generate the same samples by workers, which load the model."""
    sharded._loaded.cache_clear()
    _, folder = sharded.sample_in_shards(model, count, Processes(workers), steps=steps, batch=batch_of(count))
    sharded.remove(folder)


def batch_of(count: int) -> int | None:
    """The default for many clouds; smaller for few ones, so that there are several shards."""
    return None if count >= 1000 else count // 4


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    count, rounds = (100, 1) if given.quick else (2000, 5)
    target = given.json.resolve()
    with TemporaryDirectory() as folder:
        # shards of an installed model go to the current folder
        os.chdir(folder)
        result = results(ptdiff.load("shapes", device="cpu"), count, rounds)
    print(json.dumps(result, indent=1))
    if not given.quick:
        write_atomic(target, json.dumps(result, indent=1) + "\n")


def results(model: Model, count: int, rounds: int) -> dict[str, Any]:
    """Measure the overhead and the speed of two workers for ``count`` clouds."""
    plain(model, 8, FEW)  # one-time preparations
    pairs = [
        (measured(lambda: plain(model, count, FEW)), measured(lambda: by_workers(model, count, FEW, 1)))
        for _ in range(rounds)
    ]
    overhead = {
        clock: statistics.median(engine[clock] - alone[clock] for alone, engine in pairs)
        for clock in ("wall", "processor")
    }
    before = had(2)
    one, two = (measured(lambda n=n: by_workers(model, count, STEPS, n)) for n in (1, 2))  # type: ignore[misc]
    cores = min(before, had(2))
    return {
        "goals": {"overhead of the executor, %": 2.0, "two workers to one, wall": 0.55},
        "clouds": count,
        "points": model.data.shape[0],
        "heun steps": STEPS,
        "one worker, s": rounded(one),
        "two workers, s": rounded(two),
        "two workers to one, wall": round(two["wall"] / one["wall"], 3),
        "half of two workers to one, processor": round(two["processor"] / 2 / one["processor"], 3),
        "overhead, s": rounded(overhead),
        "overhead of the executor, %": round(100 * overhead["processor"] / one["processor"], 2),
        "cores had": round(cores, 2),
        "machine": yardstick(),
    }


def rounded(seconds: dict[str, float]) -> dict[str, float]:
    """The same to milliseconds."""
    return {clock: round(each, 3) for clock, each in seconds.items()}


if __name__ == "__main__":
    main()
