"""Renders of clouds: contact sheets, turntables of a whole sheet, an HTML page to turn them, and Open3D's window."""

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

_LARGEST, _SMALLEST, _SHEET = 512, 192, 1536  # pixels: of one image, and the width of a sheet of many


def _size(count: int) -> int:
    """Return the pixels per side of each image on a sheet of ``count``; ValueError for none."""
    if count < 1:
        raise ValueError("there are no clouds to render")
    return max(_SMALLEST, min(_LARGEST, _SHEET // sheet_columns(count)))


@dataclass(frozen=True)
class Spheres(Visualizer):
    """Shaded spheres for the points, +Y up, seen from the front, the right and slightly above.

    channels: of a point. by: what determines its color; by default its own color, if it has one, else its position.
    labels: the class of each cloud, for colors by label.
    """

    channels: tuple[str, ...] = ("xyz",)
    by: Tint | None = None
    labels: tuple[int, ...] = ()

    @property
    def tints(self) -> tuple[str, ...]:
        """Names of the available color schemes."""
        return tuple(by for by in TINTS if by != "rgb" or "colors" in self.channels)

    def tinted(self, by: Tint, labels: Sequence[int]) -> Spheres:
        """Return the visualizer with other colors; labels: the class of each rendered sample, -1 for none."""
        return replace(self, by=by, labels=tuple(labels))

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """Render clouds (n, points, c) side by side, each under its title."""
        size = _size(len(samples))

        def picture(cloud: Array, colors: Colors | None) -> Image:
            return render_cloud(cloud[:, :3], size=size, colors=colors)

        with ThreadPoolExecutor(cores()) as pool:
            return contact_sheet(list(pool.map(picture, samples, self._colors(samples))), titles or None)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """Render the sheet ``frames`` times, with all clouds turning together."""
        size = _size(len(samples))
        # frame by frame, so that besides the sheets only one image of each cloud is in memory
        turning = [
            turntable(cloud[:, :3], frames=frames, size=size, colors=colors)
            for cloud, colors in zip(samples, self._colors(samples), strict=True)
        ]
        with ThreadPoolExecutor(cores()) as pool:
            return [contact_sheet(list(pool.map(next, turning)), titles or None) for _ in range(frames)]

    def page(self, samples: Array, titles: Sequence[str], trajectory: Array | None = None) -> str:
        """Return an HTML page that loads nothing, on which the mouse turns the clouds.

        trajectory: states (t, n, points, c) on the way to the samples, which a slider steps through.
        """
        _size(len(samples))
        states = samples[None] if trajectory is None else trajectory
        colors = [
            tints(cloud, "position", self.channels) if given is None else given
            for cloud, given in zip(states[-1], self._colors(states[-1]), strict=True)
        ]
        return page(states[..., :3], np.stack(colors), titles)

    def show(self, samples: Array, titles: Sequence[str]) -> None:
        """Show all clouds side by side in a window where the mouse turns them."""
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
