"""Smooth solids with their own samplers: Ellipsoid and TorusArc."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ptdiff_datasets.shapes.solids import Array, Mask

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True)
class Ellipsoid:
    """An ellipsoid centered on the origin; the fields are its semi-axes."""

    x: float
    y: float
    z: float

    @cached_property
    def area(self) -> float:
        """Surface area, 4 pi R_G(x^2 y^2, y^2 z^2, z^2 x^2) with Carlson's elliptic integral R_G."""
        from scipy.special import elliprg

        xy, yz, zx = self.x * self.y, self.y * self.z, self.z * self.x
        return float(4 * math.pi * elliprg(xy * xy, yz * yz, zx * zx))

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """Sample ``count`` points uniformly by area; returns points and unit outward normals, (3, count) each."""
        # A uniform direction d on the sphere maps to axes * d, which stretches area by |d / axes| times a constant:
        # rejection on that factor, whose maximum is 1 / (shortest axis), leaves points exactly uniform by area.
        axes = np.array([[self.x], [self.y], [self.z]])
        kept: list[Array] = []
        missing = count
        while missing > 0:
            u = rng.random((3, missing + missing // 2 + 16))
            height = 2 * u[0] - 1
            radius = np.sqrt(1 - height * height)
            angle = (2 * math.pi) * u[1]
            directions = np.stack([radius * np.cos(angle), height, radius * np.sin(angle)])
            stretch = np.sqrt(np.square(directions / axes).sum(axis=0)) * axes.min()
            kept.append(directions[:, u[2] < stretch][:, :missing])
            missing -= kept[-1].shape[1]
        directions = np.concatenate(kept, axis=1) if kept else np.zeros((3, 0))
        normals = directions / axes
        return directions * axes, normals / np.sqrt(np.square(normals).sum(axis=0))

    def inside(self, points: Array) -> Mask:
        """Return which of the points (3, k) lie strictly inside: bool (k,)."""
        axes = np.array([[self.x], [self.y], [self.z]])
        inside: Mask = np.square(points / axes).sum(axis=0) < 1
        return inside

    def extent(self, rotation: Array) -> tuple[Array, Array]:
        """Return the lowest and the highest corner, (3,) each, of the solid rotated by ``rotation`` (3, 3)."""
        reach = np.sqrt(np.square(rotation * np.array([self.x, self.y, self.z])).sum(axis=1))
        return -reach, reach

    def mesh(self) -> "trimesh.Trimesh":
        """Return a triangle mesh of the ellipsoid: an icosphere, subdivided four times and scaled."""
        import trimesh

        mesh = trimesh.creation.icosphere(subdivisions=4)
        mesh.apply_scale([self.x, self.y, self.z])
        return mesh


@dataclass(frozen=True)
class TorusArc:
    """A bent tube with flat ends: a disc of radius ``tube`` swept around the z axis at distance ``radius`` from it.

    The arc starts at the angle ``start`` from the x axis towards the y axis and covers ``sweep`` radians, less than 2
    pi.
    """

    radius: float
    tube: float
    start: float
    sweep: float

    @property
    def area(self) -> float:
        """Surface area with both ends, 2 pi tube (sweep radius + tube)."""
        return 2 * math.pi * self.tube * (self.sweep * self.radius + self.tube)

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """Sample ``count`` points uniformly by area; returns points and unit outward normals, (3, count) each."""
        on_ends = int(rng.binomial(count, self.tube / (self.sweep * self.radius + self.tube)))
        u = rng.random((3, count))
        around, turn = self.start + self.sweep * u[0], (2 * math.pi) * u[1]
        inward = 2 * u[2] > 1 + self.tube / self.radius * np.cos(turn)
        # Area grows as radius + tube cos(turn); mirroring the surplus of the inner half to the outer one is exact.
        turn = np.where(inward, math.pi - turn, turn)
        out, up = np.cos(turn), np.sin(turn)
        across = np.full(count, self.tube)
        across[:on_ends] *= np.sqrt(u[2, :on_ends])
        out[:on_ends], up[:on_ends] = (
            np.cos(2 * math.pi * u[1, :on_ends]),
            np.sin(2 * math.pi * u[1, :on_ends]),
        )
        last = u[0, :on_ends] > 0.5
        around[:on_ends] = np.where(last, self.start + self.sweep, self.start)
        cosine, sine = np.cos(around), np.sin(around)
        distance = self.radius + across * out
        points = np.stack([distance * cosine, distance * sine, across * up])
        normals = np.stack([out * cosine, out * sine, up])
        direction = np.where(last, 1.0, -1.0)
        normals[:, :on_ends] = direction * np.stack([-sine[:on_ends], cosine[:on_ends], np.zeros(on_ends)])
        return points, normals

    def inside(self, points: Array) -> Mask:
        """Return which of the points (3, k) lie strictly inside: bool (k,)."""
        x, y, z = points
        turned = np.mod(np.arctan2(y, x) - self.start, 2 * math.pi)
        tube = np.square(np.hypot(x, y) - self.radius) + z * z < self.tube**2
        inside: Mask = tube & (turned > 0) & (turned < self.sweep)
        return inside

    def extent(self, rotation: Array) -> tuple[Array, Array]:
        """Return the lowest and the highest corner, (3,) each, of the solid rotated by ``rotation`` (3, 3)."""
        # The tube's disc at an angle reaches radius * c + tube * hypot(c, w) along a world axis; c is the component of
        # that axis along the disc's outward direction and w along z. It grows with c, so the largest c decides.
        x, y, w = rotation.T
        ends = np.array([[self.start], [self.start + self.sweep]])
        at_ends = np.cos(ends) * x + np.sin(ends) * y

        def reach(sign: float) -> Array:
            peak = np.mod(np.arctan2(sign * y, sign * x) - self.start, 2 * math.pi) <= self.sweep
            largest = np.where(peak, np.hypot(x, y), (sign * at_ends).max(axis=0))
            reached: Array = self.radius * largest + self.tube * np.hypot(largest, w)
            return reached

        return -reach(-1.0), reach(1.0)

    def mesh(self) -> "trimesh.Trimesh":
        """Return a watertight triangle mesh with 32 sides and up to 64 steps along the arc."""
        import trimesh

        sides, steps = 32, max(8, math.ceil(64 * self.sweep / (2 * math.pi)))
        around = np.linspace(self.start, self.start + self.sweep, steps + 1)[:, None]
        turn = np.linspace(0, 2 * math.pi, sides, endpoint=False)
        distance = self.radius + self.tube * np.cos(turn)
        height = np.broadcast_to(self.tube * np.sin(turn), (steps + 1, sides))
        grid = np.stack([distance * np.cos(around), distance * np.sin(around), height], axis=-1).reshape(-1, 3)
        tips = self.radius * np.stack([np.cos(around), np.sin(around), 0 * around], axis=-1)[[0, -1], 0]
        corner = np.arange(steps * sides)
        beside = corner // sides * sides + (corner + 1) % sides
        here, after = np.arange(sides), (np.arange(sides) + 1) % sides
        first, last = np.full(sides, len(grid)), np.full(sides, len(grid) + 1)
        faces = np.concatenate(
            [
                np.stack([corner, corner + sides, beside], axis=1),
                np.stack([beside, corner + sides, beside + sides], axis=1),
                np.stack([first, here, after], axis=1),
                np.stack([last, steps * sides + after, steps * sides + here], axis=1),
            ]
        )
        mesh = trimesh.Trimesh(np.concatenate([grid, tips]), faces, process=False)
        if mesh.volume < 0:
            mesh.invert()
        return mesh
