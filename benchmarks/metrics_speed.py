"""Time the metrics of point clouds on procedural shapes: on ten classes, and on chairs only, the harder case.

    python benchmarks/metrics_speed.py [--quick]

Writes results/metrics_speed.json. ``--quick`` measures a tenth of the clouds and writes nothing.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptdiff.machine.yardstick import yardstick
from ptdiff_datasets.shapes import CLASSES, dense_clouds
from ptdiff_pointcloud.metrics.chamfer import chamfer_pairs
from ptdiff_pointcloud.metrics.distances import all_distances
from ptdiff_pointcloud.metrics.emd import exact_pairs
from ptdiff_pointcloud.metrics.protocols import compare
from ptdiff_pointcloud.metrics.set_metrics import Distances, nearest_neighbor_accuracy

RESULTS = Path(__file__).parent / "results" / "metrics_speed.json"


def shapes(count: int, points: int, first: int, only: str | None = None) -> Tensor:
    """Clouds that alternate between all classes, or clouds of one class."""
    turn = np.arange(count)
    label, seed = (
        (turn % len(CLASSES), turn // len(CLASSES)) if only is None else (0 * turn + CLASSES.index(only), turn)
    )
    return torch.from_numpy(dense_clouds(label, first + seed, points))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall-clock seconds of a call, and its result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def pair(kind: Callable[[Tensor, Tensor], Any], points: int, count: int) -> float:
    """Milliseconds per pair on one thread, with everything prepared once."""
    x = shapes(count, points, 0)
    of = kind(x, x)
    i, j = torch.triu_indices(count, count, offset=1)
    return round(1e3 * timed(lambda: of(i, j))[0] / len(i), 3)


def accuracy(kind: str, count: int, points: int, only: str | None) -> dict[str, Any]:
    """1-NNA of ``count`` clouds against another ``count``, with nothing else computed."""
    x, y = shapes(count, points, 0, only), shapes(count, points, 5000, only)
    shares = []

    def work() -> float:
        parts = [all_distances(kind, a, b, nearest=True) for a, b in ((x, None), (y, None), (x, y))]
        shares.extend(float(part.isfinite().double().mean()) for part in parts)
        return nearest_neighbor_accuracy(Distances(*parts))[0].mean

    seconds, value = timed(work)
    return {
        "clouds": count,
        "points": points,
        "classes": only or "ten",
        "seconds": round(seconds, 1),
        "pairs_computed": round(sum(shares) / 3, 3),
        "1nna": value,
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    part = 10 if quick else 1
    # late imports must not count
    compare(*(shapes(4, 16, k) for k in (0, 10, 20)))
    all_distances("emd_exact", shapes(2, 16, 0))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result: dict[str, Any] = {
        "one_thread": {
            "chamfer_ms_a_pair": {str(n): pair(chamfer_pairs, n, 40 // part + 6) for n in (512, 1024, 2048)},
            "exact_emd_ms_a_pair": {"512": pair(exact_pairs, 512, 12 // part + 4)},
        }
    }
    torch.set_num_threads(threads)
    result[f"{threads}_threads"] = {
        "1nna_cd": [accuracy("cd", 300 // part, 2048, only) for only in (None, "chair")],
        "1nna_emd_exact": [accuracy("emd_exact", 100 // part, 512, only) for only in (None, "chair")],
    }
    three = [shapes(300 // part, 2048, first) for first in (0, 5000, 10000)]
    seconds, _ = timed(lambda: compare(*three))
    result[f"{threads}_threads"]["full_set_with_floor_300_of_2048_seconds"] = round(seconds, 1)
    result["machine"] = yardstick()
    print(json.dumps(result, indent=1))
    if not quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
