"""Measure the memory of importing and of training on 1,000, 10,000 and 100,000 files.

    python benchmarks/memory.py [--sizes 1000 10000 100000] [--folder DIR] [--quick]

Binary PLY files of 100 points in ten class folders are imported with ``ptdiff data import``, then a small network is
trained for 30 steps on the store, and directly on the folder with an empty cache. The memory of the process is read
from /proc every 10 ms: ``anonymous`` is what the process alone needs, ``resident`` also counts the pages of mapped
files, which the system takes back when it needs them. Needs 1 GB of disk, and Linux. Writes results/memory.json unless
``--quick``, which measures 100 and 1,000 files.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from ptdiff.machine.yardstick import yardstick
from ptdiff_datasets.formats.ply import write_ply

RESULTS = Path(__file__).parent / "results" / "memory.json"
POINTS, CLASSES, STEPS = 100, 10, 30
COUNTED = {"anonymous MB": "RssAnon", "resident MB": "VmHWM"}
TRAINING = [f"--steps={STEPS}", "--set=training.batch=32", "--set=training.precision='32'", "--set=training.threads=1"]
TRAINING += ["--set=training.shards=1", "--set=training.micro_batch=null", "-o", "points=64", "-o", "dense=256"]


def files(folder: Path, count: int) -> None:
    """Write ``count`` clouds of random points."""
    random = np.random.default_rng(0)
    for number in range(CLASSES):
        (folder / f"class{number}").mkdir(parents=True)
    for i in range(count):
        write_ply(folder / f"class{i % CLASSES}" / f"shape{i:06d}.ply", random.random((POINTS, 3), np.float32))


def peak(arguments: list[str], cache: Path) -> dict[str, float]:
    """Run ``ptdiff`` and return the most memory that it had, in MB, and how long it took."""
    started = time.monotonic()
    environment = {**os.environ, "PTDIFF_CACHE": str(cache)}
    command = [sys.executable, "-m", "ptdiff_cli.main", *arguments]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    most = dict.fromkeys(COUNTED, 0)
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:
            break
        for name, field in COUNTED.items():
            if found := re.search(rf"{field}:\s+(\d+) kB", status):
                most[name] = max(most[name], int(found[1]))
        time.sleep(0.01)
    error = process.stderr.read() if process.stderr else b""
    if process.wait():
        raise SystemExit(f"ptdiff {' '.join(arguments)}: {error.decode()}")
    return {
        **{name: round(kilobytes / 1024, 1) for name, kilobytes in most.items()},
        "seconds": round(time.monotonic() - started, 1),
    }


def measured(count: int, folder: Path) -> dict[str, Any]:
    """Import and train on ``count`` files below ``folder``."""
    source, store = folder / "files", folder / "store"
    files(source, count)
    found: dict[str, Any] = {"files": count, "points": count * POINTS}
    found["import"] = peak(["data", "import", str(source), str(store), "--points", str(POINTS)], folder / "none")
    for name, data in (("train on the store", store), ("train on the folder", source)):
        arguments = ["train", "-m", "pointcloud", "--data", str(data), "--out", str(folder / name[-6:]), *TRAINING]
        found[name] = peak(arguments, folder / "cache")
    return found


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--folder", type=Path, help="where to write the files; default: the temporary folder")
    parser.add_argument("--quick", action="store_true", help="measure 100 and 1,000 files and write nothing")
    asked = parser.parse_args()
    rows = []
    for count in [100, 1000] if asked.quick else asked.sizes:
        with tempfile.TemporaryDirectory(prefix="ptdiff-memory-", dir=asked.folder) as folder:
            rows.append(measured(count, Path(folder)))
        print(json.dumps(rows[-1]), flush=True)
    result = {"points a file": POINTS, "steps": STEPS, "rows": rows, "machine": yardstick()}
    if not asked.quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
