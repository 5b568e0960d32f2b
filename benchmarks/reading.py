"""Time the reading of point clouds and meshes, compared with trimesh alone.

    python benchmarks/reading.py [--meshes 1000] [--quick]

A binary PLY file of a million points, and OBJ meshes of about 3,000 faces. ``ptdiff``: a mesh with all checks, as
``ptdiff data import`` reads it. ``trimesh``: ``trimesh.load(path)``, which also merges equal vertices; ``trimesh, as
is``: with ``process=False``. All read every mesh in turn, so that other load on the machine meets all of them. Times
are processor time; the goals are 5 ms and a ratio of 1.2. Writes results/reading.json unless ``--quick``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from ptdiff.machine.yardstick import had, yardstick
from ptdiff_datasets.formats.catalog import read_cloud
from ptdiff_datasets.formats.meshes import read_mesh
from ptdiff_datasets.formats.ply import write_ply

RESULTS = Path(__file__).parent / "results" / "reading.json"
POINTS, GOAL_MS, GOAL_RATIO = 1_000_000, 5.0, 1.2


def spent(work: Callable[[], object]) -> float:
    """Milliseconds of processor time that ``work`` takes."""
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1e3


def ply(folder: Path, repeats: int) -> dict[str, Any]:
    """Read a million points of float32, without and with normals and colors."""
    random = np.random.default_rng(0)
    points = random.random((POINTS, 3)).astype(np.float32)
    parts = {"xyz": (None, None)}
    parts |= {"xyz, normals, colors": (np.ones_like(points), random.integers(0, 256, (POINTS, 3), np.uint8))}  # type: ignore[dict-item]
    found = {}
    for name, (normals, colors) in parts.items():
        path = folder / "cloud.ply"
        write_ply(path, points, normals, colors)
        took = sorted(spent(lambda path=path: read_cloud(path)) for _ in range(repeats))  # type: ignore[misc]
        alone = sorted(spent(lambda path=path: trimesh.load(path)) for _ in range(max(3, repeats // 5)))  # type: ignore[misc]
        found[name] = {
            "ptdiff ms, fastest": round(took[0], 2),
            "ptdiff ms, median": round(took[len(took) // 2], 2),
            "trimesh ms, fastest": round(alone[0], 2),
        }
    return found


def meshes(folder: Path, count: int) -> dict[str, Any]:
    """Read ``count`` OBJ meshes of about 3,000 faces, each by both readers in turn."""
    random = np.random.default_rng(0)
    ball = trimesh.creation.uv_sphere(count=[28, 28])
    times: dict[str, list[float]] = {"ptdiff": [], "trimesh": [], "trimesh, as is": []}
    paths = []
    for i in range(count):
        shape = ball.copy()
        shape.vertices = np.asarray(ball.vertices) * random.uniform(0.5, 2, 3)
        paths.append(folder / f"{i}.obj")
        shape.export(paths[-1])
    readers: dict[str, Callable[[Path], object]] = {
        "ptdiff": read_mesh,
        "trimesh": lambda path: trimesh.load(path, force="mesh"),
        "trimesh, as is": lambda path: trimesh.load(path, force="mesh", process=False),
    }
    for read in readers.values():
        read(paths[0])  # imports
    for i, path in enumerate(paths):
        # in alternating order, because the first one also brings the file into the cache
        for name in list(readers)[:: 1 if i % 2 else -1]:
            times[name].append(spent(lambda name=name, path=path: readers[name](path)))  # type: ignore[misc]
    total = {name: sum(taken) for name, taken in times.items()}
    middle = {name: float(np.median(taken)) for name, taken in times.items()}
    return {
        "meshes": count,
        "faces": len(ball.faces),
        "ms a mesh": {name: round(spent / count, 3) for name, spent in total.items()},
        "ratio": {name: round(total["ptdiff"] / total[name], 3) for name in list(readers)[1:]},
        "ratio of medians": {name: round(middle["ptdiff"] / middle[name], 3) for name in list(readers)[1:]},
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--meshes", type=int, default=1000)
    parser.add_argument("--quick", action="store_true", help="read a tenth and write nothing")
    asked = parser.parse_args()
    load, cores = os.getloadavg()[0], os.cpu_count()
    with tempfile.TemporaryDirectory() as folder:
        clouds = ply(Path(folder), 5 if asked.quick else 40)
        shapes = meshes(Path(folder), asked.meshes // 10 if asked.quick else asked.meshes)
    result = {
        "goals": {"a million points, ms": GOAL_MS, "OBJ, ratio to trimesh": GOAL_RATIO},
        "binary PLY of a million points": clouds,
        "OBJ meshes": shapes,
        "load": {"programs that wanted a core": round(load, 2), "cores": cores, "a thread had": round(had(1), 2)},
        "machine": yardstick(),
    }
    print(json.dumps(result, indent=1))
    if not asked.quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
