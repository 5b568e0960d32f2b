"""Visibility by ray casting: Open3D's `RaycastingScene` (Embree), which needs no GL, Vulkan or display."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .camera import Camera
from .scene import Floats, Ints, Scene


class Open3DVisibility:
    """Spheres as one triangle mesh. Raises ImportError where Open3D or one of its libraries is missing."""

    def __init__(self, scene: Scene) -> None:
        import open3d

        count = len(scene.centers)
        vertices, triangles = _ball(0 if count > 20000 else 1 if count > 4096 else 2 if count > 64 else 4)
        self._faces = len(triangles)
        mesh = (scene.centers[:, None, :] + vertices * np.float32(scene.radius)).reshape(-1, 3)
        index = (np.arange(count)[:, None, None] * len(vertices) + triangles).reshape(-1, 3)
        self._tensor: Any = open3d.core.Tensor
        self._rays: Any = open3d.t.geometry.RaycastingScene()
        self._rays.add_triangles(self._tensor(mesh), self._tensor(index.astype(np.uint32)))
        self._offset = 0.08 * scene.radius
        self._centers = scene.centers

    def first_hit(self, camera: Camera) -> Ints:
        rays = np.empty((camera.size, camera.size, 6), dtype=np.float32)
        rays[..., :3] = camera.eye
        rays[..., 3:] = camera.directions()
        hits = self._rays.cast_rays(self._tensor(rays))
        face = hits["primitive_ids"].numpy()
        return np.where(np.isfinite(hits["t_hit"].numpy()), (face // self._faces).astype(np.int64), -1)

    def reached(self, points: Floats, owner: Ints, light: Floats) -> npt.NDArray[np.bool_]:
        rays = np.empty((len(points), 6), dtype=np.float32)
        outward = points - self._centers[owner]
        outward *= (owner >= 0)[:, None] * self._offset / np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-12)
        rays[:, :3] = points + outward
        rays[:, 3:] = light
        return ~self._rays.test_occlusions(self._tensor(rays)).numpy()  # type: ignore[no-any-return]


def _ball(subdivisions: int) -> tuple[Floats, Ints]:
    """An icosahedron whose faces are split in four `subdivisions` times, of the area of the unit sphere's shadow."""
    phi = (1 + 5**0.5) / 2
    corners = [(0, s, t * phi) for s in (-1, 1) for t in (-1, 1)]
    vertices = np.array([np.roll(c, k) for k in range(3) for c in corners], dtype=np.float64)
    vertices /= np.linalg.norm(vertices[0])
    near = np.linalg.norm(vertices[:, None] - vertices[None], axis=2) < 1.1
    faces = [(i, j, k) for i in range(12) for j in range(i) for k in range(j) if near[i, j] and near[j, k] and near[i, k]]
    corner = vertices[np.array(faces)]
    for _ in range(subdivisions):
        a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]
        ab, bc, ca = a + b, b + c, c + a
        corner = np.concatenate([np.stack(f, axis=1) for f in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
        corner /= np.linalg.norm(corner, axis=2, keepdims=True)
    points, index = np.unique(corner.reshape(-1, 3).round(9), axis=0, return_inverse=True)
    # A convex body's mean shadow is a quarter of its surface (Cauchy): make it that of the sphere.
    area = np.linalg.norm(np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]), axis=1).sum() / 2
    return (points * (4 * np.pi / area) ** 0.5).astype(np.float32), index.reshape(-1, 3)
