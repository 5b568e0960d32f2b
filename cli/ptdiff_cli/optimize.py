"""``ptdiff optimize``: the best time grid for a run, a solver and a number of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable
from ptdiff_cli.shared.terminal import say, show_table


def optimize(
    run: options.RunOrModel,
    steps: Annotated[int, typer.Option(min=2, help="Number of solver steps; meant for few, 4 to 12.")] = 8,
    solver: options.NoiselessSolver = None,
    process: options.Process = None,
    count: Annotated[int, typer.Option("-n", "--count", min=2, help="Number of samples to fit; too few overfit.")] = 64,
    points: options.Points = None,
    candidates: Annotated[int, typer.Option(min=8, help="Number of noise levels to choose from.")] = 24,
    rounds: Annotated[int, typer.Option(min=0, help="Maximum number of rounds of descent; 0 is fastest.")] = 5,
    seed: options.Seed = 0,
    set_: options.SamplingSettings = None,
    out: Annotated[
        Path | None, typer.Option(callback=writable, help="Output file (.yaml); default: in the run folder.")
    ] = None,
    device: options.Device = "auto",
) -> None:
    """Find the best time grid for few steps: ptdiff optimize RUN --steps 8.

    Use the grid with ptdiff sample RUN --spacing FILE.
    """
    import yaml

    from ptdiff.documents.atomic import write_atomic
    from ptdiff.model.best_grid import optimize as optimized
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.options import facts
    from ptdiff.solvers import Adaptive
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options

    found = Run.open(run, say)
    plan = make_plan(found, {"solver": solver, "process": process, "steps": steps}, set_, seed)
    if isinstance(plan.solver, Adaptive):
        raise ValueError(
            "an adaptive solver chooses its own steps and has no grid to optimize: choose another --solver"
        )
    model = Model.of(found, plan, device=device, warn=say)
    with named_as_options():
        best = optimized(
            model, count, points=points, candidates=candidates, rounds=rounds, seed=seed, say=say, steps=steps
        )
    names = facts(best.plan)
    name = names["solver"]["name"]
    target = out or found.outputs / "grids" / f"{names['process']['name']}-{name}-{steps}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    values = {"name": "levels", "of": "time", "values": list(best.spacing.values)}
    write_atomic(target, yaml.safe_dump(values, sort_keys=False))
    rows = [[spacing, f"{gap:.4g}"] for spacing, gap in best.gaps.items()]
    show_table([f"{name}, {steps} steps", "distance from the exact end, rms"], rows)
    say(f"{best.calls:,} network evaluations; written to {target}")
    say(f"next: ptdiff sample {run} --steps {steps} --spacing {target}")
