"""Colors of pixels from what they see, in linear light: shaded spheres, and a ground that fades to white."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptdiff_pointcloud.render.camera import Camera
from ptdiff_pointcloud.render.light import GatheredLight, Light, sphere_to_octahedron
from ptdiff_pointcloud.render.scene import Floats, Ints, Scene

_CHUNK = 1 << 14  # pixels processed together: as many as fit a cache
_KEY, _AMBIENT = 1.05, 0.72  # on a surface that faces them
_BOUNCE, _FLOOR = 1.6, 0.1  # light reflected by other spheres brightens crevices, and none is black
_SHEEN, _GLOSS = 0.10, 24
_SHADOW, _CONTACT = 0.50, 0.55  # fraction of the ground's white due to key and ambient light


@dataclass(frozen=True)
class VisibleSurface:
    """Pixels that see spheres: flat index (m,), sphere (m,), normal (m, 3), direction to the eye (m, 3)."""

    pixel: Ints
    sphere: Ints
    normal: Floats
    toward_eye: Floats


def surfaces(scene: Scene, camera: Camera, hits: Ints) -> Iterator[VisibleSurface]:
    """Yield exact normals where the rays of pixels meet the spheres found by an engine, some pixels at a time."""
    found = np.flatnonzero(hits.ravel() >= 0)
    for first in range(0, len(found), _CHUNK):
        pixel = found[first : first + _CHUNK]
        yield _surface(scene, camera, pixel, hits.ravel()[pixel])


def _surface(scene: Scene, camera: Camera, pixel: Ints, sphere: Ints) -> VisibleSurface:
    rays = camera.through(*np.divmod(pixel, camera.size))
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    offset = camera.eye - scene.centers[sphere]
    along = np.einsum("ij,ij->i", offset, rays)
    closest = offset - along[:, None] * rays
    # A sphere's mesh may be hit where the sphere itself is just missed: use its rim there.
    back = np.sqrt(np.maximum(scene.radius**2 - np.einsum("ij,ij->i", closest, closest), 0))
    normal = closest - back[:, None] * rays
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return VisibleSurface(pixel, sphere, normal, -rays)


def nodes_of(parts: Iterable[VisibleSurface], count: int, cells: int) -> npt.NDArray[np.bool_]:
    """Mark the light nodes (count, cells + 1, cells + 1) that the visible surfaces need."""
    needed = np.zeros((count, cells + 1, cells + 1), dtype=bool)
    for seen in parts:
        row, column, _, _ = _place(seen.normal, cells)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            needed[seen.sphere, row + i, column + j] = True
    return needed


def shade_spheres(scene: Scene, seen: VisibleSurface, light: Light, gathered: GatheredLight) -> Floats:
    """Return the light (m, 3) that the visible surface sends to the eye."""
    place = _place(seen.normal, gathered.key.shape[1] - 1)
    key = _interpolate(gathered.key, seen.sphere, *place)
    ambient = _interpolate(gathered.ambient, seen.sphere, *place)
    facing = np.maximum(seen.normal @ light.toward, 0)
    half = light.toward + seen.toward_eye
    half /= np.linalg.norm(half, axis=1, keepdims=True)
    sheen = np.maximum(np.einsum("ij,ij->i", seen.normal, half), 0) ** _GLOSS
    # The white ground reflects light from below, a little less than comes from above.
    glow = 0.86 + 0.14 * seen.normal[:, 1]
    ambient = _FLOOR + (1 - _FLOOR) * (1 - (1 - ambient) ** _BOUNCE)
    diffuse = _KEY * key * facing + _AMBIENT * ambient * glow
    shaded: Floats = scene.albedo[seen.sphere] * diffuse[:, None] + (_SHEEN * key * sheen)[:, None]
    return shaded


def shade_ground(scene: Scene, camera: Camera, gathered: GatheredLight) -> Floats:
    """Return the light (size, size) from the ground: exactly 1 (white) outside shadows, and beyond the ground."""
    drop = camera.eye[1] - scene.ground
    brightness = np.ones((camera.size, camera.size), dtype=np.float32)
    if drop <= 0:
        return brightness
    rows = max(1, _CHUNK // camera.size)
    for first in range(0, camera.size, rows):
        rays = camera.through(*np.ogrid[first : min(first + rows, camera.size), : camera.size])
        brightness[first : first + rows] = _ground(rays, drop, camera, gathered)
    return 1 - _fade(camera.size) * (1 - brightness)


def _ground(rays: Floats, drop: float, camera: Camera, gathered: GatheredLight) -> Floats:
    brightness = np.ones(rays.shape[:2], dtype=np.float32)
    down = rays[..., 1] < -1e-3
    ahead = rays[down]
    distance = drop / -ahead[:, 1]
    place = camera.eye[[0, 2]] + distance[:, None] * ahead[:, [0, 2]]
    within = np.clip((place - gathered.low) / (gathered.high - gathered.low), 0, 1)
    key, ambient = (_on_ground(grid, within) for grid in (gathered.ground_key, gathered.ground_ambient))
    brightness[down] = 1 - _SHADOW * (1 - key) - (1 - _SHADOW) * _CONTACT * (1 - ambient)
    return brightness


def _fade(size: int) -> Floats:
    """Fade weights: 1 in the middle of the image, falling smoothly to 0 at its border."""
    line = np.abs(np.arange(size) + 0.5 - size / 2) / (size / 2)
    room = np.clip((1 - np.maximum(line[:, None], line)) / 0.3, 0, 1)
    smooth: Floats = (room * room * (3 - 2 * room)).astype(np.float32)
    return smooth


def _on_ground(grid: Floats, within: Floats) -> Floats:
    cells = len(grid) - 1
    at = within * np.float32(cells)
    column, row = np.minimum(at.astype(np.int64), cells - 1).T
    return _interpolate(grid[None], 0, row, column, at[:, 1] - row, at[:, 0] - column)


def _place(normals: Floats, cells: int) -> tuple[Ints, Ints, Floats, Floats]:
    """Row and column of the grid cell of a normal, and its position in that cell."""
    u, v = ((coordinate + 1) / 2 * cells for coordinate in sphere_to_octahedron(normals))
    row, column = (np.clip(w.astype(np.int64), 0, cells - 1) for w in (u, v))
    return row, column, (u - row).astype(np.float32), (v - column).astype(np.float32)


def _interpolate(grids: Floats, which: Ints | int, row: Ints, column: Ints, p: Floats, q: Floats) -> Floats:
    near = grids[which, row, column] * (1 - q) + grids[which, row, column + 1] * q
    far = grids[which, row + 1, column] * (1 - q) + grids[which, row + 1, column + 1] * q
    mixed: Floats = near * (1 - p) + far * p
    return mixed
