"""Molecules as balls and sticks, seen along the direction in which they are flattest."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ptdiff.modality import Visualizer
from ptdiff_molecules.chemistry import RADII, Molecule
from ptdiff_molecules.files import of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ptdiff.modality import Array, Image

COLORS = ("#f4f4f4", "#5c6670", "#2a6fb0", "#c8452f", "#2f9e74", "#e0b01e", "#7cc48a")
"""Hydrogen white, carbon gray, nitrogen blue, oxygen red, fluorine and chlorine green, sulfur yellow."""

INK, FAINT, REFUSED = "#333333", "#8a8a8a", "#c8452f"
SIDE, DPI = 1.7, 120

BELOW = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


class BallsAndSticks(Visualizer):
    """A grid of molecules on one scale, each with its formula; below a molecule that is not valid stands why."""

    many = 20

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """One image of all molecules."""
        return self._grid(samples, titles, 0.0)

    def turntable(self, samples: Array, titles: Sequence[str], frames: int = 36) -> list[Image]:
        """Images of the molecules, rotated once around the vertical axis."""
        return [self._grid(samples, titles, 2 * math.pi * i / frames) for i in range(frames)]

    def _grid(self, samples: Array, titles: Sequence[str], angle: float) -> Image:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        made = [of(np.asarray(one)) for one in samples]
        columns = max(1, min(len(made), math.ceil(math.sqrt(1.25 * len(made)))))
        rows = math.ceil(len(made) / columns)
        figure = Figure(figsize=(SIDE * columns, SIDE * rows), dpi=DPI, facecolor="white")
        seen = [_turned(one.positions, angle) for one in made]
        # the widest molecules but for the last ones, whose atoms may be far away
        extents = [float(np.abs(at[:, :2]).max()) for at in seen]
        reach = float(np.quantile(extents, 0.95)) + 0.6 if extents else 1.0
        for i, (one, at) in enumerate(zip(made, seen, strict=True)):
            left, top = i % columns, i // columns
            axes = figure.add_axes((left / columns, 1 - (top + 1) / rows, 1 / columns, 1 / rows))
            axes.set(xlim=(-reach, reach), ylim=(-1.2 * reach, 0.8 * reach), aspect="equal")
            axes.axis("off")
            _balls(axes, one, at, reach)
            label = titles[i] if i < len(titles) and titles[i] else one.formula.translate(BELOW)
            # a title may be any text, so none of it is mathematics
            below: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "parse_math": False}
            axes.text(0.5, 0.09, label, fontsize=8, color=INK, **below)
            if not one.valid:
                axes.text(0.5, 0.015, fault(one), fontsize=6, color=REFUSED, **below)
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def fault(one: Molecule) -> str:
    """Why a molecule is not valid, in a few words."""
    if one.clash:
        return "atoms overlap"
    if not one.connected:
        return "in pieces"
    wrong = int((~one.stable).sum())
    return f"{wrong} wrong valence{'s' if wrong > 1 else ''}"


def ball(elements: npt.ArrayLike) -> npt.NDArray[np.floating]:
    """Radii of the balls of elements, in Å."""
    return np.asarray(0.22 + 0.2 * RADII[np.asarray(elements)])


def _turned(positions: npt.NDArray[np.floating], angle: float) -> npt.NDArray[np.floating]:
    """Positions (n, 3) with the widest direction along x and the flattest along z, turned around y."""
    centered = positions - positions.mean(axis=0)
    _, _, axes = np.linalg.svd(centered, full_matrices=False) if len(centered) >= 3 else (0, 0, np.eye(3))
    # axes of a molecule have no sign; this one is the same for the same molecule
    axes = axes * np.where(axes[np.arange(3), np.abs(axes).argmax(axis=1)] < 0, -1, 1)[:, None]
    x, y, z = (centered @ axes.T).T
    return np.stack([math.cos(angle) * x + math.sin(angle) * z, y, math.cos(angle) * z - math.sin(angle) * x], axis=1)


def _balls(axes: Axes, one: Molecule, at: npt.NDArray[np.floating], reach: float) -> None:
    """Balls and sticks from back to front."""
    points = SIDE * 72 / (2 * reach)
    parts: list[tuple[float, Any]] = []
    for i, j in np.argwhere(np.triu(one.orders)):
        parts.append((float(at[[i, j], 2].mean()), (int(i), int(j))))
    parts += [(float(at[i, 2]) + 0.01, i) for i in range(len(at))]
    for depth, part in sorted(parts, key=lambda each: each[0]):
        if isinstance(part, tuple):
            ends = at[list(part)]
            along = (ends[1] - ends[0]) / max(float(np.linalg.norm(ends[1] - ends[0])), 1e-9)
            radii = ball(one.elements[list(part)])
            # from surface to surface, so that no stick lies on a ball
            shown = ends + 0.9 * np.stack([radii[0] * along, -radii[1] * along])
            _stick(axes, shown[:, :2], int(one.orders[part]), points, depth)
        else:
            kind = int(one.elements[part])
            edge = REFUSED if not one.stable[part] else "#707070"
            axes.scatter(
                *at[part, :2],
                s=(2 * float(ball(kind)) * points) ** 2,
                c=COLORS[kind],
                edgecolors=edge,
                linewidths=1.1 if not one.stable[part] else 0.5,
                zorder=2 + depth / 100,
            )


def _stick(axes: Axes, ends: npt.NDArray[np.floating], order: int, points: float, depth: float) -> None:
    along = ends[1] - ends[0]
    length = float(np.linalg.norm(along))
    across = np.array([-along[1], along[0]]) / max(length, 1e-9)
    for place in np.arange(order) - (order - 1) / 2:
        x, y = (ends + 0.13 * place * across).T
        axes.plot(x, y, color=FAINT, linewidth=max(0.6, 0.1 * points), solid_capstyle="round", zorder=2 + depth / 100)
