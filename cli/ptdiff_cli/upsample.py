"""``ptdiff upsample``: add points to a point cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.target import check_format, check_space, save, writable_either
from ptdiff_cli.shared.terminal import counted, say


def upsample(
    run: Annotated[Path, typer.Argument(help="Run folder or model name.")],
    file: Annotated[Path, typer.Argument(help="Point cloud: .npz (first sample), .ply …")],
    points: Annotated[int, typer.Option(min=2, help="Points per cloud, including the given ones.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Number of samples.")] = 1,
    method: Annotated[
        str | None,
        typer.Option(help="replacement, pigdm or mmps; default: conditioning if trained for it, and replacement."),
    ] = None,
    label: Annotated[str | None, typer.Option(help="Class name or number, or none; default: the file's.")] = None,
    solver: Annotated[str | None, typer.Option(help="Solver (see 'ptdiff solvers'); default: the run's.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of solver steps; default: the run's.")] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="Guidance scale, 1 for none; default: the run's.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Weights: raw, ema, ema-1, best or a relative width; default: best, else ema.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed.")] = 0,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="Sampling setting, section.key=value; repeatable.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=writable_either, help="Output file (.npz or a format of the data); default: in the run folder."
        ),
    ] = None,
    batch: Annotated[
        int | None, typer.Option(min=1, help="Samples per batch; default: chosen from their size.")
    ] = None,
    device: Device = "auto",
) -> None:
    """Add points to a cloud: ptdiff upsample RUN scan.ply --points 4096.

    The given points come first and stay the same.  The result is in the units of
    the file.  Any run works; one trained with -o task=upsample works best.
    """
    from ptdiff.model.edits import check_sets
    from ptdiff.model.edits import upsample as upsampled
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_options import make_plan, named_as_options, scale

    found = Run.open(run, say)
    check_format(out, found.modality())
    check_sets(found.data, method)
    plan = make_plan(found, {"solver": solver, "steps": steps, "guidance": scale(guidance)}, set_, seed)
    before = Samples.read(file, found.modality())
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    target = out or found.outputs / "samples" / f"upsample-{file.stem}-seed-{seed}.npz"
    with counted("samples", "sample") as move, named_as_options():
        check_space(target, count, model.shape(points), target.suffix[1:])
        after = upsampled(
            model, before, points, count, method=method, label=label, seed=seed, batch=batch, progress=move, say=say
        )
    save(after, target)
    given = before.samples.shape[1]
    say(f"{count} cloud{'s' * (count > 1)} of {points} points, the first {given} given: {target}")
