"""Visibility in NumPy alone: spheres are drawn into depth buffers pixel by pixel, without any mesh."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptdiff_pointcloud.render.camera import Camera
from ptdiff_pointcloud.render.scene import Floats, Ints, Scene

_CHUNK = 1 << 16  # candidate pixels processed together: as many as fit a cache, which is twice as fast
_NOTHING = np.iinfo(np.int64).max
_ID_BITS = 24
_MAP_CELLS, _COARSEST = 3.0, 0.02  # cells of a shadow map per radius, and the largest cell


@dataclass(frozen=True)
class NumpyVisibility:
    """Spheres drawn into depth buffers, for the camera and for each direction of light."""

    scene: Scene

    def first_hit(self, camera: Camera) -> Ints:
        """Return the index of the nearest sphere at every pixel, (size, size), or -1 if there is none."""
        centers: Floats = ((self.scene.centers - camera.eye) @ camera.axes.T).astype(np.float32)
        nearest = np.full(camera.size * camera.size, _NOTHING, dtype=np.int64)
        left, width = _span(centers[:, 0], centers[:, 2], self.scene.radius, camera)
        top, height = _span(-centers[:, 1], centers[:, 2], self.scene.radius, camera)
        for group, side in _by_side(np.maximum(width, height)):
            _draw(nearest, group, centers[group], self.scene.radius, left[group], top[group], side, camera)
        hit = nearest != _NOTHING
        return np.where(hit, nearest & ((1 << 32) - 1), -1).reshape(camera.size, camera.size)

    def reached(self, points: Floats, owner: Ints, light: Floats) -> npt.NDArray[np.bool_]:
        """Return which of the points (m, 3) parallel light from the unit vector ``light`` reaches: bool (m,)."""
        centers, radius = self.scene.centers, self.scene.radius
        frame = _frame(light)
        flat, height = centers @ frame.T, centers @ light
        low = flat.min(axis=0) - 2 * radius
        size = flat.max(axis=0) + 2 * radius - low
        cell = max(min(radius / _MAP_CELLS, _COARSEST), float(size.max()) / 4096)
        width, depth = (int(n) for n in np.ceil(size / cell))

        # All spheres are equal, so one stencil of offsets, with heights above the center, draws each.
        reach = math.ceil(radius / cell)
        offset = np.arange(-reach, reach + 1)
        across, along = (o.ravel() for o in np.meshgrid(offset, offset))
        cap = radius**2 - (across**2 + along**2) * cell**2
        inside = cap > 0
        base = ((flat - low) / cell).astype(np.int64)
        pixel = (base[:, 1] * width + base[:, 0])[:, None] + (along * width + across)[inside]
        top = height[:, None] + np.sqrt(cap[inside], dtype=np.float32)
        # Height and index in one integer: the largest one tells what the light meets first.
        key = (((top + 4) * (1 << 20)).astype(np.int64) << _ID_BITS) | np.arange(len(centers))[:, None]
        highest = np.full(width * depth, -1, dtype=np.int64)
        np.maximum.at(highest, pixel.ravel(), key.ravel())

        place = ((points @ frame.T - low) / cell).astype(np.int64)
        inside_map = (place[:, 0] >= 0) & (place[:, 0] < width) & (place[:, 1] >= 0) & (place[:, 1] < depth)
        place = np.where(inside_map[:, None], place, 0)
        found = np.where(inside_map, highest[place[:, 1] * width + place[:, 0]], -1)
        above = (found >> _ID_BITS) / (1 << 20) - 4 > points @ light
        shaded: npt.NDArray[np.bool_] = (found >= 0) & above & ((found & ((1 << _ID_BITS) - 1)) != owner)
        return ~shaded


def _span(x: Floats, z: Floats, radius: float, camera: Camera) -> tuple[Ints, Ints]:
    """First pixel and number of pixels that spheres cover along one axis, by tangents from the eye."""
    middle = np.arctan2(x, z)
    half = np.arcsin(np.minimum(radius / np.hypot(x, z), 1))
    first = np.floor(np.tan(middle - half) * camera.focal + camera.size / 2).astype(np.int64)
    last = np.ceil(np.tan(middle + half) * camera.focal + camera.size / 2).astype(np.int64)
    return first, last - first


def _by_side(side: Ints) -> Iterator[tuple[Ints, int]]:
    """Group spheres that cover squares of about equal side, in groups small enough for the memory."""
    for value in np.unique(side):
        members = np.flatnonzero(side == value)
        step = max(1, _CHUNK // int(value) ** 2)
        for start in range(0, len(members), step):
            yield members[start : start + step], int(value)


def _draw(
    nearest: Ints,
    index: Ints,
    centers: Floats,
    radius: float,
    left: Ints,
    top: Ints,
    side: int,
    camera: Camera,
) -> None:
    """Draw spheres, each into its square of the buffer ``nearest`` of depth and index."""
    columns, rows = left[:, None] + np.arange(side), top[:, None] + np.arange(side)
    x = ((columns + 0.5 - camera.size / 2) / camera.focal).astype(np.float32)
    y = (-(rows + 0.5 - camera.size / 2) / camera.focal).astype(np.float32)
    cx, cy, cz = (centers[:, i, None] for i in range(3))
    # With the ray d = (x, y, 1) and its offset (u, v, 0) from the ray through the center c, the distance of
    # the ray from c is |c x d| / |d|; written with u and v, nothing cancels.
    u, v = (x - cx / cz)[:, None, :], (y - cy / cz)[:, :, None]
    length2 = (x * x)[:, None, :] + (y * y + 1)[:, :, None]
    along = (cx * x)[:, None, :] + (cy * y + cz)[:, :, None]
    cross2 = (cz * cz)[:, :, None] * (u * u + v * v) + (cx[:, :, None] * v - cy[:, :, None] * u) ** 2
    inside = radius**2 * length2 - cross2
    hit = inside > 0
    hit &= ((columns >= 0) & (columns < camera.size))[:, None, :]
    hit &= ((rows >= 0) & (rows < camera.size))[:, :, None]
    depth = (along[hit] - np.sqrt(inside[hit])) / length2[hit]
    pixel = (rows[:, :, None] * camera.size + columns[:, None, :])[hit]
    sphere = np.broadcast_to(index[:, None, None], hit.shape)[hit]
    ahead = depth > 0
    # The bits of positive floats are ordered like the floats, so the smallest integer is the nearest sphere.
    key = (depth.astype(np.float32).view(np.int32).astype(np.int64) << 32) | sphere
    np.minimum.at(nearest, pixel[ahead], key[ahead])


def _frame(light: Floats) -> Floats:
    """Two unit vectors (2, 3) that span the plane perpendicular to ``light``."""
    axis = np.eye(3, dtype=np.float32)[np.abs(light).argmin()]
    first = np.cross(light, axis)
    first /= np.linalg.norm(first)
    return np.stack([first, np.cross(light, first)]).astype(np.float32)
