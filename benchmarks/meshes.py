"""Mesh samples of a run, and count how many meshes are closed and how many parts they have.

    python benchmarks/meshes.py RUN [-n 50] [--points 2048] [--samples FILE] [--method poisson …] [--quick]

Generates samples, or reads them from a FILE written by 'ptdiff sample RUN'.  It makes a surface of each by every
method, exports it as GLB, reads the file back with trimesh, and reports: watertight (every edge joins two faces),
components, Euler numbers of the closed ones, faces, seconds per mesh. Writes results/meshes.json unless ``--quick``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import trimesh

from ptdiff.machine.yardstick import yardstick
from ptdiff.modality import Modality
from ptdiff.model import Model
from ptdiff.run.folder import Run
from ptdiff.sampling.samples import Samples

RESULTS = Path(__file__).parent / "results" / "meshes.json"


def meshed(kind: Modality, samples: Any, method: str, folder: Path) -> dict[str, Any]:
    """Statistics of the files of all samples that have a surface."""
    closed, components, faces, euler = 0, [], [], []
    failed: Counter[str] = Counter()
    began = time.process_time()
    for i, sample in enumerate(samples):
        path = folder / f"{method}-{i}.glb"
        try:
            kind.mesh(sample, method).save(path)
        except ValueError as error:
            failed[str(error)] += 1
            continue
        read = trimesh.load(path, force="mesh")
        closed += bool(read.is_watertight)
        components.append(len(read.split(only_watertight=False)))
        faces.append(len(read.faces))
        if read.is_watertight:
            euler.append(int(read.euler_number))
    return {
        "meshes": len(components),
        "failed": dict(failed),
        "watertight": round(closed / len(samples), 3),
        "components": dict(sorted(Counter(components).items())),
        "components, median": float(np.median(components)) if components else None,
        "euler numbers of closed": dict(sorted(Counter(euler).items())),
        "faces, median": int(np.median(faces)) if faces else None,
        "seconds a mesh": round((time.process_time() - began) / len(samples), 2),
    }


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", "--count", type=int, default=50)
    parser.add_argument("--points", type=int, default=2048)
    parser.add_argument("--samples", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--method", action="append", help="default: all methods")
    parser.add_argument("--quick", action="store_true", help="use four samples and write nothing")
    asked = parser.parse_args()
    count = 4 if asked.quick else asked.count
    run = Run.open(asked.run)
    kind = run.modality()
    if asked.samples is None:
        model = Model.of(run)
        samples = model.sample(count, points=asked.points, seed=asked.seed, steps=asked.steps).numpy()
    else:
        samples = Samples.read(asked.samples, kind).first(count).numpy()
    with tempfile.TemporaryDirectory() as folder:
        ways = asked.method or list(kind.meshing())
        found = {way: meshed(kind, samples, way, Path(folder)) for way in ways}
    facts = {"n": len(samples), "points": samples.shape[1]}
    size = {name: run.config.options.get(name) for name in ("network", "size", "points")}
    trained = size | {"step": run.checkpoint().step, "classes": len(run.data.classes)}
    result = {"settings": facts, "trained": trained, "methods": found, "machine": yardstick()}
    print(json.dumps(result, indent=1))
    if not asked.quick:
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
