"""Pictures and files of points in the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptdiff.modality import Visualizer
from ptdiff_points2d.source import Frame, around

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ptdiff.modality import Array, Image

# told apart by people who see red and green alike, and in gray (after Okabe and Ito 2008)
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
class Scatter(Visualizer):
    """All samples in one square picture, colored by title where the titles name a few classes.

    frame: the square to show; where it is None, or a tenth of the samples lie outside, it is that of the samples.
    classes: the order of the colors, the same from picture to picture.
    """

    many = 2000

    frame: Frame | None
    classes: tuple[str, ...]

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """One scatter plot of ``samples`` (n, 2), a dot each; 720 pixels square."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        samples = np.asarray(samples, dtype=np.float32).reshape(-1, 2)
        if titles and len(titles) != len(samples):
            raise ValueError(f"{len(titles)} titles for {len(samples)} samples")
        figure = Figure(figsize=(_INCHES, _INCHES), dpi=_DPI, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.075, 0.055, 0.90, 0.90))
        _clean(axes)
        self._dots(axes, samples, titles)
        x, y, reach = self._frame(samples)
        axes.set_xlim(x - reach, x + reach)
        axes.set_ylim(y - reach, y + reach)
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return pixels[..., :3].copy()

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """The bare dots in the frame, with a margin for noise: what lies outside is not seen."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        samples = np.asarray(samples, dtype=np.float32).reshape(-1, 2)
        figure = Figure(figsize=(side / 100, side / 100), dpi=100, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
        axes.set(xticks=[], yticks=[])
        for spine in axes.spines.values():
            spine.set(color="#dddddd", linewidth=0.6)
        names = self._names(titles)
        color = [COLORS[names.index(title)] for title in titles] if names else COLORS[0]
        # as much ink for any number of dots and any side
        size = float(np.clip(0.03 * side**2 / max(len(samples), 1), 0.6, 20))
        axes.scatter(samples[:, 0], samples[:, 1], s=size, c=color, alpha=0.6, linewidths=0)
        x, y, reach = self.frame or self._frame(samples)
        reach *= 1.1
        axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))
        canvas.draw()  # type: ignore[no-untyped-call]
        pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]
        return pixels[..., :3].copy()

    def _frame(self, samples: Array) -> Frame:
        samples = samples[np.isfinite(samples).all(axis=1)]
        if self.frame is not None:
            x, y, reach = self.frame
            inside = (np.abs(samples - [x, y]) <= reach).all(axis=1)
            if inside.sum() >= 0.9 * len(samples):
                return self.frame
        # strays beyond the last hundredths do not shrink all others to a dot
        return around(np.quantile(samples, [0.005, 0.995], axis=0)) if len(samples) else (0.0, 0.0, 1.0)

    def _dots(self, axes: Axes, samples: Array, titles: Sequence[str]) -> None:
        # a picture of n dots holds about the same amount of ink for any n
        size = float(np.clip(9000 / max(len(samples), 1), 1.6, 60))
        alpha = float(np.clip(60 / np.sqrt(max(len(samples), 1)), 0.25, 0.9))
        names = self._names(titles)
        if not names:
            axes.scatter(samples[:, 0], samples[:, 1], s=size, c=COLORS[0], alpha=alpha, linewidths=0)
            return
        color = [COLORS[names.index(title)] for title in titles]
        axes.scatter(samples[:, 0], samples[:, 1], s=size, c=color, alpha=alpha, linewidths=0)
        if len(names) > 1:
            for name in names:
                axes.scatter([], [], s=28, c=COLORS[names.index(name)], linewidths=0, label=name)
            legend = axes.legend(loc="upper right", fontsize=8, handletextpad=0.2, labelcolor="#444444")
            legend.get_frame().set(edgecolor="#dddddd", linewidth=0.6, alpha=0.85)

    def _names(self, titles: Sequence[str]) -> list[str]:
        """The classes in the order of their colors; none where titles name single samples."""
        given = set(titles)
        if given and given <= set(self.classes):
            names = list(self.classes)
        else:
            names = sorted(given) if 1 < len(given) < len(titles) else []
        return names if len(names) <= len(COLORS) else []


def _clean(axes: Axes) -> None:
    axes.set_aspect("equal")
    axes.tick_params(colors="#888888", labelsize=8, width=0.6, length=3)
    axes.grid(color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set(color="#cccccc", linewidth=0.6)


def write_csv(path: Path, sample: Array) -> None:
    """A point (2,), or several (n, 2), as lines x,y under a line of names."""
    lines = [f"{x:.9g},{y:.9g}\n" for x, y in np.asarray(sample).reshape(-1, 2).tolist()]
    path.write_text("x,y\n" + "".join(lines), encoding="utf-8")
