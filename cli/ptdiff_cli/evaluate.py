"""``ptdiff eval``: scores of a run on held-out data, with intervals and floors."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable
from ptdiff_cli.shared.terminal import counted, say, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.evaluation import Evaluation


def evaluate(
    run: options.RunOrModel,
    reference: Annotated[
        str | None, typer.Option(help="Data to compare with, as for train --data; default: the run's.")
    ] = None,
    split: options.Split = "val",
    protocol: Annotated[
        str | None, typer.Option(help="Evaluation protocol of the modality; default: its first.")
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another metric (see 'ptdiff list metric'); repeatable."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("-n", "--count", min=2, help="Number of samples; default: the whole split, at most 500."),
    ] = None,
    solver: options.Solver = None,
    steps: options.Steps = None,
    process: options.Process = None,
    spacing: options.Spacing = None,
    guidance: options.Guidance = None,
    weights: options.Weights = None,
    precision: options.Precision = None,
    points: Annotated[
        int | None, typer.Option(help="Points per cloud, generated and reference; default: the run's.")
    ] = None,
    seed: options.Seed = 0,
    raw: options.Raw = False,
    set_: options.SamplingSettings = None,
    batch: options.Batch = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    engine: options.Engine = "processes",
    report: Annotated[
        Path | None, typer.Option(callback=writable, help="Also write an HTML report to this file.")
    ] = None,
    dry_run: options.DryRun = False,
    as_json: options.Json = False,
) -> None:
    """Score a run on held-out data: ptdiff eval RUN.

    With --workers, scores are the same to the last bit for any number of workers.
    """
    import shlex
    import sys

    from ptdiff.evaluation import evaluate as evaluated
    from ptdiff.machine.cost import costs
    from ptdiff.model.loaded import Model
    from ptdiff.model.sharded import ShardedModel
    from ptdiff.run.folder import Run
    from ptdiff_cli.shared.costs import LONG, compared, evaluation_costs, show_costs
    from ptdiff_cli.shared.report import write_report
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options, scale
    from ptdiff_cli.shared.workers import chosen_engine

    by = chosen_engine(workers, engine)
    if report is not None and report.suffix != ".html":
        raise ValueError(f"--report {report}: the file name must end in .html")
    found = Run.open(run, say)
    given: dict[str, Any] = {"solver": solver, "steps": steps, "process": process, "spacing": spacing}
    given |= {"guidance": scale(guidance), "precision": precision}
    plan = make_plan(found, given, set_, seed)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    asked = model, count, reference, split, protocol, points, batch
    if dry_run:
        with named_as_options():
            found_costs = [cost for work in evaluation_costs(*asked) for cost in costs(work)]
        if as_json:
            show_json([cost.facts() for cost in found_costs])
        else:
            show_costs(found_costs)
        return
    sharded = None if by is None else ShardedModel(model, by, device)
    # the estimate is that of one process
    with named_as_options():
        planned = evaluation_costs(*asked, LONG) if by is None else []
    with compared(planned), counted("", "evaluate") as move, named_as_options():
        result = evaluated(
            sharded or model,
            n=count,
            protocol=protocol,
            metrics=metric or (),
            reference=reference,
            split=split,
            points=points,
            seed=seed,
            batch=batch,
            raw=raw,
            engine=by,
            progress=move,
            say=say,
        )
    target = result.save()
    if sharded is not None:
        sharded.remove_shards()
    shown = result.run.outputs / "eval.json"
    if shown.read_bytes() != target.read_bytes():
        say(f"{shown} keeps an evaluation that ranks before this one; this one is in {target}")
    if report is not None:
        write_report(report, result, shlex.join(["ptdiff", *sys.argv[1:]]))
        say(f"report: {report}")
    if as_json:
        show_json(result.to_json())
    else:
        _show(result, target)


def _show(result: Evaluation, target: Path) -> None:
    """Print the scores as a table, and the settings they depend on."""
    if result.note:
        say(result.note)
    rows = [[k, f"{s.value:.4g}", f"{s.low:.4g} – {s.high:.4g}", f"{s.floor:.4g}"] for k, s in result.scores.items()]
    heading = f"{result.protocol}, {'raw, ' * result.raw}n = {result.n}"
    show_table([heading, "value", "95 % interval", "floor"], rows)
    facts = [f"{k} {v}" for k, v in result.facts.items() if isinstance(v, (str, int))]
    say("; ".join([result.summary, *facts]))
    digests = ", ".join(f"{k} {v[:12]}" for k, v in result.hashes.items())
    say(f"seed {result.seed}; sha256 of {digests}; written to {target}")
