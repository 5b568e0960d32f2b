"""``ptdiff sample``: generate samples with a run, in world units."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import check_format, check_space, save, writable_either
from ptdiff_cli.shared.terminal import Failure, counted, say

if TYPE_CHECKING:
    from ptdiff.machine.engines import Engine
    from ptdiff.model.loaded import Model
    from ptdiff.sampling.samples import Samples


def sample(
    run: options.RunOrModel,
    count: options.Count = 16,
    solver: options.Solver = None,
    steps: options.Steps = None,
    process: options.Process = None,
    spacing: options.Spacing = None,
    label: Annotated[
        str | None, typer.Option(help="Class name or number, or none; default: all classes in turn.")
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Condition of all samples, such as atoms=12, or none; repeatable."),
    ] = None,
    guidance: options.Guidance = None,
    weak: Annotated[Path | None, typer.Option(help="Weaker run or model to guide away from (autoguidance).")] = None,
    weights: options.Weights = None,
    precision: options.Precision = None,
    points: options.PointsOrRange = None,
    seed: options.Seed = 0,
    trajectory: Annotated[bool, typer.Option("--trajectory", help="Also save all states from noise to data.")] = False,
    raw: options.Raw = False,
    set_: options.SamplingSettings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=writable_either,
            help="Output file (.npz, .csv …) or folder for one file per sample; default: in the run folder.",
        ),
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="npz, csv …, or one file per sample: ply, png …; default: by suffix.")
    ] = None,
    batch: options.Batch = None,
    device: options.Device = "auto",
    workers: options.Workers = None,
    engine: options.Engine = "processes",
    dry_run: options.DryRun = False,
) -> None:
    """Generate samples: ptdiff sample RUN -n 16 --out samples.npz.

    Sample i depends only on (seed, i) and the options, not on -n or --batch. With --workers, samples are the same to
    the last bit for any number of workers.
    """
    from ptdiff.machine.cost import costs
    from ptdiff.model.arguments import conditions_of
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.files import check_target
    from ptdiff_cli.shared.costs import LONG, compared, sampling_costs, show_costs
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options, scale, spoken
    from ptdiff_cli.shared.workers import chosen_engine

    by = chosen_engine(workers, engine)
    found = Run.open(run, say)
    # writers of other formats are imported only if needed
    kind = check_target(out, format_, count, found.modality())
    check_format(out, found.modality())
    if trajectory and kind != "npz":
        raise ValueError("--trajectory needs --format npz")
    given: dict[str, Any] = {"solver": solver, "steps": steps, "process": process, "spacing": spacing}
    given |= {"guidance": scale(guidance), "precision": precision}
    plan = make_plan(found, given, set_, seed)
    conditions = spoken(condition or [])
    with named_as_options():
        conditions_of(found, count, label, conditions)  # refused before the weights are read
    other = None if weak is None else Run.open(weak, say)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    if dry_run:
        if weak is not None or workers is not None:
            raise ValueError("--dry-run cannot be combined with --weak or --workers; see 'ptdiff plan --help'")
        with named_as_options():
            works = sampling_costs(model, count, label, conditions, points, batch)
        show_costs([cost for work in works for cost in costs(work)])
        return
    tables = {} if kind == "npz" else model.modality.tables()
    single = kind != "npz" and kind not in tables
    target = out or found.outputs / "samples" / (f"seed-{seed}-{kind}" if single else f"seed-{seed}.{kind}")
    if by is not None:
        if trajectory or weak is not None:
            raise ValueError("--workers cannot be combined with --trajectory or --weak")
        with named_as_options():
            check_space(target, count, model.shape(points), kind, 0)
        _by_workers(model, count, by, target, kind, label, conditions, points, seed, batch, raw, device)
        return
    advice = "" if trajectory or weak is not None else "; those of --workers are kept, and a repeated command continues"
    with named_as_options():
        check_space(target, count, model.shape(points), kind, plan.steps + 1 if trajectory else 0)
    planned = [] if weak is not None else sampling_costs(model, count, label, conditions, points, batch, LONG)
    with (
        _interruptible(f"the samples so far are lost{advice}"),
        compared(planned),
        counted("samples", "sample") as move,
        named_as_options(),
    ):
        samples = model.sample(
            count,
            label=label,
            conditions=conditions,
            points=points,
            seed=seed,
            batch=batch,
            raw=raw,
            trajectory=trajectory,
            weak=None if other is None else Model.of(other, device=device, warn=say),
            progress=move,
            say=say,
        )
    target = save(samples, target, kind)
    say(f"{count} samples of {_shape(samples)}: {target}")
    if kind == "npz":
        say(f"next: ptdiff render {target}" + (f" · ptdiff mesh {target}" if model.modality.meshing() else ""))


@contextmanager
def _interruptible(left: str) -> Iterator[None]:
    """Turn Ctrl-C into a line about what is ``left`` of the samples, and the exit code of the signal."""
    try:
        yield
    except KeyboardInterrupt:
        raise Failure(f"stopped: {left}", 130) from None


def _by_workers(
    model: Model,
    count: int,
    engine: Engine,
    target: Path,
    kind: str,
    label: str | None,
    conditions: dict[str, str],
    points: str | None,
    seed: int,
    batch: int | None,
    raw: bool,
    device: str,
) -> None:
    from ptdiff.model.sharded import remove, sample_in_shards
    from ptdiff_cli.shared.sampling_plan import named_as_options

    stopped = _interruptible("the same command continues after the last finished batch")
    with stopped, counted("samples", "sample") as move, named_as_options():
        samples, shards = sample_in_shards(
            model,
            count,
            engine,
            label=label,
            conditions=conditions,
            points=points,
            seed=seed,
            batch=batch,
            raw=raw,
            device=device,
            progress=move,
            say=say,
        )
    place = save(samples, target, kind)
    remove(shards)
    say(f"{count} samples of {_shape(samples)}: {place}")


def _shape(samples: Samples) -> str:
    sizes = [len(one) for one in samples.sets]
    if len(set(sizes)) == 1:
        return f"shape {tuple(samples.samples.shape[1:])}"
    return f"{min(sizes)} to {max(sizes)} elements of shape {tuple(samples.samples.shape[2:])}"
