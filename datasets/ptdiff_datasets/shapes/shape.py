"""A shape: solid parts placed in space, and the union of their surfaces as points or as a mesh.

Parts live in design space (meters, +Y up, front towards -Z). What a Shape returns is centered on its bounding box and
scaled to a bounding-box diagonal of 1; both come from the parts' exact extents, not from sampled points.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.shapes.draw import Value
from ptdiff_datasets.shapes.primitives import Array, Mask, Solid

if TYPE_CHECKING:
    import trimesh

UPRIGHT: Array = np.eye(3)


@dataclass(frozen=True)
class Part:
    """A solid and its rigid placement: `position` (x, y, z) in meters, `rotation` (3, 3) or None for upright."""

    name: str
    solid: Solid
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: Array | None = field(default=None, compare=False)

    @cached_property
    def bounds(self) -> tuple[Array, Array]:
        """Lower and upper corner (3,) of the exact bounding box in design space."""
        lower, upper = self.solid.extent(UPRIGHT if self.rotation is None else self.rotation)
        return lower + self.position, upper + self.position

    def sample(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """Points and unit outward normals (3, count) in design space, uniform by area on the part's surface."""
        points, normals = self.solid.sample(rng, count)
        if self.rotation is not None:
            points, normals = self.rotation @ points, self.rotation @ normals
        return points + np.array(self.position)[:, None], normals

    def inside(self, points: Array) -> Mask:
        """Which points (3, k) of design space lie strictly inside the part."""
        local = points - np.array(self.position)[:, None]
        return self.solid.inside(local if self.rotation is None else self.rotation.T @ local)

    def mesh(self) -> "trimesh.Trimesh":
        """The part's watertight mesh in design space."""
        mesh = self.solid.mesh()
        placement = np.eye(4)
        placement[:3, 3] = self.position
        if self.rotation is not None:
            placement[:3, :3] = self.rotation
        mesh.apply_transform(placement)
        return mesh


@dataclass(frozen=True)
class Shape:
    """A shape of a class: a pure function of (name, seed), with the parameters drawn and the parts made from them."""

    name: str
    seed: int
    label: int
    parameters: Mapping[str, Value]
    parts: tuple[Part, ...]

    @cached_property
    def _boxes(self) -> tuple[Array, Array]:
        """Lower and upper corners (3, parts) of the parts' bounding boxes."""
        lower, upper = np.array([part.bounds for part in self.parts]).transpose(1, 2, 0)
        return lower, upper

    @cached_property
    def _areas(self) -> Array:
        return np.array([part.solid.area for part in self.parts])

    @property
    def size(self) -> Array:
        """Sides (3,) of the bounding box in meters, before scaling."""
        lower, upper = self._boxes
        size: Array = upper.max(axis=1) - lower.min(axis=1)
        return size

    @cached_property
    def _frame(self) -> tuple[Array, float]:
        """Center (3,) of the bounding box and length of its diagonal."""
        lower, upper = self._boxes
        center = (upper.max(axis=1) + lower.min(axis=1)) / 2
        return center, math.sqrt(float(np.square(self.size).sum()))

    def points(self, n: int, seed: int = 0) -> npt.NDArray[np.float32]:
        """Points (n, 3), independent and uniform by area on the outer surface; `seed` picks the draw."""
        return self.points_and_normals(n, seed)[0]

    def points_and_normals(
        self, n: int, seed: int = 0
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Points as in `points` and the unit outward normals (n, 3) there."""
        if n < 1 or seed < 0:
            raise ValueError(f"a cloud needs n >= 1 and seed >= 0, not n = {n} and seed = {seed}")
        rng = stream(self.seed, self.label, 1, seed)
        drawn: list[Array] = []
        missing = n
        while missing > 0:
            drawn.append(self._outer(rng, missing + missing // 4 + 32)[:, :missing])
            missing -= drawn[-1].shape[1]
        both = np.concatenate(drawn, axis=1) if len(drawn) > 1 else drawn[0]
        center, diagonal = self._frame
        points = (both[:3] - center[:, None]) * (1 / diagonal)
        return points.T.astype(np.float32), both[3:].T.astype(np.float32)

    def _outer(self, rng: np.random.Generator, count: int) -> Array:
        """Of `count` points uniform on all parts' surfaces, those inside no part: (6, at most count), with normals."""
        sizes = rng.multinomial(count, self._areas / self._areas.sum()).tolist()
        samples = [part.sample(rng, size) for part, size in zip(self.parts, sizes, strict=True)]
        both = np.concatenate([np.concatenate(pieces, axis=1) for pieces in zip(*samples, strict=True)])
        outer = np.ones(count, dtype=np.bool_)
        lower, upper = self._boxes
        x, y, z = both[:3]
        start = 0
        for index, (part, size) in enumerate(zip(self.parts, sizes, strict=True)):
            near = (x > lower[0, index]) & (x < upper[0, index])
            near &= (y > lower[1, index]) & (y < upper[1, index])
            near &= (z > lower[2, index]) & (z < upper[2, index])
            near[start : start + size] = False
            start += size
            candidates = np.flatnonzero(near)
            if candidates.size:
                outer[candidates[part.inside(both[:3, candidates])]] = False
        order = rng.permutation(count)
        return both[:, order[outer[order]]]

    def mesh(self, union: bool = False) -> "trimesh.Trimesh":
        """A mesh in the frame of `points`: the parts side by side, or (`union`) their watertight union by manifold3d."""
        import trimesh

        meshes = [part.mesh() for part in self.parts]
        if union:
            try:
                import manifold3d  # noqa: F401
            except ImportError as error:
                raise ImportError("the union of parts needs manifold3d: pip install manifold3d") from error
            mesh = trimesh.boolean.union(meshes, engine="manifold")
        else:
            mesh = trimesh.util.concatenate(meshes)
        center, diagonal = self._frame
        mesh.apply_translation(-center)
        mesh.apply_scale(1 / diagonal)
        return mesh


def stream(seed: int, label: int, purpose: int, draw: int) -> np.random.Generator:
    """The random stream of (seed, label, purpose, draw): Philox blocks no other four numbers share."""
    return np.random.Generator(np.random.Philox(key=seed | draw << 64, counter=(label << 1 | purpose) << 192))
