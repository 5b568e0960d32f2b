"""A shape: solid parts placed in space, and the union of their surfaces as points or as a mesh.

Parts live in design space (meters, +Y up, front towards -Z). The points and meshes of a Shape are centered on its
bounding box and scaled to a box diagonal of 1; both follow from the parts' exact extents, not from sampled points.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.shapes.draw import Value
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.solids import Array
from ptdiff_datasets.shapes.surface import Surface

if TYPE_CHECKING:
    import trimesh

Cloud = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """A shape of a class: a pure function of (name, seed), with the parameters drawn and the parts made from them."""

    name: str
    seed: int
    label: int
    parameters: Mapping[str, Value]
    parts: tuple[Part, ...]

    @cached_property
    def surface(self) -> Surface:
        """The outer surface in design space."""
        return Surface(self.parts)

    def points(self, n: int, seed: int = 0) -> Cloud:
        """Sample points (n, 3), independent and uniform by area on the outer surface; ``seed`` selects the draw.

        Raises ValueError unless n >= 1 and seed is in [0, 2**63).
        """
        return self._draw(n, seed, normals=False)[0]

    def points_and_normals(self, n: int, seed: int = 0) -> tuple[Cloud, Cloud]:
        """Return the points of ``points(n, seed)`` and their unit outward normals, (n, 3) each."""
        points, normals = self._draw(n, seed, normals=True)
        assert normals is not None
        return points, normals

    def _draw(self, n: int, seed: int, normals: bool) -> tuple[Cloud, Cloud | None]:
        if n < 1 or not 0 <= seed < 2**63:
            raise ValueError(f"a cloud needs n >= 1 and a seed in [0, 2**63), not n = {n} and seed = {seed}")
        rng = stream(self.seed, self.label, 1, seed)
        points, outward = self.surface.sample(rng, n + n // 2 + 64, normals)
        while points.shape[1] < n:
            more = self.surface.sample(rng, 2 * (n - points.shape[1]) + 64, normals)
            points = np.concatenate([points, more[0]], axis=1)
            if outward is not None and more[1] is not None:
                outward = np.concatenate([outward, more[1]], axis=1)
        center, scale = self._frame
        cloud = np.ascontiguousarray(((points[:, :n] - center.astype(np.float32)[:, None]) * np.float32(scale)).T)
        return cloud, None if outward is None else np.ascontiguousarray(outward[:, :n].T)

    @cached_property
    def _frame(self) -> tuple[Array, float]:
        """Center (3,) of the bounding box and one over the length of its diagonal."""
        lower, upper = self.surface.lower, self.surface.upper
        return (lower + upper) / 2, 1 / math.sqrt(float(np.square(upper - lower).sum()))

    def mesh(self, union: bool = False) -> "trimesh.Trimesh":
        """Return a mesh in the frame of ``points``: the watertight parts side by side, or their union.

        The union needs manifold3d; ImportError without it.
        """
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
        center, scale = self._frame
        mesh.apply_translation(-center)
        mesh.apply_scale(scale)
        return mesh


def stream(seed: int, label: int, purpose: int, draw: int) -> np.random.Generator:
    """Return the random stream of (seed, label, purpose, draw): Philox blocks shared with no other four numbers."""
    return np.random.Generator(np.random.Philox(key=seed | draw << 64, counter=(label << 1 | purpose) << 192))
