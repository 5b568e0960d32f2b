"""Convex solids with flat faces: Loft and Box, and the outlines that lofts start from."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import trimesh

Outline = tuple[tuple[float, float], ...]
"""Corners (x, z) of a convex polygon, turning from +x to +z."""


@dataclass(frozen=True)
class Loft:
    """A convex polygon extruded along y while it shrinks and shifts: wing, fin, tapered cabin, extruded outline.

    The ``outline`` lies at y = ``base``; ``height`` above, it is scaled by ``taper`` (different in x and z only for an
    axis-aligned rectangle, so that faces stay flat) and moved by ``shift``.
    """

    outline: Outline
    height: float
    taper: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)
    base: float = 0.0

    def mesh(self) -> "trimesh.Trimesh":
        """Return a watertight mesh of exactly this solid."""
        import trimesh

        (a, b), (dx, dz), y = self.taper, self.shift, self.base
        top = [(a * x + dx, y + self.height, b * z + dz) for x, z in self.outline]
        return trimesh.convex.convex_hull(np.array([*((x, y, z) for x, z in self.outline), *top]))


class Box(Loft):
    """A box centered on the origin; ``x``, ``y`` and ``z`` are half its sides."""

    def __init__(self, x: float, y: float, z: float) -> None:
        super().__init__(rectangle(2 * x, 2 * z), 2 * y, base=-y)


def rectangle(width: float, depth: float) -> Outline:
    """Outline of a rectangle, ``width`` along x and ``depth`` along z, centered on the origin."""
    x, z = width / 2, depth / 2
    return ((-x, -z), (x, -z), (x, z), (-x, z))


def rounded(width: float, depth: float, corner: float) -> Outline:
    """Outline of a rectangle whose corners are cut off at ``corner`` from each end of its sides."""
    x, z, cut_x, cut_z = width / 2, depth / 2, width / 2 - corner, depth / 2 - corner
    right, left = (
        ((cut_x, -z), (x, -cut_z), (x, cut_z), (cut_x, z)),
        ((-cut_x, z), (-x, cut_z), (-x, -cut_z), (-cut_x, -z)),
    )
    return right + left


def oval(width: float, depth: float, corners: int = 20) -> Outline:
    """Outline of a regular polygon with ``corners`` corners, stretched to ``width`` and ``depth``: round or oval."""
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return tuple((width / 2 * math.cos(a), depth / 2 * math.sin(a)) for a in angles)
