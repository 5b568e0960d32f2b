"""``ptdiff gallery``: images of the theory and of trained runs, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.target import writable_either
from ptdiff_cli.shared.terminal import progress, say, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.gallery.scene import Scene
    from ptdiff.pictures.files import Picture
    from ptdiff.run.folder import Run

    Drawn = Picture | list[Picture]
    OfRun = Mapping[str, Callable[[Scene], Drawn]]


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
    from ptdiff.choices import unknown
    from ptdiff.gallery import OF_RUN, THEORY
    from ptdiff.run.folder import Run
    from ptdiff.run.models import located
    from ptdiff_cli.shared.sampling_options import scale

    if name is None:
        _listing(as_json)
        return
    if name in THEORY:
        if run is not None:
            raise ValueError(f"{name} shows the theory: leave out the run")
        target = out or Path(f"{name}.png")
        _check(target, animated=False)
        _save(target, THEORY[name](), fps)
        return
    everything = run is None and (located(name) / "config.yaml").is_file()
    folder = Path(name) if everything else run
    if folder is None:
        if name in OF_RUN or name in _of_modalities():
            raise ValueError(f"{name} needs a run: ptdiff gallery {name} RUN")
        raise unknown("image or run", name, [*THEORY, *OF_RUN, *_of_modalities()])
    found = Run.open(folder, say)
    pictures: OfRun = {**OF_RUN, **found.modality().gallery()}
    if not everything and name not in pictures:
        raise unknown("image", name, [*pictures, *THEORY])
    if not everything and out is not None:
        _check(out, animated=_moves(pictures[name]))
    over = {"solver": solver, "steps": steps, "process": process, "guidance": scale(guidance)}
    scene = _scene(found, over, set_, seed, weights, device)
    scene = dataclasses.replace(scene, count=count, at=scene.at if at is None else _times(at))
    if everything:
        _draw_all(scene, pictures, out or found.outputs / "gallery", fps)
        return
    picture = pictures[name](scene)
    _save(out or found.outputs / "gallery" / f"{name}{_suffix(picture)}", picture, fps)


def _scene(
    run: Run, over: Mapping[str, Any], settings: list[str] | None, seed: int, weights: str | None, device: str
) -> Scene:
    from ptdiff.gallery.scene import Scene
    from ptdiff.model import Model
    from ptdiff_cli.shared.sampling_options import make_plan

    plan = make_plan(run, over, settings, seed)
    try:
        data = run.modality().dataset()
    except (OSError, ValueError) as error:
        # most images need no data
        say(f"the data cannot be read, so images that need it are skipped: {error}")
        data = None
    return Scene(Model.of(run, plan, data=data, weights=weights, device=device, warn=say))


def _draw_all(scene: Scene, pictures: OfRun, folder: Path, fps: float) -> None:
    """Save all images of a run to a folder, and say why others are skipped."""
    from ptdiff.errors import Unsupported

    if folder.suffix:
        raise ValueError(f"--out {folder}: must be a folder, for {len(pictures)} images")
    with progress("images") as bar:
        task = bar.add_task("plot", total=len(pictures), note="")
        for name, draw in pictures.items():
            bar.update(task, note=name)
            try:
                picture = draw(scene)
            except Unsupported as reason:
                say(f"skipped {name}: {reason}")
            else:
                _save(folder / f"{name}{_suffix(picture)}", picture, fps)
            bar.advance(task)


def _moves(draw: Callable[[Scene], Drawn]) -> bool:
    """True if the function makes an animation, by its return annotation."""
    return str(getattr(draw, "__annotations__", {}).get("return", "")).startswith("list")


def _suffix(picture: Drawn) -> str:
    return ".gif" if isinstance(picture, list) else ".png"


def _check(path: Path, *, animated: bool) -> None:
    """Raise ValueError for an unsupported suffix, before any work."""
    from ptdiff.pictures.files import ANIMATION_SUFFIXES, IMAGE_SUFFIXES

    allowed = ANIMATION_SUFFIXES if animated else IMAGE_SUFFIXES
    if path.suffix.lower() not in allowed:
        raise ValueError(
            f"--out {path}: {'an animation' if animated else 'an image'} must end in one of {', '.join(allowed)}"
        )


def _save(path: Path, picture: Drawn, fps: float) -> None:
    from ptdiff.pictures.files import save_animation, save_image

    _check(path, animated=isinstance(picture, list))
    if isinstance(picture, list):
        save_animation(path, picture, fps)
    else:
        save_image(path, picture)
    say(str(path))


def _times(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--at {text}: must be numbers separated by commas, such as 0,0.1,0.5,1") from None


def _of_modalities() -> dict[str, tuple[str, Callable[[Scene], Drawn]]]:
    """Plot functions of the modalities by name, each with the name of its modality; broken modalities are skipped."""
    from ptdiff.errors import PluginError
    from ptdiff.modality import registry

    found: dict[str, tuple[str, Callable[[Scene], Drawn]]] = {}
    for listed in registry.modalities():
        try:
            kind = registry.load(listed.name)
        except (PluginError, ValueError) as error:
            # such as one with a required option
            say(str(error))
            continue
        found |= {name: (listed.name, draw) for name, draw in kind.gallery().items()}
    return found


def _listing(as_json: bool) -> None:
    from ptdiff.gallery import OF_RUN, THEORY

    rows = [
        *((name, "", draw) for name, draw in THEORY.items()),
        *((name, "a run", draw) for name, draw in OF_RUN.items()),
        *((name, f"a run of {kind}", draw) for name, (kind, draw) in _of_modalities().items()),
    ]
    lines = [(name, needs, (draw.__doc__ or "").strip().partition("\n")[0]) for name, needs, draw in rows]
    if as_json:
        show_json([{"name": name, "needs": needs or "nothing", "summary": text} for name, needs, text in lines])
        return
    show_table(["image", "needs", "shows"], [list(line) for line in lines])
