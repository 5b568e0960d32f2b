"""``ptdiff complete``: complete point clouds from a part."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import check_format, check_space, save
from ptdiff_cli.shared.terminal import counted, say


def complete(
    run: options.RunOrModel,
    file: Annotated[Path, typer.Argument(help="Partial cloud: .npz (first sample), .ply …")],
    count: options.Count = 4,
    points: Annotated[
        int | None, typer.Option(help="Points per cloud, including the given ones; default: the run's.")
    ] = None,
    held: Annotated[
        int | None,
        typer.Option(
            min=1, help="Number of given points to keep fixed, chosen at random; default: at most half of --points."
        ),
    ] = None,
    method: options.InverseMethod = None,
    frame: Annotated[
        str | None,
        typer.Option(help="x,y,z,size: center and size of the whole shape in the file's units."),
    ] = None,
    label: options.LabelOfFile = None,
    solver: options.Solver = None,
    steps: options.Steps = None,
    process: options.Process = None,
    spacing: options.Spacing = None,
    guidance: options.Guidance = None,
    weights: options.Weights = None,
    seed: options.Seed = 0,
    set_: options.SamplingSettings = None,
    out: options.SamplesOut = None,
    batch: options.Batch = None,
    device: options.Device = "auto",
) -> None:
    """Complete part of a cloud: ptdiff complete RUN part.ply -n 4.

    The given points come first in every completion.  The completions are in the
    units of the file.  If the run was trained on shapes that were each centered
    and scaled, a part in other units needs --frame: 0,1.2,0,3.5 subtracts
    (0, 1.2, 0) and divides by 3.5.
    """
    from ptdiff.model.edits import check_sets
    from ptdiff.model.edits import complete as completed
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options, scale

    found = Run.open(run, say)
    check_format(out, found.modality())
    check_sets(found.data, method)
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    before = Samples.read(file, found.modality())
    around = None if frame is None else _frame(frame)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    target = out or found.outputs / "samples" / f"complete-{file.stem}-seed-{seed}.npz"
    with counted("samples", "sample") as move, named_as_options():
        check_space(target, count, model.shape(points), target.suffix[1:])
        after = completed(
            model,
            before,
            count,
            points=points,
            held=held,
            method=method,
            frame=around,
            label=label,
            seed=seed,
            batch=batch,
            progress=move,
            say=say,
        )
    save(after, target)
    say(f"{count} completions of {after.samples.shape[1]} points: {target}")
    say(f"next: ptdiff render {target}")


def _frame(text: str) -> tuple[tuple[float, ...], float]:
    """Center (3 numbers) and size > 0 from the text of --frame; ValueError if it is not four such numbers."""
    from math import isfinite

    try:
        *center, size = (float(word) for word in text.split(","))
    except ValueError:
        center, size = [], 0.0
    if len(center) != 3 or not 0 < size < float("inf") or not all(map(isfinite, center)):
        raise ValueError(f"--frame {text}: must be four numbers x,y,z,size with a size above 0, such as 0,1.2,0,3.5")
    return tuple(center), size
