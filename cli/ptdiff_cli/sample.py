"""``ptdiff sample``: new samples from a run, in world units."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import say

if TYPE_CHECKING:
    from ptdiff.run.folder import Run
    from ptdiff_cli.shared.sampling_options import Drawn


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
    import torch

    from ptdiff.choices import unknown
    from ptdiff.run.folder import Run
    from ptdiff.sampling.walk import spread_labels
    from ptdiff_cli.shared.sampling_options import draw_samples, label_of, make_plan, scale, shape_of

    found = Run.open(run, say)
    kind = format_ or (out.suffix[1:] if out is not None and out.suffix else "npz")
    # what writes other formats is imported only for them
    single, tables = ({}, {}) if kind == "npz" else (found.modality().formats(), found.modality().tables())
    if kind not in (formats := {"npz", *single, *tables}):
        raise unknown("format", kind, sorted(formats))
    if kind in tables and out is not None and out.suffix not in ("", f".{kind}"):
        raise ValueError(f"--out {out}: a file of the format {kind} ends in .{kind}")
    if kind in single and out is not None and out.suffix and (count > 1 or out.suffix != f".{kind}"):
        raise ValueError(f"--out {out}: {count} samples as {kind} files need a folder")
    if trajectory and kind != "npz":
        raise ValueError("--trajectory needs --format npz")
    given: dict[str, Any] = {"solver": solver, "steps": steps, "process": process, "spacing": spacing}
    given |= {"guidance": scale(guidance), "precision": precision}
    plan = make_plan(found, given, set_, seed)
    other = None if weak is None else Run.open(weak, say)
    if other is not None and other.data.shape[-1:] != found.data.shape[-1:]:
        raise ValueError(f"--weak {weak}: its data has another shape, {other.data.shape}")
    shape = shape_of(found, points)
    classes = len(found.data.classes)
    labels = spread_labels(torch.arange(count), classes).get("label")
    if label == "none":
        labels = None
    elif label is not None:
        labels = torch.full((count,), label_of(found, label))
    drawn = draw_samples(
        found,
        plan,
        labels,
        count,
        shape,
        device=device,
        batch=batch,
        keep=(lambda step: True) if trajectory else None,
        weak=other,
        weights=weights,
        raw=raw,
    )
    target = out or found.outputs / "samples" / (f"seed-{seed}-{kind}" if kind in single else f"seed-{seed}.{kind}")
    if kind in tables and not target.suffix:
        target = target / f"samples.{kind}"
    _write(found, drawn, target, kind)
    say(f"{count} samples of shape {shape}: {target}")
    if kind == "npz":
        say(f"next: ptdiff render {target}" + (f" · ptdiff mesh {target}" if found.modality().meshing() else ""))


def _write(run: Run, drawn: Drawn, target: Path, kind: str) -> None:
    from json import dumps

    import numpy as np

    from ptdiff_cli.shared.sampling_options import titles, write_npz

    if kind == "npz":
        extra = {} if drawn.trajectory is None else {"trajectory": drawn.trajectory}
        write_npz(
            target,
            samples=drawn.samples,
            label=drawn.labels,
            classes=np.array(run.data.classes, dtype=np.str_),
            modality=np.array(run.config.modality),
            options=np.array(dumps(run.config.options)),
            **extra,
        )
        return
    modality, names = run.modality(), titles(run, drawn.labels)
    if kind in modality.tables():
        target.parent.mkdir(parents=True, exist_ok=True)
        modality.tables()[kind](target, drawn.samples, names)
        return
    write = modality.formats()[kind]
    names = names or [run.config.modality] * len(drawn.samples)
    one_file = target.suffix == f".{kind}" and len(drawn.samples) == 1
    folder = target.parent if one_file else target
    folder.mkdir(parents=True, exist_ok=True)
    digits = max(4, len(str(len(names) - 1)))
    for i, (x, name) in enumerate(zip(drawn.samples, names, strict=True)):
        safe = "".join(c if c.isalnum() or c in "-_" else "-" for c in name)
        write(target if one_file else folder / f"{i:0{digits}d}-{safe}.{kind}", x)
