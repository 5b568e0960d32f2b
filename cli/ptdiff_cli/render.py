"""``ptdiff render``: pictures of samples, from a file or straight from a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.terminal import BAD_DATA, Failure, say

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ptdiff.modality import Modality

ANIMATIONS = (".gif", ".mp4")


def render(
    path: Annotated[Path, typer.Argument(help="Samples (.npz) or a run folder.")],
    out: Annotated[Path | None, typer.Option(help="Picture (.png) or animation (.gif, .mp4).")] = None,
    turntable: Annotated[bool, typer.Option("--turntable", help="Turn the samples once around.")] = False,
    show: Annotated[bool, typer.Option("--show", help="Open a window.")] = False,
    count: Annotated[
        int | None, typer.Option("-n", "--count", min=1, help="At most so many samples; default what fills a picture.")
    ] = None,
    modality: Annotated[
        str, typer.Option("-m", "--modality", help="Kind of data, where the file does not say.")
    ] = "pointcloud",
    frames: Annotated[int, typer.Option(min=2, help="Frames of a turntable.")] = 36,
    fps: Annotated[float, typer.Option(min=1, help="Frames a second.")] = 12.0,
) -> None:
    """Draw samples: ptdiff render samples.npz --out samples.png.

    A .gif or .mp4 of a file that holds a trajectory shows the way from noise to data; with --turntable, or without a
    trajectory, it turns the samples around.
    """
    from ptdiff.pictures import ANIMATION_SUFFIXES, IMAGE_SUFFIXES, save_animation, save_image

    shown = _from_run(path, count) if path.is_dir() else _from_file(path, count, modality)
    if show:
        shown.kind.visualizer().show(shown.samples, shown.titles)
        if out is None:
            return
    moving = turntable or (out is not None and out.suffix.lower() in ANIMATIONS)
    target = out or (path / "samples" / "samples.png" if path.is_dir() else path.with_suffix(".png"))
    if out is None and moving:
        target = target.with_suffix(".gif")
    allowed = ANIMATION_SUFFIXES if moving else IMAGE_SUFFIXES
    if target.suffix.lower() not in allowed:
        raise ValueError(f"{target.name}: choose one of {', '.join(allowed)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    draw = shown.kind.visualizer()
    if not moving:
        save_image(target, draw.sheet(shown.samples, shown.titles))
    elif shown.trajectory is not None and not turntable:
        pictures = [draw.sheet(state, shown.titles) for state in shown.trajectory]
        # the end stays in sight for a second
        save_animation(target, pictures + pictures[-1:] * round(fps), fps)
    else:
        save_animation(target, draw.turntable(shown.samples, shown.titles, frames), fps)
    say(str(target))


@dataclass(frozen=True)
class _Shown:
    """What is drawn, and by whom."""

    samples: npt.NDArray[np.float32]
    titles: list[str]
    kind: Modality
    trajectory: npt.NDArray[np.float32] | None = None


def _from_run(path: Path, count: int | None) -> _Shown:
    import torch

    from ptdiff.run import Run
    from ptdiff.sampling import spread_labels
    from ptdiff_cli.drawing import draw_samples, make_plan, titles

    run = Run.open(path)
    kind = run.modality()
    count = count or kind.visualizer().many
    labels = spread_labels(torch.arange(count), len(run.data.classes)).get("label")
    drawn = draw_samples(run, make_plan(run, {}), labels, count, run.data.shape)
    return _Shown(drawn.samples, titles(run, drawn.labels), kind)


def _from_file(path: Path, count: int | None, modality: str) -> _Shown:
    import zipfile
    import zlib
    from json import loads

    import numpy as np

    from ptdiff import registry

    if not path.exists():
        raise Failure(f"{path} does not exist", BAD_DATA)
    try:
        with np.load(path, allow_pickle=False) as file:
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
    return _Shown(samples, titles, kind, trajectory)
