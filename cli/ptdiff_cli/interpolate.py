"""``ptdiff interpolate``: interpolate between two samples through their noise."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import check_format, check_space, save
from ptdiff_cli.shared.terminal import counted, say


def interpolate(
    run: options.RunOrModel,
    files: Annotated[
        list[Path] | None, typer.Argument(help="Two files; the first sample of each is an endpoint.")
    ] = None,
    from_: Annotated[
        int, typer.Option("--from", min=0, help="Without files: number of the first sample, as in 'ptdiff sample'.")
    ] = 0,
    to: Annotated[int, typer.Option(min=0, help="Without files: number of the last sample.")] = 1,
    frames: Annotated[int, typer.Option(min=2, help="Number of samples, including both endpoints.")] = 8,
    label: Annotated[
        str | None, typer.Option(help="Class name or number, or none; default: that of the nearer endpoint.")
    ] = None,
    points: Annotated[int | None, typer.Option(help="Without files: points per cloud; default: the run's.")] = None,
    solver: options.NoiselessSolver = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of solver steps; default: the run's, or 50 with files.")
    ] = None,
    process: options.Process = None,
    spacing: Annotated[
        str | None,
        typer.Option(
            help="Time grid (see 'ptdiff list spacing') or .yaml file; default: the run's, or log-snr with files."
        ),
    ] = None,
    guidance: options.Guidance = None,
    weights: options.Weights = None,
    seed: options.Seed = 0,
    set_: options.SamplingSettings = None,
    out: options.SamplesOut = None,
    batch: options.Batch = None,
    device: options.Device = "auto",
) -> None:
    """Interpolate between two samples: ptdiff interpolate RUN --from 0 --to 5.

    Interpolates the noise along a great circle.  The noise of a file is found by
    following the probability flow backwards.  Points of clouds are matched first.
    """
    from ptdiff.model.edits import check_way_back
    from ptdiff.model.edits import interpolate as interpolated
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options, scale

    if files and len(files) != 2:
        raise ValueError(f"give two files or none, not {len(files)}")
    if files and points is not None:
        raise ValueError("--points is for new samples; leave it out with files")
    found = Run.open(run, say)
    check_format(out, found.modality())
    if files:
        steps, spacing = steps or 50, spacing or "log-snr"
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    check_way_back(plan)
    ends = tuple(Samples.read(file, found.modality()) for file in files) if files else (from_, to)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    target = out or found.outputs / "samples" / f"interpolate-{from_}-{to}-seed-{seed}.npz"
    with counted("samples", "sample") as move, named_as_options():
        check_space(target, frames, model.shape(points), target.suffix[1:])
        after = interpolated(
            model, ends[0], ends[1], frames, points=points, label=label, seed=seed, batch=batch, progress=move, say=say
        )
    save(after, target)
    say(f"{frames} samples of shape {tuple(after.samples.shape[1:])}: {target}")
