"""Clouds as pictures: contact sheets, turntables of a whole sheet, a page to turn them on, and Open3D's window."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ptdiff.machine.host import cores
from ptdiff.modality import Unsupported, Visualizer
from ptdiff.pictures.files import contact_sheet, sheet_columns
from ptdiff_pointcloud.render import page, render_cloud, show, turntable
from ptdiff_pointcloud.render.tints import TINTS, Colors, Tint, tints

if TYPE_CHECKING:
    from ptdiff.modality import Array, Image

_LARGEST, _SMALLEST, _SHEET = 512, 192, 1536  # pixels: of one picture, and the width of a sheet of many


def _size(count: int) -> int:
    """Pixels a side of each picture on a sheet of ``count``; ValueError for none."""
    if count < 1:
        raise ValueError("there are no clouds to draw")
    return max(_SMALLEST, min(_LARGEST, _SHEET // sheet_columns(count)))


@dataclass(frozen=True)
class Spheres(Visualizer):
    """Every point a shaded sphere, +Y up, seen from the front, the right and a little above.

    channels: what a point has.  by: what gives it its color; by default its own, where it has one, else its position.
    labels: the class of each cloud, for colors by label.
    """

    channels: tuple[str, ...] = ("xyz",)
    by: Tint | None = None
    labels: tuple[int, ...] = ()

    @property
    def tints(self) -> tuple[str, ...]:
        """What may give the points their colors."""
        return tuple(by for by in TINTS if by != "rgb" or "colors" in self.channels)

    def tinted(self, by: Tint, labels: Sequence[int]) -> Spheres:
        """The same in other colors; labels: the class of each of the samples that are drawn, -1 for none."""
        return replace(self, by=by, labels=tuple(labels))

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """Clouds (n, points, c) side by side, each under its title."""
        size = _size(len(samples))

        def picture(cloud: Array, colors: Colors | None) -> Image:
            return render_cloud(cloud[:, :3], size=size, colors=colors)

        with ThreadPoolExecutor(cores()) as pool:
            return contact_sheet(list(pool.map(picture, samples, self._colors(samples))), titles or None)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """The same sheet ``frames`` times, all clouds turning together."""
        size = _size(len(samples))
        # frame by frame, so that beside the pages no more than one picture of each cloud is there
        turning = [
            turntable(cloud[:, :3], frames=frames, size=size, colors=colors)
            for cloud, colors in zip(samples, self._colors(samples), strict=True)
        ]
        with ThreadPoolExecutor(cores()) as pool:
            return [contact_sheet(list(pool.map(next, turning)), titles or None) for _ in range(frames)]

    def page(self, samples: Array, titles: Sequence[str], trajectory: Array | None = None) -> str:
        """An HTML page that loads nothing, on which the mouse turns the clouds.

        trajectory: states (t, n, points, c) on the way to the samples, which a slider goes through.
        """
        _size(len(samples))
        states = samples[None] if trajectory is None else trajectory
        colors = [
            tints(cloud, "position", self.channels) if given is None else given
            for cloud, given in zip(states[-1], self._colors(states[-1]), strict=True)
        ]
        return page(states[..., :3], np.stack(colors), titles)

    def show(self, samples: Array, titles: Sequence[str]) -> None:
        """All clouds side by side in a window that the mouse turns."""
        try:
            show([cloud[:, :3] for cloud in samples], titles or None)
        except RuntimeError as error:
            raise Unsupported(str(error)) from error

    def _colors(self, samples: Array) -> list[Colors | None]:
        by = self.by or ("rgb" if "colors" in self.channels else "position")
        if by == "position":
            return [None] * len(samples)
        labels = self.labels or (-1,) * len(samples)
        return [tints(cloud, by, self.channels, label) for cloud, label in zip(samples, labels, strict=True)]
