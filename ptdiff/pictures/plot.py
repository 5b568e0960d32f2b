"""The style of plots, and their conversion to images.

A plot function fills a matplotlib Figure; :func:`picture` turns it into a function that returns the pixels.  Nothing
here uses pyplot or changes matplotlib's settings.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import numpy as np

from ptdiff.pictures.files import Picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

P = ParamSpec("P")
Drawing = Callable[Concatenate["Figure", P], None]

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
INK, FAINT = "#333333", "#8a8a8a"
DPI = 150

STYLE: dict[str, str | float] = {
    "axes.edgecolor": "#bbbbbb",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 10,
    "axes.titlepad": 6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.constrained_layout.h_pad": 0.09,
    "figure.constrained_layout.w_pad": 0.09,
    "figure.facecolor": "white",
    "font.size": 9,
    "grid.color": "#ececec",
    "grid.linewidth": 0.8,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
    "mathtext.fontset": "dejavusans",
    "xtick.color": "#bbbbbb",
    "xtick.labelcolor": "#666666",
    "xtick.labelsize": 8.5,
    "ytick.color": "#bbbbbb",
    "ytick.labelcolor": "#666666",
    "ytick.labelsize": 8.5,
}


def picture(height: float, width: float = 8.0) -> Callable[[Drawing[P]], Callable[P, Picture]]:
    """Turn a plot function ``f(figure, *args)`` into ``f(*args) -> Picture``, an image of this size at 150 dpi.

    ``height``, ``width``: in inches.  The original function remains available as ``__wrapped__``.
    """

    def made(drawing: Drawing[P]) -> Callable[P, Picture]:
        @functools.wraps(drawing)
        def drawn(*args: P.args, **kwargs: P.kwargs) -> Picture:
            from matplotlib import style
            from matplotlib.figure import Figure

            # an image must not depend on the user's matplotlib settings
            with style.context(STYLE, after_reset=True):
                figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
                drawing(figure, *args, **kwargs)
                return pixels(figure)

        return drawn

    return made


def pixels(figure: Figure) -> Picture:
    """Render a figure as an RGB image, uint8 (height, width, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    found: Picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
    return found


def density_map(color: str = COLORS[0]) -> LinearSegmentedColormap:
    """Color map from white through ``color`` to its dark shade, for densities that are mostly zero."""
    from matplotlib.colors import LinearSegmentedColormap, to_rgb

    red, green, blue = to_rgb(color)
    stops = [(0.0, (1.0, 1.0, 1.0)), (0.6, (red, green, blue)), (1.0, (0.35 * red, 0.35 * green, 0.35 * blue))]
    return LinearSegmentedColormap.from_list("density", stops)


def legend_below(figure: Figure, axes: Axes, columns: int) -> None:
    """Draw one legend for all panels, with the entries of ``axes``."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=2.6)


def plane(axes: Axes, center: tuple[float, float], reach: float) -> None:
    """Show a square of the plane without ticks; ``center`` is its center, ``reach`` half its side."""
    axes.set(xlim=(center[0] - reach, center[0] + reach), ylim=(center[1] - reach, center[1] + reach))
    axes.set(aspect="equal", xticks=[], yticks=[])
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set(visible=True, color="#d0d0d0")
