"""Solids that stand on local y = 0 or along the y axis and are made of ruled bands: Revolution and Loft.

Both reduce to one fact: across a band whose width goes linearly from a to b, the fraction t at which a uniform point
lies has density proportional to a + (b - a) t.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ptdiff_datasets.shapes.primitives import SKIN, Array, Mask

if TYPE_CHECKING:
    import trimesh


def across_band(u: Array, a: Array, b: Array) -> Array:
    """The inverse of the distribution with density proportional to a + (b - a) t on [0, 1], stable at a = b."""
    fraction: Array = u * (a + b) / (a + np.sqrt(a * a + u * (b * b - a * a)))
    return fraction


@dataclass(frozen=True)
class Revolution:
    """A profile turned around the y axis: cylinder, cone, bottle, shell.

    `profile` lists (radius, y) counter-clockwise, the solid on the left hand: out along the bottom, up the outer side,
    back along the top. It either begins and ends on the axis (radius 0) or is closed from last to first (a shell).
    """

    profile: tuple[tuple[float, float], ...]

    @cached_property
    def _bands(self) -> tuple[Array, Array]:
        """Rows r0, y0, dr, dy, r1, outward normal (radial, y) of every band (7, b), and their areas (b,)."""
        start = np.array(self.profile).T
        end = np.concatenate([start[:, 1:], start[:, :1]], axis=1)
        step = end - start
        slant = np.hypot(step[0], step[1])
        area = math.pi * (start[0] + end[0]) * slant
        bands = np.stack([*start, *step, end[0], step[1], -step[0]])[:, area > 0]
        bands[5:] /= slant[area > 0]
        return bands, area[area > 0]

    @property
    def area(self) -> float:
        return float(self._bands[1].sum())

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        bands, area = self._bands
        chosen = np.repeat(bands, rng.multinomial(count, area / area.sum()), axis=1)
        radius, y, radial_step, y_step, end, radial_normal, y_normal = chosen
        u = rng.random((2, count))
        fraction = across_band(u[0], radius, end)
        radius = radius + fraction * radial_step
        angle = (2 * math.pi) * u[1]
        cosine, sine = np.cos(angle), np.sin(angle)
        points = np.stack([radius * cosine, y + fraction * y_step, radius * sine])
        return points, np.stack([radial_normal * cosine, y_normal, radial_normal * sine])

    def inside(self, points: Array) -> Mask:
        # Even-odd rule in the half-plane (r, y): count the profile's crossings on the way outward.
        start, drop = self._bands[0][:2], self._bands[0][2:4]
        rising = np.abs(drop[1]) > 0
        (r0, y0), (dr, dy) = start[:, rising, None], drop[:, rising, None]
        radius, y = np.hypot(points[0], points[2]) + SKIN, points[1]
        crosses = ((y0 > y) != (y0 + dy > y)) & (radius < r0 + (y - y0) * (dr / dy))
        inside: Mask = crosses.sum(axis=0) % 2 == 1
        return inside

    def extent(self, rotation: Array) -> tuple[Array, Array]:
        radius, y = np.array(self.profile).T[:, :, None]
        axis = rotation[:, 1]
        middle, reach = y * axis, radius * np.sqrt(np.maximum(1 - axis * axis, 0.0))
        return (middle - reach).min(axis=0), (middle + reach).max(axis=0)

    def mesh(self) -> "trimesh.Trimesh":
        import trimesh

        sections = 64
        points = list(self.profile)
        if points[0][0] > 0:
            points.append(points[0])
        mesh = trimesh.creation.revolve(np.array(points), sections=sections)
        mesh.apply_transform(
            [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]]
        )  # from around z to around y
        return mesh


def frustum(bottom: float, top: float, height: float) -> Revolution:
    """A cylinder, frustum or cone on y = 0 with radii `bottom` and `top`."""
    return Revolution(((0.0, 0.0), (bottom, 0.0), (top, height), (0.0, height)))


@dataclass(frozen=True)
class Loft:
    """A convex polygon carried along y while it shrinks and shifts: wing, fin, tapered cabin, extruded outline.

    The polygon `outline` of (x, z) corners lies at y = 0; at y = `height` it is scaled by `taper` (x and z apart only
    for a rectangle along the axes, so that faces stay flat) and moved by `shift`.
    """

    outline: tuple[tuple[float, float], ...]
    height: float
    taper: tuple[float, float] = (1.0, 1.0)
    shift: tuple[float, float] = (0.0, 0.0)

    @cached_property
    def _vertices(self) -> Array:
        """Corners (3, 2 k): the k of the bottom, then the k of the top."""
        x, z = np.array(self.outline).T
        top_x, top_z = self.taper[0] * x + self.shift[0], self.taper[1] * z + self.shift[1]
        y = np.repeat([0.0, self.height], len(x))
        return np.stack([np.concatenate([x, top_x]), y, np.concatenate([z, top_z])])

    @cached_property
    def _faces(self) -> tuple[Array, Array, Array]:
        """Bands (17, f): near edge's start and step, far edge's the same, both lengths, normal; areas; offsets.

        A side is the band between its two parallel edges, a cap a fan of triangles (bands that start from a point).
        """
        vertices = self._vertices
        count = len(self.outline)
        low, middle = np.arange(count), np.arange(1, count - 1)
        zeros = np.zeros(count - 2, dtype=np.int64)
        after = np.roll(low, -1)
        a, b, c, d = np.array(
            [
                [*low, *zeros, *(zeros + count)],
                [*after, *zeros, *(zeros + count)],
                [*(low + count), *middle, *(middle + count)],
                [*(after + count), *(middle + 1), *(middle + 1 + count)],
            ]
        )
        near, far = vertices[:, b] - vertices[:, a], vertices[:, d] - vertices[:, c]
        normals = np.cross(vertices[:, d] - vertices[:, a], vertices[:, c] - vertices[:, b], axis=0)
        length = np.sqrt(np.square(normals).sum(axis=0))
        length = np.where(length > 0, length, 1.0)
        middle_point = vertices.mean(axis=1, keepdims=True)
        outward = np.sign(((vertices[:, a] - middle_point) * normals).sum(axis=0))
        areas = 0.5 * length * np.abs(outward)
        normals = normals * (outward / length)
        widths = np.sqrt(np.stack([np.square(near).sum(axis=0), np.square(far).sum(axis=0)]))
        bands = np.concatenate([vertices[:, a], near, vertices[:, c], far, widths, normals])
        return bands, areas, (vertices[:, a] * normals).sum(axis=0)

    @property
    def area(self) -> float:
        return float(self._faces[1].sum())

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        bands, area, _ = self._faces
        chosen = np.repeat(bands, rng.multinomial(count, area / area.sum()), axis=1)
        u = rng.random((2, count))
        fraction = across_band(u[0], chosen[12], chosen[13])
        near = chosen[0:3] + u[1] * chosen[3:6]
        far = chosen[6:9] + u[1] * chosen[9:12]
        return near + fraction * (far - near), chosen[14:]

    def inside(self, points: Array) -> Mask:
        bands, _, offsets = self._faces
        x, y, z = bands[14:, : len(self.outline), None]
        beyond = x * points[0] + y * points[1] + z * points[2] - offsets[: len(self.outline), None]
        tall = np.abs(points[1] - self.height / 2) < self.height / 2 - SKIN
        inside: Mask = tall & (beyond.max(axis=0) < -SKIN)
        return inside

    def extent(self, rotation: Array) -> tuple[Array, Array]:
        corners = rotation @ self._vertices
        return corners.min(axis=1), corners.max(axis=1)

    def mesh(self) -> "trimesh.Trimesh":
        import trimesh

        return trimesh.convex.convex_hull(self._vertices.T)


def rectangle(width: float, depth: float) -> tuple[tuple[float, float], ...]:
    """The outline of a Loft: a rectangle of `width` along x and `depth` along z around the origin."""
    x, z = width / 2, depth / 2
    return ((-x, -z), (x, -z), (x, z), (-x, z))


def rounded(width: float, depth: float, corner: float) -> tuple[tuple[float, float], ...]:
    """A rectangle whose corners are cut off at `corner` from each end of its sides."""
    x, z, cut_x, cut_z = width / 2, depth / 2, width / 2 - corner, depth / 2 - corner
    right, left = (
        ((cut_x, -z), (x, -cut_z), (x, cut_z), (cut_x, z)),
        ((-cut_x, z), (-x, cut_z), (-x, -cut_z), (-cut_x, -z)),
    )
    return right + left


def oval(width: float, depth: float, corners: int = 20) -> tuple[tuple[float, float], ...]:
    """A regular polygon of `corners` stretched to `width` and `depth`: a round or oval outline."""
    angles = [2 * math.pi * i / corners for i in range(corners)]
    return tuple((width / 2 * math.cos(a), depth / 2 * math.sin(a)) for a in angles)
