"""Measure the CPU time of commands before their work starts, compared with ``import torch``.

    python benchmarks/startup.py [--rounds 7]

Every round starts each command once, in a separate process on one thread; medians are reported.  The work starts with
the first sample of the data (eval), the first noise (sample), the first image (render of a file); the process ends
there.

Writes results/startup.json.
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

import numpy as np

RESULTS = Path(__file__).parent / "results" / "startup.json"

STOP = """
import importlib, sys
from importlib.machinery import PathFinder
from ptdiff_cli.main import main
module, member = sys.argv.pop(1).split(":")
class Stopping:
    # the first function of the work is replaced once its module is imported: the import is part of the start
    def find_spec(self, name, path=None, target=None):
        if name != module:
            return None
        sys.meta_path.remove(self)
        found = importlib.util.find_spec(name)
        run = found.loader.exec_module
        def execute(made):
            run(made)
            *owner, last = member.split(".")
            def stop(*_, **__): raise SystemExit(0)
            setattr(getattr(made, owner[0]) if owner else made, last, stop)
        found.loader.exec_module = execute
        return found
sys.meta_path.insert(0, Stopping())
main()
raise AssertionError("the work never began")
"""


def seconds(code: str, *arguments: object) -> float:
    """User and system CPU time of a process."""
    before = os.times()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True, env=environment)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def measured(rounds: int) -> dict[str, Any]:
    """Return seconds, and ratios to ``import torch`` round by round."""
    with tempfile.TemporaryDirectory() as folder:
        run, file = Path(folder) / "run", Path(folder) / "samples.npz"
        np.savez(file, samples=np.random.default_rng(0).normal(size=(10, 2048, 3)).astype(np.float32))
        small = ["-o", "shapes_per_class=2", "--steps", 1, "--precision", "32", "--set", "training.batch=4"]
        command = "import sys\nfrom ptdiff_cli.main import main\nmain()"
        seconds(command, "train", "-m", "pointcloud", *small, "--out", run)
        starts: dict[str, tuple[object, ...]] = {
            "import torch": ("import torch",),
            "sample": (STOP, "ptdiff.sampling.sampler:walk", "sample", run, "-n", 10, "--points", 2048),
            "render": (
                STOP,
                "ptdiff_pointcloud.render.visualizer:Spheres.sheet",
                "render",
                file,
                "--out",
                f"{folder}/a.png",
            ),
            "eval": (STOP, "ptdiff_pointcloud.data.sources:shapes", "eval", run, "-n", 10),
            "--help": (command, "--help"),
        }
        found = {name: [] for name in starts}  # type: dict[str, list[float]]
        for _ in range(rounds):
            for name, (code, *arguments) in starts.items():
                found[name].append(seconds(str(code), *arguments))
    base = found["import torch"]
    return {
        name: {
            "seconds": round(statistics.median(times), 3),
            "ratio": round(statistics.median(t / b for t, b in zip(times, base, strict=True)), 3),
        }
        for name, times in found.items()
    }


def main() -> None:
    """Measure, print, write."""
    from ptdiff.machine.host import facts

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    result = {"machine": facts(), "rounds": rounds, "processor_time": measured(rounds)}
    print(json.dumps(result["processor_time"], indent=1))
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
