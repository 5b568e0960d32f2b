"""Interface of the visibility engines: which sphere a pixel sees, and which points a light reaches."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from ptdiff_pointcloud.render.camera import Camera
from ptdiff_pointcloud.render.scene import Floats, Ints


class Visibility(Protocol):
    """Visibility in one scene of spheres; everything else in an image is shared by all engines."""

    def first_hit(self, camera: Camera) -> Ints:
        """Return the index of the nearest sphere at every pixel, (size, size), or -1 if there is none."""

    def reached(self, points: Floats, owner: Ints, light: Floats) -> npt.NDArray[np.bool_]:
        """Return which of the points (m, 3) parallel light from the unit vector ``light`` reaches: bool (m,).

        The points lie just outside the sphere ``owner`` (m,), on the side of the light, so that it does not shade them;
        owner -1 is the ground.
        """
