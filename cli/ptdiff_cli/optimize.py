"""``ptdiff optimize``: the time grid that suits a run, a solver and a number of steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import say, show_table


def optimize(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
    steps: Annotated[int, typer.Option(min=2, help="Steps of the solver, few: 4 to 12.")] = 8,
    solver: Annotated[str | None, typer.Option(help="Solver, of those that add no noise.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to sample under.")] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=2, help="Samples to fit; few are fitted too closely.")
    ] = 64,
    points: Annotated[int | None, typer.Option(help="Points of each cloud.")] = None,
    candidates: Annotated[int, typer.Option(min=8, help="Levels to choose from.")] = 24,
    rounds: Annotated[int, typer.Option(min=0, help="Rounds of descent at most; 0 is quick.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the samples.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value: solver, process …")] = None,
    out: Annotated[Path | None, typer.Option(help="File (.yaml); default in the run's folder grids.")] = None,
    device: Device = "auto",
) -> None:
    """Find the time grid for few steps: ptdiff optimize RUN --steps 8, then ptdiff sample RUN --spacing FILE."""
    import yaml

    from ptdiff.atomic import write_atomic
    from ptdiff.model.best_grid import optimize as optimized
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.options import facts
    from ptdiff.solvers import Adaptive
    from ptdiff_cli.shared.sampling_options import make_plan, named_as_options

    found = Run.open(run, say)
    plan = make_plan(found, {"solver": solver, "process": process, "steps": steps}, set_, seed)
    if isinstance(plan.solver, Adaptive):
        raise ValueError("an adaptive solver chooses its own steps: there is no grid to optimize")
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
    show_table([f"{name}, {steps} steps", "distance from the flow's end, rms"], rows)
    say(f"{best.calls:,} evaluations of the network; written to {target}")
    say(f"next: ptdiff sample {run} --steps {steps} --spacing {target}")
