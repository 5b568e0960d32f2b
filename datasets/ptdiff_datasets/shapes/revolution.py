"""Solids of revolution around the y axis: cylinders, cones, bottles, shells."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import trimesh


@dataclass(frozen=True)
class Revolution:
    """A profile turned around the y axis: cylinder, cone, bottle, shell.

    ``profile`` lists (radius, y) counterclockwise, with the solid to the left: out along the bottom, up the outer side,
    back along the top. It either begins and ends on the axis (radius 0) or is closed from last to first (a shell).
    """

    profile: tuple[tuple[float, float], ...]

    def mesh(self) -> "trimesh.Trimesh":
        """Return a triangle mesh with 64 sections around the axis."""
        import trimesh

        sections = 64
        points = list(self.profile)
        if points[0][0] > 0:
            points.append(points[0])
        mesh = trimesh.creation.revolve(np.array(points), sections=sections)
        mesh.apply_transform([[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1]])  # from around z to around y
        return mesh


def frustum(bottom: float, top: float, height: float) -> Revolution:
    """A cylinder, frustum or cone standing on y = 0 with radii ``bottom`` and ``top``."""
    return Revolution(((0.0, 0.0), (bottom, 0.0), (top, height), (0.0, height)))
