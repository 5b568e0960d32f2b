"""``ptdiff edit``: add noise to samples and denoise them again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.target import check_format, check_space, save, writable_either
from ptdiff_cli.shared.terminal import counted, say


def edit(
    run: Annotated[Path, typer.Argument(help="Run folder or model name.")],
    file: Annotated[Path, typer.Argument(help="Samples: .npz, or a file in a format of the data.")],
    strength: Annotated[
        float, typer.Option(min=0, max=1, help="Amount of noise: 0 changes nothing, 1 makes new samples.")
    ] = 0.5,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="Number of samples; default: all.")] = None,
    variants: Annotated[int, typer.Option(min=1, help="Number of variations of each sample.")] = 1,
    label: Annotated[str | None, typer.Option(help="Class name or number, or none; default: the sample's.")] = None,
    solver: Annotated[str | None, typer.Option(help="Solver (see 'ptdiff solvers'); default: the run's.")] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of solver steps for the full noise range; default: the run's.")
    ] = None,
    process: Annotated[str | None, typer.Option(help="Process (see 'ptdiff processes'); default: the run's.")] = None,
    spacing: Annotated[
        str | None, typer.Option(help="Time grid (see 'ptdiff list spacing') or .yaml file; default: the run's.")
    ] = None,
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
    """Make variations of samples: ptdiff edit RUN samples.npz --strength 0.5."""
    from ptdiff.model.edits import edit as edited
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.samples import Samples
    from ptdiff_cli.shared.sampling_options import make_plan, named_as_options, scale

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
