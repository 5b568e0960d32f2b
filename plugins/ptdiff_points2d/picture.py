"""Plots and files of points of any width."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptdiff.documents.atomic import write_atomic
from ptdiff.documents.cells import cell
from ptdiff.modality import Unsupported, Visualizer
from ptdiff_points2d import plane, space, wide
from ptdiff_points2d.paint import Colors, named
from ptdiff_points2d.source import Frame, around, coordinates

if TYPE_CHECKING:
    from ptdiff.modality import Array, Image


@dataclass(frozen=True)
class Pictures(Visualizer):
    """Samples of any width: a histogram, a scatter plot in the plane or in space, pairs of columns, or a map of rows.

    frame: part of the plane or of space to show; if None, or if a tenth of the samples lie outside, that of the
    samples.
    classes: the order of the colors, the same in every plot.
    columns: their names.
    total: sum that every row should have, if known.
    """

    many = 2000

    frame: Frame | None
    classes: tuple[str, ...]
    columns: tuple[str, ...] = ()
    total: float | None = None

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """Plot ``samples`` (n, d) in one image, 720 pixels square, colored by title if titles name a few classes.

        With more than a few classes, each has a panel of its own in the plane.
        """
        samples = self._checked(samples, titles)
        width = samples.shape[1]
        colors = Colors.of(titles, self.classes)
        if width == 2:
            names = named(titles, self.classes)
            if len(names) in plane.PANELS:
                return plane.panels(samples, self._frame(samples), titles, names)
            return plane.Scatter(self._frame(samples), colors).draw(samples)
        if width == 3:
            return space.scatter(samples, self._frame(samples), colors)
        if width <= wide.PAIRS:
            return wide.pairs(samples, self._names(width), colors)
        return wide.rows(samples, self._names(width), self.total)

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """Plot only the dots in the frame, with a margin for noise; what lies outside is not shown."""
        samples = self._checked(samples, titles)
        width = samples.shape[1]
        if width not in (2, 3):
            return super().tile(samples, titles, side)
        own = self.frame is not None and len(self.frame) == width + 1
        *center, reach = self.frame if own and self.frame is not None else self._frame(samples)
        frame, colors = (*center, 1.1 * reach), Colors.of(titles, self.classes)
        if width == 2:
            return plane.Scatter(frame, colors).bare(samples, side)
        return space.bare(samples, frame, colors, side)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """Plot points in space, turning once around the vertical axis."""
        samples = self._checked(samples, titles)
        if samples.shape[1] != 3:
            raise Unsupported(f"no turntable for samples with {samples.shape[1]} numbers: it needs 3")
        frame, colors = self._frame(samples), Colors.of(titles, self.classes)
        return [space.scatter(samples, frame, colors, 360 * k / frames) for k in range(frames)]

    def _checked(self, samples: Array, titles: Sequence[str]) -> Array:
        if titles and len(titles) != len(samples):
            raise ValueError(f"{len(titles)} titles for {len(samples)} samples")
        return np.asarray(samples, dtype=np.float32)

    def _names(self, width: int) -> tuple[str, ...]:
        return self.columns if len(self.columns) == width else coordinates(width)

    def _frame(self, samples: Array) -> Frame:
        samples = samples[np.isfinite(samples).all(axis=1)]
        if self.frame is not None and len(self.frame) == samples.shape[1] + 1:
            *center, reach = self.frame
            inside = (np.abs(samples - center) <= reach).all(axis=1)
            if inside.sum() >= 0.9 * len(samples):
                return self.frame
        # outliers beyond the last hundredths must not shrink all others to a dot
        nothing = (*[0.0] * samples.shape[1], 1.0)
        return around(np.quantile(samples, [0.005, 0.995], axis=0)) if len(samples) else nothing


def write_table(
    path: Path, samples: Array, classes: Sequence[str], *, columns: Sequence[str], label: str, separator: str
) -> None:
    """Write points (n, d) as lines of numbers under a header, with their classes, if any, in a last column.

    Numbers have nine digits, or seventeen if they are float64.

    columns: names of the d columns; x,y or c1,c2,… if their number differs. label: name of the last one.
    """
    width = samples.shape[1]
    names = tuple(columns) if len(columns) == width else coordinates(width)
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=separator, lineterminator="\n")
    table.writerow([cell(name) for name in (*names, *([label] if classes else []))])
    # so many digits restore a float32 or a float64 exactly
    digits = 17 if samples.dtype == np.float64 else 9
    for index, point in enumerate(samples.tolist()):
        table.writerow([*(f"{value:.{digits}g}" for value in point), *map(cell, classes[index : index + 1])])
    write_atomic(path, text.getvalue())
