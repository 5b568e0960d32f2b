"""``ptdiff interpolate``: samples on the way from one to another, by way of the noise they are made from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import counted, say


def interpolate(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
    files: Annotated[list[Path] | None, typer.Argument(help="Two files: the first sample of each is an end.")] = None,
    from_: Annotated[int, typer.Option("--from", min=0, help="Without files: the sample of this number …")] = 0,
    to: Annotated[int, typer.Option(min=0, help="… and that one, as 'ptdiff sample' numbers them.")] = 1,
    frames: Annotated[int, typer.Option(min=2, help="Samples on the way, both ends included.")] = 8,
    label: Annotated[
        str | None, typer.Option(help="A class by name or number, or none; default the nearer end's own.")
    ] = None,
    points: Annotated[int | None, typer.Option(help="Without files: points of each cloud.")] = None,
    solver: Annotated[str | None, typer.Option(help="Solver that adds no noise: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver; with files 50.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to sample under; any works.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Time grid; with files log-snr.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weights: Annotated[str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Without files: of the samples.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value: solver, guidance …")] = None,
    out: Annotated[Path | None, typer.Option(help="File (.npz, or a format of the data).")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples at a time.")] = None,
    device: Device = "auto",
) -> None:
    """Pass from one sample to another: ptdiff interpolate RUN --from 0 --to 5.

    The ends' noises are known, or found by following the probability flow backwards; the way between is the great
    circle. Of sets the points are matched first, by assignment between the two noises.
    """
    from ptdiff.model.edits import check_way_back
    from ptdiff.model.edits import interpolate as interpolated
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_options import make_plan, named_as_options, scale

    if files and len(files) != 2:
        raise ValueError(f"a way has two ends: give two files or none, not {len(files)}")
    if files and points is not None:
        raise ValueError("--points is for samples that are drawn, not for files")
    found = Run.open(run, say)
    if files:
        steps, spacing = steps or 50, spacing or "log-snr"
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    check_way_back(plan)
    ends = tuple(Samples.read(file, found.modality()) for file in files) if files else (from_, to)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    with counted("samples", "sample") as move, named_as_options():
        after = interpolated(
            model, ends[0], ends[1], frames, points=points, label=label, seed=seed, batch=batch, progress=move, say=say
        )
    target = out or found.outputs / "samples" / f"interpolate-{from_}-{to}-seed-{seed}.npz"
    after.save(target)
    say(f"{frames} samples of shape {tuple(after.samples.shape[1:])}: {target}")
