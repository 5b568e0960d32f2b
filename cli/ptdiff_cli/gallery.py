"""``ptdiff gallery``: images of the theory and of trained runs, by name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable_either
from ptdiff_cli.shared.terminal import counted, say, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.gallery.plots import Entry


def gallery(
    name: Annotated[str | None, typer.Argument(help="Image name; or a run or model, for all its images.")] = None,
    run: Annotated[Path | None, typer.Argument(help="Run folder or model name, for images of a run.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            callback=writable_either,
            help="Output file (.png, .jpg, .webp, .gif, .mp4), or folder for all; default: in the run folder.",
        ),
    ] = None,
    at: Annotated[str | None, typer.Option(help="Times of a strip in [0, 1], such as 0,0.1,0.5,1; 0 is data.")] = None,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=1, help="Number of samples; default: depends on the image.")
    ] = None,
    solver: options.Solver = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Number of solver steps, or of frames; default: the run's.")
    ] = None,
    process: options.Process = None,
    guidance: options.Guidance = None,
    weights: options.Weights = None,
    set_: options.SamplingSettings = None,
    seed: options.Seed = 0,
    fps: Annotated[float, typer.Option(min=1, max=50, help="Frames per second of an animation.")] = 15.0,
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Plot the theory or a run: ptdiff gallery reverse RUN --out reverse.png.

    Without a name: list the images.
    """
    from ptdiff.gallery.plots import Chosen, listed
    from ptdiff.gallery.scene import Scene
    from ptdiff_cli.shared.sampling_plan import make_plan, named_as_options, scale

    if name is None:
        _show(listed(say), as_json)
        return
    plots = Chosen.named(name, run, say)
    scene = None
    with named_as_options():
        if out is not None:
            plots.check(out)
    if plots.run is not None:
        given = {"solver": solver, "steps": steps, "process": process, "guidance": scale(guidance)}
        plan = make_plan(plots.run, given, set_, seed)
        times = None if at is None else _times(at)
        scene = Scene.of(plots.run, plan, count=count, at=times, weights=weights, device=device, say=say)
    with counted("images", "plot") as move, named_as_options():
        for line in plots.save(scene, out, fps, move):
            say(str(line))


def _times(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--at {text}: must be numbers separated by commas, such as 0,0.1,0.5,1") from None


def _show(lines: list[Entry], as_json: bool) -> None:
    if as_json:
        show_json([{"name": line.name, "needs": line.needs or "nothing", "summary": line.summary} for line in lines])
    else:
        show_table(["image", "needs", "shows"], [[line.name, line.needs, line.summary] for line in lines])
