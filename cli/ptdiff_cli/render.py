"""``ptdiff render``: render samples of a file or a run as images, animations and pages."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable
from ptdiff_cli.shared.terminal import counted, say

if TYPE_CHECKING:
    from ptdiff.sampling.samples import Samples


def render(
    path: Annotated[Path, typer.Argument(help="Samples (.npz), one sample (.ply …), a run folder or model name.")],
    out: Annotated[
        Path | None,
        typer.Option(
            callback=writable, help="Output file (.png, .gif, .mp4 or .html); default: a .png next to the samples."
        ),
    ] = None,
    turntable: Annotated[bool, typer.Option("--turntable", help="Rotate the samples once around.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the samples in a window.")] = False,
    count: Annotated[
        int | None,
        typer.Option("-n", "--count", min=1, help="Number of samples; default: as many as fill an image."),
    ] = None,
    color: Annotated[
        str | None,
        typer.Option(help="Color by position, normal, label or rgb; default: rgb if available, else position."),
    ] = None,
    modality: options.ModalityOfFile = "pointcloud",
    data: Annotated[
        str | None,
        typer.Option(help="Files only: data whose frame and names an image shows; default: that of the run around it."),
    ] = None,
    frames: Annotated[int, typer.Option(min=2, help="Number of frames of a turntable.")] = 36,
    fps: Annotated[float, typer.Option(min=1, help="Frames per second of an animation.")] = 12.0,
    points: options.PointsOfRun = None,
    solver: Annotated[
        str | None, typer.Option(help="Runs only: solver (see 'ptdiff solvers'); default: the run's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Runs only: number of solver steps; default: the run's.")
    ] = None,
    process: Annotated[
        str | None, typer.Option(help="Runs only: process (see 'ptdiff processes'); default: the run's.")
    ] = None,
    spacing: Annotated[
        str | None,
        typer.Option(help="Runs only: time grid (see 'ptdiff list spacing') or .yaml file; default: the run's."),
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(min=0, help="Runs only: guidance scale, 1 for none; default: the run's.")
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="Runs only: weights: raw, ema, ema-1, best or a relative width; default: best, else ema."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Runs only: random seed; default: 0.")] = None,
    device: options.Device = "auto",
) -> None:
    """Render samples: ptdiff render samples.npz --out samples.png.

    A .gif or .mp4 shows the trajectory from noise to data, of a run or of a file
    that contains one.  With --turntable, or without a trajectory, it rotates the
    samples.  Videos are played.
    """
    from ptdiff.run.links import chosen
    from ptdiff.run.models import located, outputs
    from ptdiff.sampling.pictures import MOVING, check_picture, colored, save
    from ptdiff_cli.shared.sampling_plan import read_samples, scale

    path = located(path, say)
    suffix = "" if out is None else out.suffix.lower()
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    drawing = {**given, "--points": points, "--weights": weights, "--seed": seed}
    if path.is_dir():
        if data is not None:
            raise ValueError(f"--data: for files only, and {path} is a run")
        shown = _of_run(path, count, given, points, weights, seed or 0, device, suffix in MOVING and not turntable)
    elif any(value is not None for value in drawing.values()):
        names = ", ".join(f"--{name.lstrip('-')}" for name, value in drawing.items() if value is not None)
        raise ValueError(f"{names}: for runs only, and {path} is a file")
    else:
        shown = read_samples(path, modality, data)
        shown = shown.first(count or shown.modality.visualizer().many)
    draw = colored(shown.modality.visualizer(), color, shown.stored.label.tolist())
    if show:
        draw.show(shown.stored.sets, shown.stored.titles)
        if out is None:
            return
    target = out or (outputs(path) / "samples" / "samples.png" if path.is_dir() else path.with_suffix(".png"))
    if out is None and turntable:
        target = target.with_suffix(".gif")
    if out is None:
        chosen(target)
    check_picture(target, moving=turntable)
    save(target, shown.stored, draw, turntable=turntable, frames=frames, fps=fps)
    say(str(target))


def _of_run(
    path: Path,
    count: int | None,
    given: dict[str, Any],
    points: int | None,
    weights: str | None,
    seed: int,
    device: str,
    states: bool,
) -> Samples:
    from ptdiff.model.loaded import Model
    from ptdiff.run.folder import Run
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options

    run = Run.open(path, say)
    plan = make_plan(run, given, None, seed)
    model = Model.of(run, plan, weights=weights, device=device, warn=say)
    draw = model.modality.visualizer()
    with counted("samples", "sample") as move, named_as_options():
        return model.sample(
            count or draw.many,
            points=points,
            seed=seed,
            trajectory=states and not draw.plays,
            progress=move,
            say=say,
        )
