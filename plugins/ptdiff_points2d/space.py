"""Plots of points in space."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptdiff.pictures.plot import pixels
from ptdiff_points2d.paint import Colors, dots, empty_figure
from ptdiff_points2d.source import Frame

if TYPE_CHECKING:
    from ptdiff.modality import Array, Image

_ELEVATION, _TURN = 12, -80


def scatter(samples: Array, frame: Frame, colors: Colors, turn: float = 0.0) -> Image:
    """Plot ``samples`` (n, 3), a dot each, paler at the back; seen from slightly above, turned by ``turn`` degrees."""
    figure = empty_figure()
    axes: Any = figure.add_axes((-0.04, -0.02, 1.06, 1.06), projection="3d", elev=_ELEVATION, azim=_TURN + turn)
    _draw(axes, samples, frame, colors, dots(len(samples)))
    axes.tick_params(colors="#888888", labelsize=7)
    for name, axis in zip("xyz", (axes.xaxis, axes.yaxis, axes.zaxis), strict=True):
        axis.set_pane_color((0.97, 0.97, 0.97, 1.0))
        axis.line.set_color("#cccccc")
        axis._axinfo["grid"].update(color="#e4e4e4", linewidth=0.6)
        axis.set_label_text(name, color="#666666", size=9)
    colors.write(axes)
    return pixels(figure)


def bare(samples: Array, frame: Frame, colors: Colors, side: int) -> Image:
    """Plot the points without axes, as ``side`` x ``side`` pixels."""
    figure = empty_figure(side)
    axes: Any = figure.add_axes((-0.15, -0.15, 1.3, 1.3), projection="3d", elev=_ELEVATION, azim=_TURN)
    _draw(axes, samples, frame, colors, dots(len(samples), side))
    axes.set_axis_off()
    return pixels(figure)


def _draw(axes: Any, samples: Array, frame: Frame, colors: Colors, look: dict[str, Any]) -> None:
    *center, reach = frame
    axes.scatter(*samples.T, c=colors.each, depthshade=True, **look)
    for name, middle in zip("xyz", center, strict=True):
        axes.set(**{f"{name}lim": (middle - reach, middle + reach)})
    axes.set_box_aspect((1, 1, 1))
