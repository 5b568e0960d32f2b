"""Plots of rows with one number, or with more than three."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ptdiff.pictures.plot import COLORS, pixels
from ptdiff_points2d.paint import Colors, clean, dots, empty_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ptdiff.modality import Array, Image

PAIRS = 8
"""Maximum number of columns that are plotted pairwise."""

_ROWS = 120
_NAMED = 40


def pairs(samples: Array, names: tuple[str, ...], colors: Colors) -> Image:
    """Plot every column of ``samples`` (n, d) against every other, with their histograms on the diagonal."""
    samples, width = _finite(samples), samples.shape[1]
    figure = empty_figure()
    grid = figure.subplots(width, width, squeeze=False, sharex="col")
    figure.subplots_adjust(0.09, 0.08, 0.98, 0.98, 0.12, 0.12)
    look = dots(len(samples))
    for row in range(width):
        for column in range(width):
            axes = grid[row, column]
            if column > row:
                axes.axis("off")
                continue
            clean(axes)
            if row == column:
                axes.hist(samples[:, row], bins=40, color=COLORS[0], alpha=0.85)
                axes.set_yticks([])
            else:
                axes.scatter(samples[:, column], samples[:, row], c=colors.each, **(look | {"s": look["s"] / 2}))
            axes.tick_params(labelsize=6, labelleft=column == 0 and row > 0, labelbottom=row == width - 1)
            if row == width - 1:
                axes.set_xlabel(names[column], fontsize=8, color="#444444")
            if column == 0 and row > 0:
                axes.set_ylabel(names[row], fontsize=8, color="#444444")
    if width > 1:
        colors.write(grid[0, -1])
    return pixels(figure)


def rows(samples: Array, names: tuple[str, ...], total: float | None) -> Image:
    """Plot the first rows of ``samples`` (n, d) as a map, one line each, and statistics of all rows below.

    These are the sums of the rows if they should be ``total``, else mean and standard deviation of the columns.
    """
    samples = _finite(samples)
    figure = empty_figure()
    above, below = figure.add_axes((0.09, 0.36, 0.88, 0.60)), figure.add_axes((0.09, 0.08, 0.88, 0.19))
    clean(above)
    clean(below)
    shown = samples[:_ROWS]
    low, high, colors = 0.0, 1.0, "Blues"
    if total is None:
        # columns of a table have different units
        middle, deviation = _columns(samples)
        shown, low, high, colors = (shown - middle) / deviation, -2.5, 2.5, "RdBu_r"
    if len(shown):
        above.imshow(shown, aspect="auto", interpolation="nearest", cmap=colors, vmin=low, vmax=high)
    above.grid(False)
    above.set_ylabel("sample", fontsize=9, color="#444444")
    if total is None:
        _profile(below, samples, names)
    else:
        above.set_xlabel("column", fontsize=9, color="#444444")
        _sums(below, samples, total)
    return pixels(figure)


def _sums(axes: Axes, samples: Array, total: float) -> None:
    """Plot the sums of the rows, with those of independent coins of the same bias as a line."""
    sums, width = samples.sum(axis=1, dtype=np.float64), samples.shape[1]
    independent = np.sqrt(total * (1 - total / width))
    edges = np.linspace(total - 3.5 * independent, total + 3.5 * independent, 85)
    count = np.histogram(sums, bins=edges)[0]
    # both as high as the axes: only their widths are to be compared
    axes.stairs(count / max(1, count.max()), edges, fill=True, color=COLORS[0], alpha=0.85, label="samples")
    bell = np.exp(-np.square((edges - total) / independent) / 2)
    axes.plot(edges, bell, color=COLORS[1], linewidth=1.4, label="independent coins")
    axes.legend(loc="upper right", fontsize=7, labelcolor="#444444", frameon=False)
    axes.set_yticks([])
    mean, deviation = (float(sums.mean()), float(sums.std())) if len(sums) else (0.0, 0.0)
    axes.set_xlabel(f"sum of a row: {mean:.2f} ± {deviation:.2f}, should be {total:g}", fontsize=9, color="#444444")


def _profile(axes: Axes, samples: Array, names: tuple[str, ...]) -> None:
    middle, deviation = _columns(samples)
    place = np.arange(samples.shape[1])
    axes.fill_between(place, middle - deviation, middle + deviation, color=COLORS[0], alpha=0.25, linewidth=0)
    axes.plot(place, middle, color=COLORS[0], linewidth=1.2)
    axes.set_xlim(-0.5, len(place) - 0.5)
    if len(place) <= _NAMED:
        axes.set_xticks(place, [name[:10] for name in names], rotation=90, fontsize=6)
    axes.set_ylabel("mean ± sd", fontsize=9, color="#444444")


def _columns(samples: Array) -> tuple[Array, Array]:
    if not len(samples):
        return np.zeros(samples.shape[1], np.float32), np.ones(samples.shape[1], np.float32)
    deviation = samples.std(axis=0)
    return samples.mean(axis=0), np.where(deviation > 0, deviation, 1)


def _finite(samples: Array) -> Array:
    return samples[np.isfinite(samples).all(axis=1)]
