"""Plots of points in the plane: all in one frame, or a panel for each class.

Points outside the frame appear at its edge as triangles of their color and are counted below: no sample is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from ptdiff.pictures.plot import COLORS, pixels
from ptdiff_points2d.paint import Colors, clean, dots, empty_figure
from ptdiff_points2d.source import Frame

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ptdiff.modality import Array, Image

PANELS = range(7, 65)
"""Numbers of classes that get a panel each: fewer are told apart by color, more do not fit."""

_GRAY = "#666666"


@dataclass(frozen=True)
class Scatter:
    """A square scatter plot of points in the plane."""

    frame: Frame
    colors: Colors

    def draw(self, samples: Array) -> Image:
        """Plot ``samples`` (n, 2), a dot each, with the names of the classes above."""
        figure = empty_figure()
        axes = figure.add_axes((0.095, 0.07, 0.86, 0.86) if self.colors.legend else (0.075, 0.055, 0.90, 0.90))
        clean(axes)
        outside = _dots(axes, samples, self.frame, self.colors.each, dots(len(samples)))
        _outside(figure, outside, len(samples))
        for name, color in self.colors.legend.items():
            axes.scatter([], [], s=28, c=color, linewidths=0, label=_short(name, 18))
        if self.colors.legend:
            # in one line, or in two if that is too long
            count = len(self.colors.legend)
            long = sum(len(_short(name, 18)) + 4 for name in self.colors.legend) > 80
            axes.legend(
                loc="lower center",
                bbox_to_anchor=(0.5, 0.995),
                ncols=ceil(count / 2) if long else count,
                borderaxespad=0.0,
                fontsize=8,
                labelcolor="#444444",
                frameon=False,
                handletextpad=0.2,
            )
        return pixels(figure)

    def bare(self, samples: Array, side: int) -> Image:
        """Plot only the dots in the frame, without numbers, as ``side`` x ``side`` pixels."""
        figure = empty_figure(side)
        axes = figure.add_axes((0.01, 0.01, 0.98, 0.98))
        _plain(axes)
        axes.scatter(samples[:, 0], samples[:, 1], c=self.colors.each, **dots(len(samples), side))
        _limits(axes, self.frame)
        return pixels(figure)


def panels(samples: Array, frame: Frame, titles: Sequence[str], names: tuple[str, ...]) -> Image:
    """Plot ``samples`` (n, 2) by class: a panel for each of ``names``, all with the same frame."""
    figure = empty_figure()
    columns = ceil(sqrt(len(names)))
    rows = ceil(len(names) / columns)
    # leave room for a line below
    cell, side, outside = 0.95 / columns, 684 // columns, 0
    for k, name in enumerate(names):
        row, column = divmod(k, columns)
        # panels are square, and centered if there are fewer rows than columns
        left, bottom = 0.025 + column * cell, 0.5 + (rows / 2 - 1 - row) * cell
        axes = figure.add_axes((left + 0.07 * cell, bottom + 0.02 * cell, 0.86 * cell, 0.86 * cell))
        _plain(axes)
        axes.set_title(_short(name, max(6, side // 7)), fontsize=8 if columns < 7 else 6, color="#444444", pad=2)
        own = samples[[title == name for title in titles]]
        color = COLORS[k] if len(names) <= len(COLORS) else COLORS[0]
        outside += _dots(axes, own, frame, color, dots(len(own), side))
    _outside(figure, outside, len(samples))
    return pixels(figure)


def _dots(axes: Axes, samples: Array, frame: Frame, color: Any, look: dict[str, Any]) -> int:
    """Plot a dot for each sample in the frame and a triangle at its edge for each other; returns their number."""
    x, y, reach = frame
    samples = np.asarray(samples, dtype=np.float64)
    finite = np.isfinite(samples).all(axis=1)
    inside = finite & (np.abs(samples - (x, y)) <= reach).all(axis=1)
    # not at the edge itself, which would cut a marker in half
    middle, room = np.array([x, y]), 0.985 * reach
    for there, mark in ((inside, "o"), (finite & ~inside, "^")):
        at = np.clip(samples[there], middle - room, middle + room) if mark == "^" else samples[there]
        each = color if isinstance(color, str) else np.asarray(color)[there]
        size = {} if mark == "o" else {"s": max(14.0, look["s"]), "alpha": 0.9}
        axes.scatter(at[:, 0], at[:, 1], c=each, marker=mark, **(look | size))
    _limits(axes, frame)
    return int((finite & ~inside).sum())


def _outside(figure: Figure, count: int, of: int) -> None:
    if count:
        text = f"{count:,} of {of:,} lie outside: triangles at the edge"
        figure.text(0.5, 0.008, text, ha="center", va="bottom", fontsize=7, color=_GRAY)


def _limits(axes: Axes, frame: Frame) -> None:
    x, y, reach = frame
    axes.set(xlim=(x - reach, x + reach), ylim=(y - reach, y + reach))


def _plain(axes: Axes) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="#dddddd", linewidth=0.6)


def _short(name: str, most: int) -> str:
    # long names often differ only at their ends
    end = most // 3
    return name if len(name) <= most else f"{name[: most - end - 1].rstrip()}…{name[-end:].lstrip()}"
