"""Points drawn from the dark of a picture: black is likely, white never.

A point is a pixel, chosen with probability in proportion to its darkness, and a uniform place within it.  Coordinates
are centered, y points up, and the longer side of the picture is two long.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

Floats = npt.NDArray[np.float64]

SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff")
"""Files that are read as pictures."""


def darkness(path: str | Path) -> Floats:
    """1 minus the luminance of a picture, (height, width) in [0, 1]; what is transparent is white.

    FormatError where it cannot be read as a picture, or has nothing dark.
    """
    from PIL import Image

    path = Path(path)
    try:
        with Image.open(path) as picture:
            ink = picture.convert("RGBA")
    except (ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise FormatError(path, f"not a picture that can be read ({error})") from None
    except OSError as error:
        if not path.is_file():
            raise
        raise FormatError(path, f"not a picture that can be read ({error})") from None
    white = Image.new("RGBA", ink.size, "white")
    dark: Floats = 1 - np.asarray(Image.alpha_composite(white, ink).convert("L"), dtype=np.float64) / 255
    if not dark.any():
        raise FormatError(path, "there is nothing dark in it: points are drawn where it is dark")
    return dark


def points(dark: Floats, u: Floats) -> Floats:
    """u (n, 3 or more), uniform on [0, 1), to points (n, 2) in the dark (height, width) of a picture."""
    height, width = dark.shape
    total = dark.ravel().cumsum()
    # strictly below the total, so that the pixel found is never behind the last dark one
    place = np.minimum(u[:, 0] * total[-1], np.nextafter(total[-1], 0))
    pixel = np.searchsorted(total, place, side="right")
    row, column = np.divmod(pixel, width)
    x, y = column + u[:, 1] - width / 2, height / 2 - row - u[:, 2]
    found: Floats = np.stack([x, y], axis=-1) * (2 / max(height, width))
    return found
