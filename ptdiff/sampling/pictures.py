"""Images, animations and pages of samples, by the suffix of the file.

.png .jpg .webp      all samples on one sheet
.gif .mp4            films are played; else the states from noise to data, if they were kept; else a turntable
.html                an interactive page, for visualizers that have one
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ptdiff.choices import unknown
from ptdiff.documents.atomic import write_atomic
from ptdiff.modality.ragged import sets_of
from ptdiff.pictures.files import ANIMATION_SUFFIXES, IMAGE_SUFFIXES, save_animation, save_image

if TYPE_CHECKING:
    from ptdiff.modality.visualizer import Visualizer
    from ptdiff.sampling.files import Stored

MOVING = (".gif", ".mp4")
"""Suffixes that always mean an animation; .webp is one only if requested."""


def colored(draw: Visualizer, color: str | None, labels: Sequence[int]) -> Visualizer:
    """The visualizer that colors samples by ``color``: position, normal, label …; None changes nothing.

    ``labels``: the class of each sample, -1 for none.  Raises UnknownName for an unknown color, and Unsupported if the
    visualizer has only one.
    """
    if color is None:
        return draw
    if draw.tints and color not in draw.tints:
        raise unknown("color for these samples", color, draw.tints)
    return draw.tinted(color, labels)


def check_picture(path: Path, *, moving: bool = False) -> None:
    """Raise ValueError unless :func:`save` can write ``path``, as an animation if ``moving``."""
    suffix = path.suffix.lower()
    allowed = ANIMATION_SUFFIXES if moving or suffix in MOVING else IMAGE_SUFFIXES
    if suffix not in (*allowed, ".html"):
        raise ValueError(f"{path.name}: the suffix must be one of {', '.join((*allowed, '.html'))}")


def save(
    path: Path, stored: Stored, draw: Visualizer, *, turntable: bool = False, frames: int = 36, fps: float = 12.0
) -> None:
    """Write samples as an image, an animation or a page, by the suffix of ``path``.

    ``turntable``: rotate the samples once around, instead of another animation, in ``frames`` images.
    ``fps``: frames per second of an animation.

    Raises ValueError for another suffix, and Unsupported if the visualizer has no such animation or page.
    """
    moving = turntable or path.suffix.lower() in MOVING
    check_picture(path, moving=moving)
    samples, titles = stored.sets, stored.titles
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".html":
        write_atomic(path, draw.page(samples, titles, stored.trajectory))
    elif not moving:
        save_image(path, draw.sheet(samples, titles))
    elif draw.plays and not turntable:
        save_animation(path, draw.play(samples, titles), fps)
    elif stored.trajectory is not None and not turntable:
        pictures = [draw.sheet(sets_of(state), titles) for state in stored.trajectory]
        # the last image stays for one second
        save_animation(path, pictures + pictures[-1:] * round(fps), fps)
    else:
        save_animation(path, draw.turntable(samples, titles, frames), fps)
