"""A part: a solid and its placement."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ptdiff_datasets.shapes.curved import Ellipsoid, TorusArc
from ptdiff_datasets.shapes.polyhedra import Loft
from ptdiff_datasets.shapes.revolution import Revolution
from ptdiff_datasets.shapes.solids import Array

if TYPE_CHECKING:
    import trimesh

UPRIGHT: Array = np.eye(3)


@dataclass(frozen=True)
class Part:
    """A solid and its rigid placement: ``position`` (x, y, z) in meters, ``rotation`` (3, 3) or None for upright."""

    name: str
    solid: Loft | Revolution | Ellipsoid | TorusArc
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: Array | None = field(default=None, compare=False)

    @property
    def turn(self) -> Array:
        """Rotation (3, 3); the identity for an upright part."""
        return UPRIGHT if self.rotation is None else self.rotation

    def mesh(self) -> "trimesh.Trimesh":
        """Return the watertight mesh of the part in design space."""
        mesh = self.solid.mesh()
        placement = np.eye(4)
        placement[:3, :3] = self.turn
        placement[:3, 3] = self.position
        mesh.apply_transform(placement)
        return mesh


def frames(parts: Sequence[Part]) -> tuple[Array, Array]:
    """Stack the positions (3, parts) and the rotations (3, 3, parts) of parts."""
    return np.array([part.position for part in parts]).T, np.array([part.turn for part in parts]).transpose(1, 2, 0)
