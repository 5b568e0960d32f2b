"""Visibility by ray casting with Open3D's ``RaycastingScene`` (Embree), which needs no GL, Vulkan or display."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_pointcloud.render.camera import Camera
from ptdiff_pointcloud.render.scene import Floats, Ints, Scene


class Open3DVisibility:
    """Spheres as one triangle mesh. Raises ImportError if Open3D or one of its libraries is missing."""

    def __init__(self, scene: Scene) -> None:
        import open3d

        count = len(scene.centers)
        # Many spheres are small in the image: fewer faces suffice.
        vertices, triangles = _ball(0 if count > 20000 else 1 if count > 1024 else 2 if count > 64 else 4)
        mesh = (scene.centers[:, None, :] + vertices * np.float32(scene.radius)).reshape(-1, 3)
        index = (np.arange(count)[:, None, None] * len(vertices) + triangles).reshape(-1, 3)
        self._tensor: Any = open3d.core.Tensor.from_numpy
        self._scene: Any = open3d.t.geometry.RaycastingScene()
        self._scene.add_triangles(self._tensor(mesh), self._tensor(index.astype(np.uint32)))
        self._faces = len(triangles)
        self._radius = scene.radius

    def first_hit(self, camera: Camera) -> Ints:
        """Return the index of the nearest sphere at every pixel, (size, size), or -1 if there is none."""
        directions = camera.directions()
        if self._radius * camera.focal < 4 * np.linalg.norm(camera.eye):
            return self._cast(camera.eye, directions)
        # Spheres are several pixels wide: if four neighboring rays see the same one, so does the ray between them.
        lattice = self._cast(camera.eye, directions[::2, ::2])
        ahead = np.pad(lattice, ((0, 1), (0, 1)), mode="edge")
        same = (lattice == ahead[1:, 1:]) & (lattice == ahead[1:, :-1]) & (lattice == ahead[:-1, 1:])
        grids = np.stack([lattice, same]).repeat(2, axis=1).repeat(2, axis=2)[:, : camera.size, : camera.size]
        hits: Ints = grids[0]
        edge = grids[1] == 0
        edge[::2, ::2] = False
        hits[edge] = self._cast(camera.eye, directions[edge])
        return hits

    def reached(self, points: Floats, owner: Ints, light: Floats) -> npt.NDArray[np.bool_]:
        """Return which of the points (m, 3) parallel light from the unit vector ``light`` reaches: bool (m,)."""
        rays = self._tensor(_rays(points, np.broadcast_to(light, points.shape)))
        return ~self._scene.test_occlusions(rays).numpy()  # type: ignore[no-any-return]

    def _cast(self, eye: Floats, directions: Floats) -> Ints:
        hits = self._scene.cast_rays(self._tensor(_rays(np.broadcast_to(eye, directions.shape), directions)))
        sphere = (hits["primitive_ids"].numpy() // self._faces).astype(np.int64)
        return np.where(np.isfinite(hits["t_hit"].numpy()), sphere, -1)


def _rays(origins: Floats, directions: Floats) -> Floats:
    return np.concatenate([origins, directions], axis=-1, dtype=np.float32)


def _ball(subdivisions: int) -> tuple[Floats, Ints]:
    """Vertices and faces of a refined icosahedron whose shadow has the mean area of a unit sphere's."""
    phi = (1 + 5**0.5) / 2
    corners = [(0, s, t * phi) for s in (-1, 1) for t in (-1, 1)]
    vertices = np.array([np.roll(c, k) for k in range(3) for c in corners], dtype=np.float64)
    vertices /= np.linalg.norm(vertices[0])
    near = np.linalg.norm(vertices[:, None] - vertices[None], axis=2) < 1.1
    faces = [f for f in combinations(range(12), 3) if all(near[pair] for pair in combinations(f, 2))]
    corner = vertices[np.array(faces)]
    for _ in range(subdivisions):
        a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]
        ab, bc, ca = a + b, b + c, c + a
        quarters = (a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)
        corner = np.concatenate([np.stack(quarter, axis=1) for quarter in quarters])
        corner /= np.linalg.norm(corner, axis=2, keepdims=True)
    points, index = np.unique(corner.reshape(-1, 3).round(9), axis=0, return_inverse=True)
    # A convex body's mean shadow is a quarter of its surface (Cauchy): make it that of the sphere.
    normals = np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])
    area = np.linalg.norm(normals, axis=1).sum() / 2
    return (points * (4 * np.pi / area) ** 0.5).astype(np.float32), index.reshape(-1, 3)
