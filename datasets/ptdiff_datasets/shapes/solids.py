"""Common ground of the solids of a shape: sampling across a band, bounds of groups of bands.

Coordinates are arrays (3, k), one row per axis: float64 while a shape is assembled, float32 for its points.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def across_band(u: Floats, a: Floats, b: Floats) -> Floats:
    """Sample fractions t in [0, 1] with density proportional to a + (b - a) t from uniform u, by the inverse transform.

    A band between two parallel edges of lengths a and b, or between two circles of radii a and b, has this area density
    at the fraction t of the way. The form below is stable at a = b.
    """
    way = a + np.sqrt(a * a + u * (b * b - a * a))
    # at the tip of a cone both are zero: u = 0 is one draw in 2^24, which happens in a training run
    fraction: Floats = np.divide(u * (a + b), way, out=np.zeros_like(way), where=way > 0)
    return fraction


def first_of(sizes: Sequence[int]) -> Counts:
    """Return the first index of each of consecutive groups of these sizes."""
    return np.cumsum([0, *sizes[:-1]])


def skin(lower: Array, upper: Array) -> np.float32:
    """Distance within which a float32 point counts as on a surface, not inside: a millionth of the coordinates."""
    return np.float32(1e-6 * max(float(upper.max()), -float(lower.min())))
