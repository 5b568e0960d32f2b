"""``ptdiff upsample``: more points on the surface that the given ones lie on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import say


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
    from ptdiff.choices import unknown
    from ptdiff.run.folder import Run
    from ptdiff_cli.complete import METHODS, filled
    from ptdiff_cli.shared.given import fitting, frame_of, labels_of, read_given, write_samples
    from ptdiff_cli.shared.sampling_options import make_plan, scale, shape_of

    found = Run.open(run, say)
    if not found.data.unordered:
        raise ValueError(f"sets get more elements, and samples of {found.config.modality} are none")
    if method is not None and method not in METHODS:
        raise unknown("method", method, METHODS)
    plan = make_plan(found, {"solver": solver, "steps": steps, "guidance": scale(guidance)}, set_, seed)
    before = read_given(file, found.modality())
    frame = frame_of(found, before, file)
    cloud = fitting(found, before, file, frame)[0]
    if len(cloud) >= points:
        raise ValueError(f"--points {points}: {file} has {len(cloud)} points already")
    labels = labels_of(found, before.classes[:1] * count, label)
    after = filled(found, plan, cloud, cloud, shape_of(found, points), count, labels, method, weights, batch, device)
    target = out or found.outputs / "samples" / f"upsample-{file.stem}-seed-{seed}.npz"
    write_samples(found, after, labels, target, frame)
    say(f"{count} cloud{'s' * (count > 1)} of {points} points, the first {len(cloud)} of them given: {target}")
