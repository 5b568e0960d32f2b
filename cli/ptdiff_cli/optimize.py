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
    import torch
    import yaml

    from ptdiff.atomic import write_atomic
    from ptdiff.denoiser.cost import Counted
    from ptdiff.grid import grid
    from ptdiff.machine import host
    from ptdiff.noise import Stream, normal
    from ptdiff.process import Level
    from ptdiff.run.folder import Run
    from ptdiff.sampling.optimal_grid import optimize as search
    from ptdiff.sampling.walk import prepared, spread_labels
    from ptdiff.solvers import Adaptive, Solver, solve
    from ptdiff.solvers.runge_kutta import RK4
    from ptdiff_cli.shared.sampling_options import facts, make_plan, shape_of

    found = Run.open(run, say)
    plan = make_plan(found, {"solver": solver, "process": process, "steps": steps}, set_, seed)
    if isinstance(plan.solver, Adaptive):
        raise ValueError("an adaptive solver chooses its own steps: there is no grid to optimize")
    shape = shape_of(found, points)
    where = host.device(device)
    model = Counted(found.denoiser(say).to(where))
    denoiser = prepared(model, plan, found.data)

    def batch(first: int) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        ids = torch.arange(first, first + count, device=where)
        return normal(seed, Stream.START, ids, 0, shape), dict(spread_labels(ids, len(found.data.classes)))

    noise, cond = batch(0)
    say(f"fitting the levels of {steps} steps to {count} samples")
    levels = search(denoiser, noise, plan.process, plan.solver, steps, cond, candidates, rounds)
    times = plan.process.time(levels.angle[:-1])
    name = facts(plan)["solver"]["name"]
    target = out or found.outputs / "grids" / f"{facts(plan)['process']['name']}-{name}-{steps}.yaml"
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, yaml.safe_dump({"name": "levels", "of": "time", "values": times.tolist()}, sort_keys=False))

    # on samples that were not fitted
    noise, cond = batch(count)

    def end(solver: Solver, levels: Level) -> torch.Tensor:
        with torch.inference_mode():
            return solve(denoiser, noise * float(levels.scale[0]), solver.table(levels), cond)

    # equal steps of log-SNR: those of time end far from clean under some processes
    exact = end(RK4(), grid(plan.process, 100, "log-snr"))
    rows = []
    for spacing, visited in {
        "optimized": levels,
        **{spacing: grid(plan.process, steps, spacing) for spacing in ("uniform", "log-snr", "karras")},
    }.items():
        gap = (end(plan.solver, visited) - exact).flatten(1).square().mean(dim=1).sqrt().mean()
        rows.append([spacing, f"{float(gap):.4g}"])
    show_table([f"{name}, {steps} steps", "distance from the flow's end, rms"], rows)
    say(f"{model.rows:,} evaluations of the network; written to {target}")
    say(f"next: ptdiff sample {run} --steps {steps} --spacing {target}")
