"""``ptdiff upsample``: more points on the surface that the given ones lie on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import counted, say


def upsample(
    run: Annotated[Path, typer.Argument(help="Run folder or model; best of a run trained with -o task=upsample.")],
    file: Annotated[Path, typer.Argument(help="The cloud: .npz (its first sample), or a file such as .ply.")],
    points: Annotated[int, typer.Option(min=2, help="Points of the result, the given ones included.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many results.")] = 1,
    method: Annotated[
        str | None,
        typer.Option(help="replacement, pigdm or mmps; default the condition, if trained for it, and replacement."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="A class by name or number, or none; default the file's.")] = None,
    solver: Annotated[str | None, typer.Option(help="Solver: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weights: Annotated[str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Result i depends on (seed, i) alone.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value: solver, guidance …")] = None,
    out: Annotated[Path | None, typer.Option(help="File (.npz, or a format of the data).")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Results at a time.")] = None,
    device: Device = "auto",
) -> None:
    """Add points to a cloud: ptdiff upsample RUN scan.ply --points 4096.

    The given points come first, exactly, and the result is in the file's units.  Any run does it, the given points
    held; one trained with -o task=upsample is given them besides.
    """
    from ptdiff.model.edits import check_sets
    from ptdiff.model.edits import upsample as upsampled
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_options import make_plan, named_as_options, scale

    found = Run.open(run, say)
    check_sets(found.data, method)
    plan = make_plan(found, {"solver": solver, "steps": steps, "guidance": scale(guidance)}, set_, seed)
    before = Samples.read(file, found.modality())
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    with counted("samples", "sample") as move, named_as_options():
        after = upsampled(
            model, before, points, count, method=method, label=label, seed=seed, batch=batch, progress=move, say=say
        )
    target = out or found.outputs / "samples" / f"upsample-{file.stem}-seed-{seed}.npz"
    after.save(target)
    given = before.samples.shape[1]
    say(f"{count} cloud{'s' * (count > 1)} of {points} points, the first {given} of them given: {target}")
