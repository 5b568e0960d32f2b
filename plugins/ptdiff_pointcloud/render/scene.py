"""The scene: a cloud as spheres standing on a ground plane, in normalized coordinates.

The origin is the center of the cloud's bounding sphere, whose radius (spheres included) is 1. +Y is up and the front of
a shape faces -Z.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

# Fraction of the points that framing and ground may ignore as outliers.
_STRAY = 1 / 200
_LARGEST = 0.35
_FAR = 3.0


@dataclass(frozen=True)
class Scene:
    """Spheres at ``centers`` (n, 3) of one ``radius`` with linear-light ``albedo`` (n, 3), above y = ``ground``."""

    centers: Floats
    radius: float
    albedo: Floats
    ground: float


def make_scene(points: npt.ArrayLike, colors: npt.ArrayLike | None, radius: float | None) -> Scene:
    """Return the scene of points (n, 3), sRGB colors (n, 3) in [0, 1] and a radius in the units of the points.

    Outliers three times as far from the center as the cloud reaches are left out: they lie outside the image, or so
    near the camera that they would hide the cloud.

    Raises:
        ValueError: wrong shapes, no points, points or colors not finite, a radius that is not positive.
    """
    cloud = _checked(points, "points")
    if radius is not None and not (np.isfinite(radius) and radius > 0):
        raise ValueError(f"radius must be positive, not {radius}")
    center, scale, share = framed(cloud, radius)
    centers = (cloud - center) / scale
    if colors is None:
        tint = position_colors(cloud)
    else:
        tint = _checked(colors, "colors")
        if tint.shape != cloud.shape:
            raise ValueError(f"{len(tint)} colors for {len(cloud)} points")
        if tint.min() < 0 or tint.max() > 1:
            raise ValueError(f"colors must lie in [0, 1], not in [{tint.min():g}, {tint.max():g}]")
    ground = _floor(centers[:, 1]) - share
    near = np.linalg.norm(centers, axis=1) < _FAR
    return Scene(centers[near].astype(np.float32), share, to_linear(tint[near]), ground)


def framed(
    points: npt.NDArray[np.float64], radius: float | None = None
) -> tuple[npt.NDArray[np.float64], float, float]:
    """Return center (3,) and scale of a scene's coordinates, and the radius of its spheres in them.

    radius: of the spheres in the units of the points; by default smaller for denser clouds.
    """
    center, extent = _bounding_sphere(points)
    size = default_radius(len(points)) * (extent or 1.0) if radius is None else radius
    # a single point, or huge spheres, must not fill the whole image
    scale = max(extent + size, size / _LARGEST)
    return center, scale, size / scale


def default_radius(count: int) -> float:
    """Radius of a sphere relative to the radius of the cloud: denser clouds get smaller spheres."""
    return float(min(0.14, 0.036 * (2048 / count) ** 0.42))


def position_colors(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return sRGB colors (n, 3) by position: x, y, z over the bounding box as red, green, blue of unit length.

    The look of PointFlow's figures (Yang et al. 2019).
    """
    low, high = np.quantile(points, (_STRAY, 1 - _STRAY), axis=0)
    # a thin shape keeps calm colors across: the full range takes at least this fraction of the longest side
    span = np.maximum(high - low, 0.4 * (high - low).max())
    place = (points - (low + high) / 2) / np.where(span > 0, span, 1) + 0.5
    rgb = (0.2 + 0.8 * np.clip(place, 0, 1)) ** 1.2
    return rgb / np.linalg.norm(rgb, axis=1, keepdims=True)  # type: ignore[no-any-return]


def to_linear(color: npt.NDArray[np.floating]) -> Floats:
    """Convert sRGB in [0, 1] to linear light (IEC 61966-2-1)."""
    return np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4).astype(np.float32)


def to_srgb(light: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Convert linear light, clipped to [0, 1], to sRGB bytes."""
    step = np.arange(1 << 14) / ((1 << 14) - 1)
    encoded = np.where(step <= 0.0031308, step * 12.92, 1.055 * step ** (1 / 2.4) - 0.055)
    table: npt.NDArray[np.uint8] = (encoded * 255 + 0.5).astype(np.uint8)
    image: npt.NDArray[np.uint8] = table[(np.clip(light, 0, 1) * ((1 << 14) - 1) + 0.5).astype(np.int16)]
    return image


def _checked(array: npt.ArrayLike, name: str) -> npt.NDArray[np.float64]:
    values = np.asarray(array, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != 3 or len(values) == 0:
        raise ValueError(f"{name} must have shape (n, 3) with n >= 1, not {values.shape}")
    bad = len(values) - int(np.isfinite(values).all(axis=1).sum())
    if bad:
        raise ValueError(f"{bad} of {len(values)} {name} are not finite")
    return values


def _bounding_sphere(points: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], float]:
    """Center and radius of a sphere around all points, or all but distant outliers.

    The center is that of the smallest sphere around the inner points (Badoiu and Clarkson 2003: step toward the
    farthest point by 1, 1/2, 1/3, ...).
    """
    middle = np.median(points, axis=0)
    distance = np.linalg.norm(points - middle, axis=1)
    reach = float(np.quantile(distance, 1 - _STRAY, method="higher"))
    inner = points[distance <= 1.5 * reach]
    center = (inner.min(axis=0) + inner.max(axis=0)) / 2
    for step in range(2, 60):
        offset = inner - center
        farthest = int(np.einsum("ij,ij->i", offset, offset).argmax())
        center = center + offset[farthest] / (step + 1)
    return center, float(np.linalg.norm(inner - center, axis=1).max())


def _floor(heights: npt.NDArray[np.float64]) -> float:
    """Height of the lowest centers, ignoring centers far below nearly all others."""
    usual = float(np.quantile(heights, _STRAY, method="lower"))
    lowest = float(heights.min())
    return lowest if usual - lowest < 0.06 else usual
