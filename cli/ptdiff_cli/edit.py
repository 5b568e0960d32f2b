"""``ptdiff edit``: noise given samples and denoise them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import counted, say


def edit(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
    file: Annotated[Path, typer.Argument(help="Samples: .npz, or a file of the run's kind of data.")],
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="0 leaves all as it is, 1 draws anew: share of the noise angle.")
    ] = 0.5,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="Number of samples, at most.")] = None,
    variants: Annotated[int, typer.Option(min=1, help="So many of each sample.")] = 1,
    label: Annotated[
        str | None, typer.Option(help="Another class by name or number, or none; default its own.")
    ] = None,
    solver: Annotated[str | None, typer.Option(help="Solver: see 'ptdiff solvers'.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the whole grid, of which the part below the level is taken.")
    ] = None,
    process: Annotated[str | None, typer.Option(help="Process to sample under; any works.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Time grid: see 'ptdiff list spacing'.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weights: Annotated[str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the noise.")] = 0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value: solver, guidance …")] = None,
    out: Annotated[Path | None, typer.Option(help="File (.npz, or a format of the data).")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples at a time.")] = None,
    device: Device = "auto",
) -> None:
    """Vary samples: ptdiff edit RUN samples.npz --strength 0.5."""
    from ptdiff.model.edits import edit as edited
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_options import make_plan, named_as_options, scale

    found = Run.open(run, say)
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    plan = make_plan(found, given, set_, seed)
    before = Samples.read(file, found.modality()).first(count)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    with counted("samples", "sample") as move, named_as_options():
        after = edited(
            model, before, strength, variants=variants, label=label, seed=seed, batch=batch, progress=move, say=say
        )
    target = out or found.outputs / "samples" / f"edit-{file.stem}-{strength:g}-seed-{seed}.npz"
    after.save(target)
    say(f"{len(after)} samples: {target}")
