"""Points drawn from an image in proportion to its darkness: black is likely, white never.

A point falls into a pixel with probability proportional to its darkness, uniformly within the pixel. Coordinates are
centered, y points up, and the longer side of the image has length 2.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.images.file import read_gray

Floats = npt.NDArray[np.float64]


def darkness(path: str | Path) -> Floats:
    """Return 1 minus the luminance of an image, (height, width) in [0, 1], as it is displayed.

    FormatError if it cannot be read as an image or is entirely white.
    """
    path = Path(path)
    dark: Floats = 1 - read_gray(path)
    if not dark.any():
        raise FormatError(path, "the image is entirely white: points are drawn where it is dark")
    return dark


def points(dark: Floats, u: Floats) -> Floats:
    """Map uniform numbers u (n, >= 3) in [0, 1) to points (n, 2) distributed like ``dark`` (height, width)."""
    height, width = dark.shape
    total = dark.ravel().cumsum()
    # strictly below the total, so that rounding never selects a pixel after the last dark one
    place = np.minimum(u[:, 0] * total[-1], np.nextafter(total[-1], 0))
    pixel = np.searchsorted(total, place, side="right")
    row, column = np.divmod(pixel, width)
    x, y = column + u[:, 1] - width / 2, height / 2 - row - u[:, 2]
    found: Floats = np.stack([x, y], axis=-1) * (2 / max(height, width))
    return found
