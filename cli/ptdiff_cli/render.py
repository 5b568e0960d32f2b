"""``ptdiff render``: pictures of samples, from a file or straight from a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import BAD_DATA, Failure, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ptdiff.modality.contract import Modality
    from ptdiff.modality.visualizer import Visualizer

ANIMATIONS = (".gif", ".mp4")


def render(
    path: Annotated[Path, typer.Argument(help="Samples (.npz), one sample (.ply …), a run folder, or a model's name.")],
    out: Annotated[
        Path | None, typer.Option(help="Picture (.png), animation (.gif, .mp4), or page to turn them on (.html).")
    ] = None,
    turntable: Annotated[bool, typer.Option("--turntable", help="Turn the samples once around.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Open a window.")] = False,
    count: Annotated[
        int | None,
        typer.Option("-n", "--count", min=1, help="Number of samples, at most; default what fills a picture."),
    ] = None,
    color: Annotated[
        str | None, typer.Option(help="Of points: position, normal, label or rgb; default their own, or position.")
    ] = None,
    modality: Annotated[
        str, typer.Option("-m", "--modality", help="Kind of data, where the file does not say.")
    ] = "pointcloud",
    frames: Annotated[int, typer.Option(min=2, help="Frames of a turntable.")] = 36,
    fps: Annotated[float, typer.Option(min=1, help="Frames a second.")] = 12.0,
    points: Annotated[int | None, typer.Option(help="Of a run: points of each cloud.")] = None,
    solver: Annotated[str | None, typer.Option(help="Of a run: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Of a run: steps of the solver.")] = None,
    process: Annotated[str | None, typer.Option(help="Of a run: process to sample under.")] = None,
    spacing: Annotated[str | None, typer.Option(help="Of a run: time grid, see 'ptdiff list spacing'.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Of a run: classifier-free guidance.")] = None,
    weights: Annotated[str | None, typer.Option(help="Of a run: raw, ema, ema-1, best, or a relative width.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of a run: sample i depends on (seed, i) alone.")] = None,
    device: Device = "auto",
) -> None:
    """Draw samples: ptdiff render samples.npz --out samples.png.

    A .gif or .mp4 shows the way from noise to data, of a run or of a file that holds a trajectory; with --turntable,
    or without a trajectory, it turns the samples around. Samples that are films are played.
    """
    from ptdiff.pictures.files import ANIMATION_SUFFIXES, IMAGE_SUFFIXES, save_animation, save_image
    from ptdiff.run.models import located, outputs
    from ptdiff_cli.shared.sampling_options import scale

    path = located(path, say)
    suffix = "" if out is None else out.suffix.lower()
    moving = turntable or suffix in ANIMATIONS
    given = {"solver": solver, "steps": steps, "process": process, "spacing": spacing, "guidance": scale(guidance)}
    drawing = {**given, "--points": points, "--weights": weights, "--seed": seed}
    if path.is_dir():
        shown = _from_run(
            path, count, given, points, weights, seed or 0, device, suffix in ANIMATIONS and not turntable
        )
    elif any(value is not None for value in drawing.values()):
        names = ", ".join(f"--{name.lstrip('-')}" for name, value in drawing.items() if value is not None)
        raise ValueError(f"{names}: for samples that are drawn from a run, and {path} is a file")
    else:
        shown = _from_file(path, count, modality)
    draw = _tinted(shown, color)
    if show:
        draw.show(shown.samples, shown.titles)
        if out is None:
            return
    target = out or (outputs(path) / "samples" / "samples.png" if path.is_dir() else path.with_suffix(".png"))
    if out is None and moving:
        target = target.with_suffix(".gif")
    if suffix == ".html":
        _save_page(target, draw, shown)
    elif target.suffix.lower() not in (allowed := ANIMATION_SUFFIXES if moving else IMAGE_SUFFIXES):
        raise ValueError(f"{target.name}: choose one of {', '.join((*allowed, '.html'))}")
    elif not moving:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_image(target, draw.sheet(shown.samples, shown.titles))
    elif draw.plays and not turntable:
        save_animation(target, draw.play(shown.samples, shown.titles), fps)
    elif shown.trajectory is not None and not turntable:
        pictures = [draw.sheet(state, shown.titles) for state in shown.trajectory]
        # the end stays in sight for a second
        save_animation(target, pictures + pictures[-1:] * round(fps), fps)
    else:
        save_animation(target, draw.turntable(shown.samples, shown.titles, frames), fps)
    say(str(target))


@dataclass(frozen=True)
class _Shown:
    """What is drawn, and by whom; labels: a class for each sample, -1 for none."""

    samples: npt.NDArray[np.float32]
    titles: list[str]
    kind: Modality
    labels: list[int]
    trajectory: npt.NDArray[np.float32] | None = None


def _tinted(shown: _Shown, color: str | None) -> Visualizer:
    from ptdiff.choices import unknown

    draw = shown.kind.visualizer()
    if color is None:
        return draw
    if draw.tints and color not in draw.tints:
        raise unknown("color for these samples", color, draw.tints)
    return draw.tinted(color, shown.labels)


def _save_page(target: Path, draw: Visualizer, shown: _Shown) -> None:
    from ptdiff.atomic import write_atomic

    page = draw.page(shown.samples, shown.titles, shown.trajectory)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(target, page)


def _from_run(
    path: Path,
    count: int | None,
    given: dict[str, Any],
    points: int | None,
    weights: str | None,
    seed: int,
    device: str,
    states: bool,
) -> _Shown:
    import torch

    from ptdiff.run.folder import Run
    from ptdiff.sampling.walk import spread_labels
    from ptdiff_cli.shared.sampling_options import draw_samples, make_plan, shape_of, titles

    run = Run.open(path)
    kind = run.modality()
    draw = kind.visualizer()
    count, states = count or draw.many, states and not draw.plays
    labels = spread_labels(torch.arange(count), len(run.data.classes)).get("label")
    plan, shape = make_plan(run, given, None, seed), shape_of(run, points)
    keep = (lambda step: True) if states else None
    drawn = draw_samples(run, plan, labels, count, shape, device=device, weights=weights, keep=keep)
    return _Shown(drawn.samples, titles(run, drawn.labels), kind, drawn.labels.tolist(), drawn.trajectory)


def _from_file(path: Path, count: int | None, modality: str) -> _Shown:
    import zipfile
    import zlib
    from json import loads

    import numpy as np

    from ptdiff.modality import registry
    from ptdiff.run.models import near

    if not path.exists():
        raise Failure(f"{path} does not exist{near(path)}", BAD_DATA)
    if path.suffix.lower() != ".npz":
        from ptdiff_cli.shared.given import read_given

        kind = registry.load(modality)
        return _Shown(read_given(path, kind).samples, [], kind, [-1])
    try:
        # opened here, because NumPy leaves the file of a damaged archive open
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            if not hasattr(file, "files") or "samples" not in file.files:
                raise Failure(f"{path} holds no array 'samples'; 'ptdiff sample' writes such files", BAD_DATA)
            arrays = {name: file[name] for name in file.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise Failure(f"{path} cannot be read as npz: {error}", BAD_DATA) from error
    if arrays["samples"].ndim < 2 or arrays["samples"].dtype.kind != "f":
        raise Failure(f"{path}: 'samples' must be an array of numbers (n, …)", BAD_DATA)
    if "label" in arrays and (
        arrays["label"].shape != arrays["samples"].shape[:1] or arrays["label"].dtype.kind != "i"
    ):
        raise Failure(f"{path}: 'label' must hold one whole number a sample", BAD_DATA)
    options = loads(str(arrays["options"])) if "options" in arrays else {}
    name = str(arrays["modality"]) if "modality" in arrays else modality
    if ":" in name and name != modality:
        # what is imported is for the user to say, never for a file
        raise Failure(
            f"{path} was made by {name}, which is not installed as a modality: add -m {name} if you trust it", 2
        )
    kind = registry.load(name, options)
    count = count or kind.visualizer().many
    samples = arrays["samples"][:count].astype(np.float32)
    if len(samples) == 0 or not np.isfinite(samples).all():
        raise Failure(f"{path}: the samples are empty or not finite", BAD_DATA)
    names = [str(name) for name in arrays["classes"]] if "classes" in arrays else []
    labels = arrays["label"][:count].tolist() if "label" in arrays else []
    titles = [names[i] if 0 <= i < len(names) else "" for i in labels] if names else []
    trajectory = arrays["trajectory"][:, :count] if "trajectory" in arrays else None
    return _Shown(samples, titles, kind, labels or [-1] * len(samples), trajectory)
