"""``ptdiff sample``: new samples from a run, in world units."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import counted, say


def sample(
    run: Annotated[Path, typer.Argument(help="Run folder, or the name of a model.")],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="How many.")] = 16,
    solver: Annotated[str | None, typer.Option(help="Solver: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to sample under; any works.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Time grid: see 'ptdiff list spacing'; or a .yaml.")] = None,
    label: Annotated[str | None, typer.Option(help="A class by name or number, or none; default all in turn.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weak: Annotated[Path | None, typer.Option(help="A weaker run or model to guide away from: autoguidance.")] = None,
    weights: Annotated[
        str | None, typer.Option(help="raw, ema, ema-1, best, or a relative width: an average after the fact.")
    ] = None,
    precision: Annotated[
        Literal["auto", "32", "bf16"] | None, typer.Option(help="Precision of the network; auto: the faster one here.")
    ] = None,
    points: Annotated[int | None, typer.Option(help="Points of each cloud; any number.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Sample i depends on (seed, i) alone.")] = 0,
    trajectory: Annotated[bool, typer.Option("--trajectory", help="Keep all states on the way too.")] = False,
    raw: Annotated[
        bool, typer.Option("--raw", help="Values as the model gives them: not rounded or cut to those of the data.")
    ] = False,
    set_: Annotated[
        list[str] | None, typer.Option("--set", help="section.key=value: solver, process, guidance …")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File (.npz, .csv …), or a folder for one a sample.")] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="npz; csv and the like of points; one file a sample: ply, png …")
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Samples at a time; changes speed and last digits.")] = None,
    device: Device = "auto",
) -> None:
    """Draw samples: ptdiff sample RUN -n 16 --out samples.npz."""
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff.sampling.files import check_target
    from ptdiff_cli.shared.sampling_options import make_plan, named_as_options, scale

    found = Run.open(run, say)
    # what writes other formats is imported only for them
    kind = check_target(out, format_, count, found.modality())
    if trajectory and kind != "npz":
        raise ValueError("--trajectory needs --format npz")
    given: dict[str, Any] = {"solver": solver, "steps": steps, "process": process, "spacing": spacing}
    given |= {"guidance": scale(guidance), "precision": precision}
    plan = make_plan(found, given, set_, seed)
    other = None if weak is None else Run.open(weak, say)
    model = Model.of(found, plan, weights=weights, device=device, warn=say)
    with counted("samples", "sample") as move, named_as_options():
        samples = model.sample(
            count,
            label=label,
            points=points,
            seed=seed,
            batch=batch,
            raw=raw,
            trajectory=trajectory,
            weak=None if other is None else Model.of(other, device=device, warn=say),
            progress=move,
            say=say,
        )
    tables = {} if kind == "npz" else model.modality.tables()
    single = kind != "npz" and kind not in tables
    target = out or found.outputs / "samples" / (f"seed-{seed}-{kind}" if single else f"seed-{seed}.{kind}")
    target = samples.save(target, kind)
    say(f"{count} samples of shape {tuple(samples.samples.shape[1:])}: {target}")
    if kind == "npz":
        say(f"next: ptdiff render {target}" + (f" · ptdiff mesh {target}" if model.modality.meshing() else ""))
