"""``ptdiff upsample``: add points to a point cloud."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import check_format, check_space, save
from ptdiff_cli.shared.terminal import counted, say


def upsample(
    run: options.RunOrModel,
    file: Annotated[Path, typer.Argument(help="Point cloud: .npz (first sample), .ply …")],
    points: Annotated[int, typer.Option(min=2, help="Points per cloud, including the given ones.")],
    count: options.Count = 1,
    method: options.InverseMethod = None,
    label: options.LabelOfFile = None,
    solver: options.Solver = None,
    steps: options.Steps = None,
    guidance: options.Guidance = None,
    weights: options.Weights = None,
    seed: options.Seed = 0,
    set_: options.SamplingSettings = None,
    out: options.SamplesOut = None,
    batch: options.Batch = None,
    device: options.Device = "auto",
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
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options, scale

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
