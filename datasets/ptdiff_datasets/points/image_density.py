"""Points drawn from an image in proportion to its darkness: black is likely, white never.

A point falls into a pixel with probability proportional to its darkness, uniformly within the pixel. Coordinates are
centered, y points up, and the longer side of the image has length 2.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

Floats = npt.NDArray[np.float64]

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
"""Suffixes of files that are read as images."""


def darkness(path: str | Path) -> Floats:
    """Return 1 minus the luminance of an image, (height, width) in [0, 1]; transparent pixels count as white.

    FormatError if it cannot be read as an image or is entirely white.
    """
    from PIL import Image

    path = Path(path)
    try:
        with Image.open(path) as picture:
            ink = picture.convert("RGBA")
    except (ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise FormatError(path, f"not a readable image ({error})") from None
    except OSError as error:
        if not path.is_file():
            raise
        raise FormatError(path, f"not a readable image ({error})") from None
    white = Image.new("RGBA", ink.size, "white")
    dark: Floats = 1 - np.asarray(Image.alpha_composite(white, ink).convert("L"), dtype=np.float64) / 255
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
