"""What a visibility engine answers: which sphere a pixel sees, and which points a light reaches."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from .camera import Camera
from .scene import Floats, Ints


class Visibility(Protocol):
    """Two questions about the spheres of one scene. Everything else of a picture is shared by all engines."""

    def first_hit(self, camera: Camera) -> Ints:
        """Index of the nearest sphere at every pixel, (size, size), or -1 where there is none."""

    def reached(self, points: Floats, owner: Ints, light: Floats) -> npt.NDArray[np.bool_]:
        """Whether parallel light from the unit vector `light` reaches each of the points (m, 3).

        The points lie just outside of the sphere `owner` (m,), on the side of the light, so that it does not
        shade them; owner -1 is the ground.
        """
