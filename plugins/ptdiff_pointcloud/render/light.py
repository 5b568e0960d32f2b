"""Light: a wide lamp (key) and a glow from everywhere (ambient), and how much of them reaches each place.

Light is gathered before any image is rendered: at the nodes of a coarse grid on every sphere, and at a grid of points
on the ground. A node stores the fractions of the key and of the ambient light that other spheres let pass; both change
slowly, so images interpolate them. That makes shadows soft, free of noise and the same in all frames of an orbit, and
costs less than shadows for every pixel.

A unit vector is mapped to the grid of its sphere by the octahedral map (Meyer et al. 2010): the octahedron
|x| + |y| + |z| = 1 unfolded to the square [-1, 1]^2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ptdiff_pointcloud.render.camera import direction
from ptdiff_pointcloud.render.scene import Floats, Ints, Scene
from ptdiff_pointcloud.render.visibility import Visibility

_LAMP = 0.20  # radius of the lamp over its distance
_GROUND_KEY, _GROUND_AMBIENT = 80, 32  # points of the ground's grids along one side
# Nodes lie this fraction of a radius above their sphere, so that touching spheres do not shade them; if a sphere has
# few nodes, they must keep clear of its neighbors.
_LIFT, _LIFT_OF_FEW = 0.12, 0.8


@dataclass(frozen=True)
class Light:
    """The central direction of the key light, and directions (k, 3) that sample the key and the ambient light."""

    toward: Floats
    key: Floats
    ambient: Floats


@dataclass(frozen=True)
class GatheredLight:
    """Fractions of light in [0, 1] that pass: at sphere nodes (n, c + 1, c + 1), at ground points (g, g) [z, x].

    The grids of the ground reach from ``low`` (2,) to ``high`` (2,) in x and z.
    """

    key: Floats
    ambient: Floats
    ground_key: Floats
    ground_ambient: Floats
    low: Floats
    high: Floats


def studio(azimuth: float, count: int) -> Light:
    """Return the light for a camera at ``azimuth`` degrees: a lamp high on its left, a glow from all around.

    A cloud of few spheres gets more directions, because nothing hides the steps in its shadows.
    """
    steps = ((64, (80, 240)), (256, (40, 96)), (30000, (20, 32)))
    keys, ambients = next((counts for limit, counts in steps if count <= limit), (12, 20))
    toward = direction(azimuth + 50, 58)
    side = np.cross(toward, (0.0, 1.0, 0.0))
    side /= np.linalg.norm(side)
    turns, rank = _spiral(keys)
    disc = np.cos(turns)[:, None] * side + np.sin(turns)[:, None] * np.cross(side, toward)
    turns, height = _spiral(ambients)
    height = 1 - 2 * height
    around = np.sqrt(1 - height**2)
    glow = np.stack([around * np.cos(turns), height, around * np.sin(turns)], axis=1)
    return Light(toward, _unit(toward + _LAMP * np.sqrt(rank)[:, None] * disc), glow.astype(np.float32))


def cells_per_sphere(count: int) -> int:
    """Number of cells of a sphere's grid along one side: small spheres need few."""
    return 12 if count <= 64 else 6 if count <= 1024 else 4 if count <= 30000 else 2


def gather(scene: Scene, light: Light, visibility: Visibility, needed: npt.NDArray[np.bool_]) -> GatheredLight:
    """Gather the light at the ``needed`` nodes (n, c + 1, c + 1) and on the ground."""
    cells = needed.shape[1] - 1
    line = np.linspace(-1, 1, cells + 1, dtype=np.float32)
    nodes = octahedron_to_sphere(*np.meshgrid(line, line, indexing="ij")).reshape(-1, 3)
    sphere, node = (index.astype(np.int64) for index in np.nonzero(needed.reshape(len(needed), -1)))
    normals = nodes[node]
    lift = _LIFT if cells > 2 else _LIFT_OF_FEW
    points = scene.centers[sphere] + scene.radius * (1 + lift) * normals
    low, high = _shadow_window(scene, light)
    grids = []
    for directions, count, blur in ((light.key, _GROUND_KEY, 2), (light.ambient, _GROUND_AMBIENT, 2)):
        ground = _ground_points(low, high, scene.ground, count)
        at_nodes, on_ground = _passing(directions, points, normals, sphere, ground, visibility)
        full = np.ones((len(needed), len(nodes)), dtype=np.float32)
        full[sphere, node] = at_nodes
        shadow = _blur(1 - on_ground.reshape(count, count), blur)
        grids.append((full.reshape(needed.shape), 1 - _edge_fade(count) * shadow))
    (key, ground_key), (ambient, ground_ambient) = grids
    return GatheredLight(key, ambient, ground_key, ground_ambient, low, high)


