"""Plots and files of points of any width; parts shared by all plots."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptdiff.atomic import write_atomic
from ptdiff.modality import Unsupported, Visualizer
from ptdiff_points2d.source import Frame, around, coordinates

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ptdiff.modality import Array, Image

# distinguishable with red-green color blindness and in gray (after Okabe and Ito 2008)
COLORS = (
    "#2a6fb0",
    "#e08a1e",
    "#2f9e74",
    "#c8452f",
    "#8d6cc4",
    "#56b0de",
    "#c66a9f",
    "#8a7a3c",
    "#5c6670",
    "#b3b32f",
    "#7a3b2e",
    "#1f4f4f",
    "#d9a6c9",
)
_INCHES, _DPI = 6.0, 120


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
        from ptdiff_points2d import plane, space, wide

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
        from ptdiff_points2d import plane, space

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
        from ptdiff_points2d import space

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


def named(titles: Sequence[str], classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes that titles name, ordered as ``classes`` or sorted; none if titles name single samples."""
    given = set(titles)
    if given <= set(classes):
        return tuple(name for name in classes if name in given)
    return tuple(sorted(given)) if 1 < len(given) < len(titles) else ()


@dataclass(frozen=True)
class Colors:
    """A color for each sample (n,), or one for all, and the colors of the classes by name."""

    each: Sequence[str] | str
    legend: Mapping[str, str]

    @staticmethod
    def of(titles: Sequence[str], classes: tuple[str, ...]) -> Colors:
        """Color by title if titles name a few classes; with one color if they name single samples."""
        names = named(titles, classes)
        order = classes if set(names) <= set(classes) else names
        if not names or len(order) > len(COLORS):
            return Colors(COLORS[0], {})
        # a class keeps its color, whichever others are present
        legend = {name: COLORS[order.index(name)] for name in names}
        return Colors([legend[title] for title in titles], legend if len(order) > 1 else {})

    def write(self, axes: Axes) -> None:
        """Add a legend in the corner of the axes."""
        if not self.legend:
            return
        for name, color in self.legend.items():
            axes.scatter([], [], s=28, c=color, linewidths=0, label=name)
        legend = axes.legend(loc="upper right", fontsize=8, handletextpad=0.2, labelcolor="#444444")
        legend.get_frame().set(edgecolor="#dddddd", linewidth=0.6, alpha=0.85)


def dots(count: int, side: int | None = None) -> dict[str, Any]:
    """Choose size and opacity of dots so that n of them have about the same amount of ink for any n.

    side: of a tile, in pixels; a sheet has fewer and larger dots.
    """
    if side is not None:
        return {"s": float(np.clip(0.05 * side**2 / max(count, 1), 0.6, 20)), "alpha": 0.6, "linewidths": 0}
    size = float(np.clip(9000 / max(count, 1), 1.6, 60))
    alpha = float(np.clip(60 / np.sqrt(max(count, 1)), 0.25, 0.9))
    return {"s": size, "alpha": alpha, "linewidths": 0}


def empty_figure(side: int | None = None) -> Figure:
    """Create a white square figure of ``side`` pixels, 720 for a sheet."""
    from matplotlib.figure import Figure

    if side is not None:
        return Figure(figsize=(side / 100, side / 100), dpi=100, facecolor="white")
    return Figure(figsize=(_INCHES, _INCHES), dpi=_DPI, facecolor="white")


def pixels(figure: Figure) -> Image:
    """Render a figure as uint8 RGB (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]


def clean(axes: Axes) -> None:
    """Apply a light frame, ticks and grid."""
    axes.tick_params(colors="#888888", labelsize=8, width=0.6, length=3)
    axes.grid(color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set(color="#cccccc", linewidth=0.6)


def write_table(
    path: Path, samples: Array, classes: Sequence[str], *, columns: Sequence[str], label: str, separator: str
) -> None:
    """Write points (n, d) as lines of numbers under a header, with their classes, if any, in a last column.

    columns: names of the d columns; x,y or c1,c2,… if their number differs. label: name of the last one.
    """
    width = samples.shape[1]
    names = tuple(columns) if len(columns) == width else coordinates(width)
    text = io.StringIO(newline="")
    table = csv.writer(text, delimiter=separator, lineterminator="\n")
    table.writerow([*names, *([label] if classes else [])])
    for index, point in enumerate(samples.tolist()):
        # nine digits restore a float32 exactly
        table.writerow([*(f"{value:.9g}" for value in point), *classes[index : index + 1]])
    write_atomic(path, text.getvalue())
