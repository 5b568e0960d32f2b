"""Renders of point clouds: shaded spheres on a white ground, alone or on a turntable."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from ptdiff_pointcloud.render.camera import Camera, orbit
from ptdiff_pointcloud.render.light import GatheredLight, Light, cells_per_sphere, gather, studio
from ptdiff_pointcloud.render.scene import Scene, make_scene, to_srgb
from ptdiff_pointcloud.render.shading import VisibleSurface, nodes_of, shade_ground, shade_spheres, surfaces
from ptdiff_pointcloud.render.spheres_numpy import NumpyVisibility
from ptdiff_pointcloud.render.spheres_open3d import Open3DVisibility
from ptdiff_pointcloud.render.visibility import Visibility

Engine = Literal["numpy", "open3d"]
Picture = npt.NDArray[np.uint8]

AZIMUTH, ELEVATION = 38.0, 26.0


def render_cloud(
    points: npt.ArrayLike,
    *,
    size: int = 512,
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
    colors: npt.ArrayLike | None = None,
    radius: float | None = None,
    engine: Engine = "numpy",
    supersample: int = 2,
) -> Picture:
    """Render a cloud (n, 3) with +Y up and its front toward -Z as an image (size, size, 3), uint8 RGB.

    The camera is at ``azimuth`` degrees (0 sees the front, 90 the shape's own right side, +X) and at ``elevation``
    degrees above the horizon. ``colors`` (n, 3) are sRGB in [0, 1], by default from the position; the ``radius`` of the
    spheres is in the units of the points, by default smaller for denser clouds. Both engines give the same image; NumPy
    is faster, from one point to 100,000, and needs nothing else. Each pixel is the mean of ``supersample`` squared
    rays.

    Raises:
        ValueError: points of another shape or not finite (with their count), or an option out of range.
        ImportError: engine "open3d" if Open3D cannot be imported.
    """
    scene = make_scene(points, colors, radius)
    visibility = _visibility(scene, engine)
    light = studio(azimuth, len(scene.centers))
    camera, fine = _cameras(azimuth, elevation, size, supersample)
    seen = list(surfaces(scene, fine, visibility.first_hit(fine)))
    count = len(scene.centers)
    gathered = gather(scene, light, visibility, nodes_of(seen, count, cells_per_sphere(count)))
    return _develop(scene, camera, fine, seen, light, gathered)


def turntable(
    points: npt.ArrayLike,
    *,
    frames: int = 36,
    size: int = 400,
    azimuth: float = AZIMUTH,
    elevation: float = ELEVATION,
    colors: npt.ArrayLike | None = None,
    radius: float | None = None,
    engine: Engine = "numpy",
    supersample: int = 2,
) -> Iterator[Picture]:
    """Render a cloud, image by image, from a camera that circles it once in ``frames`` steps, starting at ``azimuth``.

    Framing, colors and light stay fixed; see ``render_cloud`` for the rest.
    """
    if frames < 1:
        raise ValueError(f"a turntable needs at least one frame, not {frames}")
    scene = make_scene(points, colors, radius)
    visibility = _visibility(scene, engine)
    light = studio(azimuth, len(scene.centers))
    nodes = cells_per_sphere(len(scene.centers)) + 1
    everywhere = np.ones((len(scene.centers), nodes, nodes), dtype=bool)
    gathered = gather(scene, light, visibility, everywhere)
    for frame in range(frames):
        camera, fine = _cameras(azimuth + 360 * frame / frames, elevation, size, supersample)
        seen = surfaces(scene, fine, visibility.first_hit(fine))
        yield _develop(scene, camera, fine, seen, light, gathered)


def _visibility(scene: Scene, engine: Engine) -> Visibility:
    if engine == "numpy":
        return NumpyVisibility(scene)
    if engine == "open3d":
        return Open3DVisibility(scene)
    raise ValueError(f"unknown engine {engine!r}: choose numpy or open3d")


def _cameras(azimuth: float, elevation: float, size: int, supersample: int) -> tuple[Camera, Camera]:
    """Return the camera of the image and its supersampled twin."""
    if size < 1 or supersample < 1:
        raise ValueError(f"size and supersample must be at least 1, not {size} and {supersample}")
    return orbit(azimuth, elevation, size), orbit(azimuth, elevation, size * supersample)


def _develop(
    scene: Scene, camera: Camera, fine: Camera, parts: Iterable[VisibleSurface], light: Light, gathered: GatheredLight
) -> Picture:
    """Composite the shaded spheres over the ground, averaging fine pixels in linear light."""
    block, area = fine.size // camera.size, camera.size**2
    # the light of the spheres in three colors, and the pixels that see the ground
    sums, covered = np.zeros((3, area)), np.zeros(area)
    for seen in parts:
        row, column = seen.pixel // fine.size // block, seen.pixel % fine.size // block
        coarse = row * camera.size + column
        low, high = int(coarse.min()), int(coarse.max()) + 1
        shaded = np.clip(shade_spheres(scene, seen, light, gathered), 0, 1)
        covered[low:high] += np.bincount(coarse - low, minlength=high - low)
        for color in range(3):
            sums[color, low:high] += np.bincount(coarse - low, shaded[:, color], minlength=high - low)
    ground = (1 - covered / block**2) * shade_ground(scene, camera, gathered).ravel()
    picture = sums / block**2 + ground
    return to_srgb(picture.T.reshape(camera.size, camera.size, 3))
