"""``ptdiff complete``: whole sets from a part of one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import counted, say


def complete(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
    file: Annotated[Path, typer.Argument(help="The part: .npz (its first sample), or a file such as .ply.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many completions.")] = 4,
    points: Annotated[int | None, typer.Option(help="Points of each completion, the given ones included.")] = None,
    held: Annotated[
        int | None, typer.Option(min=1, help="Given points that are held, drawn at random; default half at most.")
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(help="replacement, pigdm or mmps; default the condition, if trained for it, and replacement."),
    ] = None,
    frame: Annotated[
        str | None,
        typer.Option(help="x,y,z,size: center and size of the whole shape, in the file's units; see the page."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="A class by name or number, or none; default the file's.")] = None,
    solver: Annotated[str | None, typer.Option(help="Solver: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to sample under; any works.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Time grid: see 'ptdiff list spacing'.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weights: Annotated[str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Completion i depends on (seed, i) alone.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value: solver, guidance …")] = None,
    out: Annotated[Path | None, typer.Option(help="File (.npz, or a format of the data).")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Completions at a time.")] = None,
    device: Device = "auto",
) -> None:
    """Complete part of a cloud: ptdiff complete RUN part.ply -n 4.

    The given points come first in every completion.  Where a run was trained on shapes that were each centered and
    scaled, a part in units of its own needs --frame: 0,1.2,0,3.5 takes (0, 1.2, 0) off and divides by 3.5, and the
    completions come back in the file's units.
    """
    from ptdiff.model.edits import check_sets
    from ptdiff.model.edits import complete as completed
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_options import make_plan, named_as_options, scale

    found = Run.open(run, say)
    check_sets(found.data, method)
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    before = Samples.read(file, found.modality())
    around = None if frame is None else _frame(frame)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    with counted("samples", "sample") as move, named_as_options():
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
    target = out or found.outputs / "samples" / f"complete-{file.stem}-seed-{seed}.npz"
    after.save(target)
    say(f"{count} completions of {after.samples.shape[1]} points: {target}")
    say(f"next: ptdiff render {target}")


def _frame(text: str) -> tuple[tuple[float, ...], float]:
    """Center and size of --frame; ValueError for anything but four numbers."""
    from math import isfinite

    try:
        *center, size = (float(word) for word in text.split(","))
    except ValueError:
        center, size = [], 0.0
    if len(center) != 3 or not 0 < size < float("inf") or not all(map(isfinite, center)):
        raise ValueError(f"--frame {text}: four numbers x,y,z,size with a size above 0, such as 0,1.2,0,3.5")
    return tuple(center), size
