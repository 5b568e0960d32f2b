"""Evaluate one checkpoint under every process with every solver.

    python benchmarks/processes_and_solvers.py runs/demo --calls 40

All solvers make about the same number of network calls.  Prints a table of the modality's first score and writes
benchmarks/results/processes_and_solvers.json with all of them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path

import torch

from ptdiff.evaluation import largest, reference_sets
from ptdiff.machine.host import keep_freed_memory
from ptdiff.machine.yardstick import yardstick
from ptdiff.modality import Comparison, registry
from ptdiff.process import PROCESSES
from ptdiff.run.folder import Run
from ptdiff.sampling.sampler import Plan, draw
from ptdiff.solvers import SOLVERS

RESULTS = Path(__file__).parent / "results" / "processes_and_solvers.json"
CALLS_A_STEP = {"heun": 2, "ddim": 1, "ddpm": 1, "dpm++2m": 1, "euler": 1, "midpoint": 2, "rk4": 4}
COMPARED = ("flow", "vp", "vp-cosine", "ve")


def main() -> None:
    """Sample, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--calls", type=int, default=40, help="approximate number of network calls per sample")
    parser.add_argument("-n", type=int, default=200, help="samples and reference samples")
    parser.add_argument("--points", type=int, default=None, help="points of each cloud; default the run's")
    parser.add_argument("--spacing", default=None, help="spacing of the grid; default the run's")
    arguments = parser.parse_args()
    keep_freed_memory()
    run = Run.open(arguments.run)
    options = run.config.options if arguments.points is None else run.config.options | {"points": arguments.points}
    kind, model = registry.load(run.config.modality, options), run.denoiser()
    data = kind.dataset()
    assert data.val is not None and data.train is not None
    n = largest(data.train, data.val, arguments.n)
    sets = reference_sets(data.train, data.val, n)
    cond = {} if sets.labels is None else {"label": sets.labels}
    rows, machine = [], yardstick()
    for process in COMPARED:
        for solver, each in CALLS_A_STEP.items():
            steps = max(2, arguments.calls // each)
            spacing = arguments.spacing or run.config.sampling.spacing
            plan = Plan(PROCESSES[process](), SOLVERS[solver](), steps=steps, spacing=spacing)
            began = time.perf_counter()
            samples = torch.cat(
                [
                    draw(model, run.data, plan, ids, {k: v[ids] for k, v in cond.items()}, data.shape)
                    for ids in torch.arange(n).split(100)
                ]
            )
            samples = kind.postprocess(samples, run.data)
            scores = kind.compare(Comparison(samples, sets.reference, sets.training)).scores
            row = {"process": process, "solver": solver, "steps": steps, "calls": plan.table().calls}
            row |= {"seconds": round(time.perf_counter() - began, 1)}
            rows.append(row | {name: dataclasses.asdict(score) for name, score in scores.items()})
            name, score = next(iter(scores.items()))
            print(
                f"{process:10} {solver:8} {row['calls']:3} calls  {name} {score.value:.4g} "
                f"({score.low:.4g} to {score.high:.4g}), floor {score.floor:.4g}",
                flush=True,
            )
            checkpoint = {"modality": run.config.modality, "process": run.config.process, "step": run.checkpoint().step}
            RESULTS.write_text(
                json.dumps(
                    {"n": n, "shape": data.shape, "trained": checkpoint, "machine": machine, "rows": rows}, indent=1
                )
                + "\n"
            )


if __name__ == "__main__":
    main()
