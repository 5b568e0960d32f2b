"""The camera: a perspective view of the unit sphere around the origin."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ptdiff_pointcloud.render.scene import Floats, Ints

_FIELD = math.radians(24)
_MARGIN = 1.08


@dataclass(frozen=True)
class Camera:
    """A square image of ``size`` pixels per side, seen from ``eye`` (3,) along the third row of ``axes`` (3, 3).

    The rows of ``axes`` are the directions right, up and forward in scene coordinates. The pixel in row i and column j
    looks along ``right * x + up * y + forward`` with x = (j + 1/2 - size/2) / focal and y = -(i + 1/2 - size/2) /
    focal.
    """

    eye: Floats
    axes: Floats
    size: int
    focal: float

    def pixels(self, first: int, last: int) -> Floats:
        """Return the coordinate x of the pixel columns first, ..., last - 1."""
        return ((np.arange(first, last) + 0.5 - self.size / 2) / self.focal).astype(np.float32)

    def directions(self) -> Floats:
        """Return directions (size, size, 3) through the pixels in scene coordinates, with forward component 1."""
        return self.through(*np.indices((self.size, self.size), sparse=True))

    def through(self, row: Ints, column: Ints) -> Floats:
        """Return directions (..., 3) through some of the pixels."""
        x = self.pixels(0, self.size)
        right, up, forward = self.axes
        rays: Floats = x[column][..., None] * right - x[row][..., None] * up + forward
        return rays


def direction(azimuth: float, elevation: float) -> Floats:
    """Unit vector for angles in degrees: azimuth 0 is the front (-Z), 90 the shape's own right side (+X)."""
    a, e = math.radians(azimuth), math.radians(elevation)
    return np.array([math.sin(a) * math.cos(e), math.sin(e), -math.cos(a) * math.cos(e)], dtype=np.float32)


def orbit(azimuth: float, elevation: float, size: int) -> Camera:
    """Return the camera in ``direction(azimuth, elevation)`` that just sees the whole unit sphere.

    Raises ValueError for an elevation outside (-90, 90).
    """
    if not (math.isfinite(azimuth) and abs(elevation) < 90):
        raise ValueError(f"no camera at azimuth {azimuth} and elevation {elevation}, which lies in (-90, 90)")
    away = direction(azimuth, elevation)
    right = np.cross(-away, (0.0, 1.0, 0.0))
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(right, -away), -away]).astype(np.float32)
    eye = away * np.float32(_MARGIN / math.sin(_FIELD / 2))
    return Camera(eye, axes, size, size / 2 / math.tan(_FIELD / 2))