def sphere_to_octahedron(normals: Floats) -> tuple[Floats, Floats]:
    """Return octahedral coordinates in [-1, 1] of unit vectors (..., 3)."""
    x, y, z = np.moveaxis(normals, -1, 0)
    x, y, z = (w / (np.abs(x) + np.abs(y) + np.abs(z)) for w in (x, y, z))
    folded = y < 0
    u = np.where(folded, (1 - np.abs(z)) * np.copysign(1, x), x)
    v = np.where(folded, (1 - np.abs(x)) * np.copysign(1, z), z)
    return u, v


def octahedron_to_sphere(u: Floats, v: Floats) -> Floats:
    """Return unit vectors (..., 3) at octahedral coordinates."""
    y = 1 - np.abs(u) - np.abs(v)
    x = np.where(y < 0, (1 - np.abs(v)) * np.copysign(1, u), u)
    z = np.where(y < 0, (1 - np.abs(u)) * np.copysign(1, v), v)
    return _unit(np.stack([x, y, z], axis=-1))


def _passing(
    directions: Floats, points: Floats, normals: Floats, sphere: Ints, ground: Floats, visibility: Visibility
) -> tuple[Floats, Floats]:
    """Cosine-weighted fraction of the directions that reach the points on spheres and on the ground."""
    total = np.zeros(len(points), dtype=np.float32)
    passed = np.zeros(len(points), dtype=np.float32)
    ground_total, ground_passed = 0.0, np.zeros(len(ground), dtype=np.float32)
    for toward in directions:
        cosine = normals @ toward
        facing = np.flatnonzero(cosine > 0)
        places, owners = points[facing], sphere[facing]
        if toward[1] > 0:
            places = np.concatenate([places, ground])
            owners = np.concatenate([owners, np.full(len(ground), -1)])
        reached = visibility.reached(places, owners, toward)
        total[facing] += cosine[facing]
        passed[facing] += cosine[facing] * reached[: len(facing)]
        if toward[1] > 0:
            ground_total += float(toward[1])
            ground_passed += toward[1] * reached[len(facing) :]
    dark = total == 0
    return np.where(dark, 1, passed / np.where(dark, 1, total)), ground_passed / np.float32(ground_total)


def _shadow_window(scene: Scene, light: Light) -> tuple[Floats, Floats]:
    """Corners (x, z) of a rectangle on the ground that contains all shadows of the key light, with a margin."""
    height = np.maximum(scene.centers[:, 1:2] - scene.ground, 0)
    flat = scene.centers[:, [0, 2]]
    cast = np.concatenate([flat] + [flat - height * d[[0, 2]] / d[1] for d in light.key[-8:]]).clip(-2.5, 2.5)
    low, high = cast.min(axis=0) - 0.45, cast.max(axis=0) + 0.45
    return low.astype(np.float32), high.astype(np.float32)


def _ground_points(low: Floats, high: Floats, ground: float, count: int) -> Floats:
    x = np.linspace(low[0], high[0], count, dtype=np.float32)
    z = np.linspace(low[1], high[1], count, dtype=np.float32)
    across, along = np.meshgrid(x, z)
    return np.stack([across, np.full_like(across, ground), along], axis=-1).reshape(-1, 3)


def _edge_fade(count: int) -> Floats:
    """Window weights: 1 inside, falling smoothly to 0 at the border."""
    index = np.arange(count)
    line = np.clip(np.minimum(index, index[::-1]) / (count * 0.12), 0, 1)
    smooth: Floats = (line * line * (3 - 2 * line)).astype(np.float32)
    return smooth[:, None] * smooth


def _blur(image: Floats, passes: int) -> Floats:
    """Binomial blur (1, 2, 1) / 4, repeated: a Gaussian of variance passes / 2 cells."""
    for _ in range(passes):
        for axis in (0, 1):
            padded = np.pad(image, [(1, 1) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
            near, far = (padded[:-2], padded[2:]) if axis == 0 else (padded[:, :-2], padded[:, 2:])
            image = (image / 2 + (near + far) / 4).astype(np.float32)
    return image


def _spiral(count: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Angles and ranks in (0, 1) of points spread evenly by the golden angle (Vogel 1979)."""
    index = np.arange(count, dtype=np.float64)
    return index * (math.pi * (3 - 5**0.5)), (index + 0.5) / count


def _unit(vectors: npt.NDArray[np.floating]) -> Floats:
    unit: Floats = (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)
    return unit
