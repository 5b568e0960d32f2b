"""``ptdiff edit``: add noise to samples and denoise them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import check_format, check_space, save
from ptdiff_cli.shared.terminal import counted, say


def edit(
    run: options.RunOrModel,
    file: Annotated[Path, typer.Argument(help="Samples: .npz, or a file in a format of the data.")],
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="Amount of noise: 0 changes nothing, 1 makes new samples.")
    ] = 0.5,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="Number of samples; default: all.")] = None,
    variants: Annotated[int, typer.Option(min=1, help="Number of variations of each sample.")] = 1,
    label: Annotated[str | None, typer.Option(help="Class name or number, or none; default: the sample's.")] = None,
    solver: options.Solver = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of solver steps for the full noise range; default: the run's.")
    ] = None,
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
    """Make variations of samples: ptdiff edit RUN samples.npz --strength 0.5."""
    from ptdiff.model.edits import edit as edited
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options, scale

    found = Run.open(run, say)
    check_format(out, found.modality())
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    before = Samples.read(file, found.modality()).first(count)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    target = out or found.outputs / "samples" / f"edit-{file.stem}-{strength:g}-seed-{seed}.npz"
    with counted("samples", "sample") as move, named_as_options():
        check_space(target, variants * len(before), model.shape(None), target.suffix[1:])
        after = edited(
            model, before, strength, variants=variants, label=label, seed=seed, batch=batch, progress=move, say=say
        )
    save(after, target)
    say(f"{len(after)} samples: {target}")
