"""Clouds as pictures: contact sheets, turntables of a whole sheet, and Open3D's window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ptdiff.modality import Unsupported, Visualizer
from ptdiff.pictures import contact_sheet, sheet_columns
from ptdiff_pointcloud.render import render_cloud, show, turntable

if TYPE_CHECKING:
    from ptdiff.modality import Array, Image

_LARGEST, _SMALLEST, _SHEET = 512, 192, 1536  # pixels: of one picture, and the width of a sheet of many


def _size(count: int) -> int:
    """Pixels a side of each picture on a sheet of ``count``; ValueError for none."""
    if count < 1:
        raise ValueError("there are no clouds to draw")
    return max(_SMALLEST, min(_LARGEST, _SHEET // sheet_columns(count)))


class Spheres(Visualizer):
    """Every point a shaded sphere, +Y up, seen from the front, the right and a little above."""

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """Clouds (n, points, 3) side by side, each under its title."""
        size = _size(len(samples))
        return contact_sheet([render_cloud(cloud, size=size) for cloud in samples], titles or None)

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """Small clouds, by the renderer that is quick at small pictures."""
        columns = sheet_columns(len(samples))
        clouds = [render_cloud(cloud, size=side // columns, engine="numpy") for cloud in samples]
        return contact_sheet(clouds, columns=columns, gap=0)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """The same sheet ``frames`` times, all clouds turning together."""
        size = _size(len(samples))
        # frame by frame, so that beside the pages no more than one picture of each cloud is there
        turning = [turntable(cloud, frames=frames, size=size) for cloud in samples]
        return [contact_sheet(pictures, titles or None) for pictures in zip(*turning, strict=True)]

    def show(self, samples: Array, titles: Sequence[str]) -> None:
        """All clouds side by side in a window that the mouse turns."""
        try:
            show(list(samples), titles or None)
        except RuntimeError as error:
            raise Unsupported(str(error)) from error
