"""Colors, dots, axes and empty figures, shared by all plots of points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ptdiff.pictures.plot import COLORS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES, _DPI = 6.0, 120


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


def clean(axes: Axes) -> None:
    """Apply a light frame, ticks and grid."""
    axes.tick_params(colors="#888888", labelsize=8, width=0.6, length=3)
    axes.grid(color="#eeeeee", linewidth=0.6)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set(color="#cccccc", linewidth=0.6)
