"""``ptdiff gallery``: pictures of the theory and of trained runs, by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import progress, say, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.gallery.scene import Scene
    from ptdiff.pictures.files import Picture
    from ptdiff.run.folder import Run

    Drawn = Picture | list[Picture]
    OfRun = Mapping[str, Callable[[Scene], Drawn]]


def gallery(
    name: Annotated[str | None, typer.Argument(help="A picture; or a run or model, for all that apply to it.")] = None,
    run: Annotated[Path | None, typer.Argument(help="Run folder or model, for pictures of a run.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="File (.png .jpg .webp; .gif .mp4 .webp move); for all a folder.")
    ] = None,
    at: Annotated[str | None, typer.Option(help="Times of a strip in [0, 1], as 0,0.1,0.5,1; 0 is data.")] = None,
    count: Annotated[int | None, typer.Option("-n", "--count", min=1, help="Samples in a picture.")] = None,
    solver: Annotated[str | None, typer.Option(help="Solver: see 'ptdiff solvers'.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the solver; of a film its frames.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to draw under; any works.")] = None,
    guidance: Annotated[float | None, typer.Option(min=0, help="Classifier-free guidance; 1 is none.")] = None,
    weights: Annotated[str | None, typer.Option(help="Weights: raw, ema, best …, as in 'ptdiff sample'.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="section.key=value: solver, process …")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of samples and noise.")] = 0,
    fps: Annotated[float, typer.Option(min=1, max=50, help="Frames a second of a film.")] = 15.0,
    device: Device = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List the pictures, or draw: ptdiff gallery reverse RUN --out reverse.png."""
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
            raise ValueError(f"{name} is of the theory: it takes no run")
        target = out or Path(f"{name}.png")
        _check(target, animated=False)
        _save(target, THEORY[name](), fps)
        return
    everything = run is None and (located(name) / "config.yaml").is_file()
    folder = Path(name) if everything else run
    if folder is None:
        if name in OF_RUN or name in _of_modalities():
            raise ValueError(f"{name} is of a run: ptdiff gallery {name} RUN")
        raise unknown("picture or run", name, [*THEORY, *OF_RUN, *_of_modalities()])
    found = Run.open(folder, say)
    pictures: OfRun = {**OF_RUN, **found.modality().gallery()}
    if not everything and name not in pictures:
        raise unknown("picture", name, [*pictures, *THEORY])
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
        # most pictures need none
        say(f"without the data, which cannot be read: {error}")
        data = None
    return Scene(Model.of(run, plan, data=data, weights=weights, device=device, warn=say))


def _draw_all(scene: Scene, pictures: OfRun, folder: Path, fps: float) -> None:
    """All pictures that this run has into a folder, with a line for each that it has not."""
    from ptdiff.errors import Unsupported

    if folder.suffix:
        raise ValueError(f"--out {folder}: {len(pictures)} pictures need a folder")
    with progress("pictures") as bar:
        task = bar.add_task("draw", total=len(pictures), note="")
        for name, draw in pictures.items():
            bar.update(task, note=name)
            try:
                picture = draw(scene)
            except Unsupported as reason:
                say(f"no {name}: {reason}")
            else:
                _save(folder / f"{name}{_suffix(picture)}", picture, fps)
            bar.advance(task)


def _moves(draw: Callable[[Scene], Drawn]) -> bool:
    """Whether a picture is an animation, as the annotation of its function says."""
    return str(getattr(draw, "__annotations__", {}).get("return", "")).startswith("list")


def _suffix(picture: Drawn) -> str:
    return ".gif" if isinstance(picture, list) else ".png"


def _check(path: Path, *, animated: bool) -> None:
    """Refuse a suffix before anything is drawn."""
    from ptdiff.pictures.files import ANIMATION_SUFFIXES, IMAGE_SUFFIXES

    allowed = ANIMATION_SUFFIXES if animated else IMAGE_SUFFIXES
    if path.suffix.lower() not in allowed:
        raise ValueError(f"--out {path}: {'a film' if animated else 'a picture'} is one of {', '.join(allowed)}")


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
        raise ValueError(f"--at {text}: write times with commas between, as 0,0.1,0.5,1") from None


def _of_modalities() -> dict[str, tuple[str, Callable[[Scene], Drawn]]]:
    """Pictures that single modalities draw, with the name of the modality; one that does not import has none."""
    from ptdiff.errors import PluginError
    from ptdiff.modality import registry

    found: dict[str, tuple[str, Callable[[Scene], Drawn]]] = {}
    for listed in registry.modalities():
        try:
            kind = registry.load(listed.name)
        except (PluginError, ValueError) as error:
            # such as one with an option that must be given
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
    show_table(["picture", "needs", "what it shows"], [list(line) for line in lines])
