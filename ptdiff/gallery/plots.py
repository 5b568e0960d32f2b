"""Plots by name: the list, the ones that a name stands for, and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff import gallery
from ptdiff.choices import unknown
from ptdiff.errors import PluginError, Unsupported
from ptdiff.gallery.scene import Scene
from ptdiff.modality import registry
from ptdiff.modality.types import Progress
from ptdiff.pictures.files import ANIMATION_SUFFIXES, IMAGE_SUFFIXES, Picture, save_animation, save_image
from ptdiff.run.folder import Run
from ptdiff.run.models import located

Say = Callable[[str], None]
Plot = Callable[..., Picture | list[Picture]]
"""A function of a :class:`ptdiff.gallery.scene.Scene`, or of nothing for the theory; a list is an animation."""


@dataclass(frozen=True)
class Entry:
    """One line of the list of plots.

    ``needs``: "" for the theory, else "a run".  ``summary``: the first line of the function's docstring.
    """

    name: str
    needs: str
    summary: str


def listed(say: Say) -> list[Entry]:
    """List all plots; ``say`` is called with a line about each modality that cannot be loaded."""
    rows: list[tuple[str, str, Plot]] = [
        *((name, "", plot) for name, plot in gallery.THEORY.items()),
        *((name, "a run", plot) for name, plot in gallery.OF_RUN.items()),
        *((name, f"a run of {kind}", plot) for kind, name, plot in _of_modalities(say)),
    ]
    return [Entry(name, needs, (plot.__doc__ or "").strip().partition("\n")[0]) for name, needs, plot in rows]


@dataclass(frozen=True)
class Chosen:
    """The plots that a name stands for: one, or all of a run.

    ``functions``: by name.  ``run``: None for the theory.  ``single``: True for one plot, False for all of a run.
    """

    functions: Mapping[str, Plot]
    run: Run | None
    single: bool

    @staticmethod
    def named(name: str, run: Path | str | None, say: Say) -> Chosen:
        """Find a plot by name, of ``run`` if it needs one; or, if ``name`` is a run or model, all plots of it.

        Raises UnknownName with the nearest name, ValueError for a run too many or too few, and RunError for a folder
        that is not a run.
        """
        if name in gallery.THEORY:
            if run is not None:
                raise ValueError(f"{name} shows the theory: leave out the run")
            return Chosen({name: gallery.THEORY[name]}, None, single=True)
        if run is None and (located(name) / "config.yaml").is_file():
            opened = Run.open(name, say)
            return Chosen({**gallery.OF_RUN, **opened.modality().gallery()}, opened, single=False)
        if run is None:
            names = [*gallery.OF_RUN, *(own for _, own, _ in _of_modalities(say))]
            if name in names:
                raise ValueError(f"{name} needs a run: ptdiff gallery {name} RUN")
            raise unknown("image or run", name, [*gallery.THEORY, *names])
        opened = Run.open(run, say)
        known: dict[str, Plot] = {**gallery.OF_RUN, **opened.modality().gallery()}
        if name not in known:
            raise unknown("image", name, [*known, *gallery.THEORY])
        return Chosen({name: known[name]}, opened, single=True)

    def check(self, out: Path) -> None:
        """Raise ValueError, before any work, unless ``out`` is a folder for all plots or has a suffix for the one."""
        if not self.single and out.suffix:
            raise ValueError(f"out {out}: must be a folder, for {len(self.functions)} images")
        if self.single:
            (plot,) = self.functions.values()
            _check_suffix(out, animated=_moves(plot))

    def save(
        self, scene: Scene | None, out: Path | None = None, fps: float = 15, progress: Progress | None = None
    ) -> Iterator[Path | str]:
        """Make and save the plots one by one; yields the path of each, or a line about one that is not possible.

        ``scene``: None for the theory.  ``out``: a file for one plot, a folder for all; default: in the folder
        "gallery" of the run, or the current one for the theory.  ``fps``: frames per second of animations.
        ``progress``: called with (done, total).

        Raises Unsupported if the only plot is not possible for the run.
        """
        if out is not None:
            self.check(out)
        folder = Path() if self.run is None else self.run.outputs / "gallery"
        for done, (name, plot) in enumerate(self.functions.items()):
            if progress is not None:
                progress(done, len(self.functions))
            try:
                picture = plot() if scene is None else plot(scene)
            except Unsupported as reason:
                if self.single:
                    raise
                yield f"skipped {name}: {reason}"
                continue
            usual = f"{name}{'.gif' if isinstance(picture, list) else '.png'}"
            path = folder / usual if out is None else out if self.single else out / usual
            _save(path, picture, fps)
            yield path


def _moves(plot: Plot) -> bool:
    """True if the function makes an animation, by its return annotation."""
    return str(getattr(plot, "__annotations__", {}).get("return", "")).startswith("list")


def _check_suffix(path: Path, *, animated: bool) -> None:
    allowed = ANIMATION_SUFFIXES if animated else IMAGE_SUFFIXES
    if path.suffix.lower() not in allowed:
        kind = "an animation" if animated else "an image"
        raise ValueError(f"out {path}: {kind} must end in one of {', '.join(allowed)}")


def _save(path: Path, picture: Any, fps: float) -> None:
    _check_suffix(path, animated=isinstance(picture, list))
    if isinstance(picture, list):
        save_animation(path, picture, fps)
    else:
        save_image(path, picture)


def _of_modalities(say: Say) -> Iterator[tuple[str, str, Plot]]:
    """The plots of the installed modalities: name of the modality, of the plot, and function."""
    usable, problems = registry.importable()
    for problem in problems:
        say(problem)
    for known in usable:
        try:
            kind = registry.load(known.name)
        except (PluginError, ValueError) as error:
            # such as one with a required option
            say(str(error))
            continue
        for name, plot in kind.gallery().items():
            yield known.name, name, plot
