"""What the solids of a shape have in common: how points are drawn across a band, how groups of bands are bounded.

Coordinates are arrays of shape (3, k), one row per axis: float64 while a shape is put together, float32 for its points.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]
Counts = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


def across_band(u: Floats, a: Floats, b: Floats) -> Floats:
    """Fractions t in [0, 1] with density proportional to a + (b - a) t, from uniform u, by the inverse transform.

    A band between two parallel edges of lengths a and b, or between two circles of radii a and b, has that density of
    area at the fraction t of the way; the form below is stable at a = b.
    """
    way = a + np.sqrt(a * a + u * (b * b - a * a))
    # at the tip of a cone both are zero: u = 0 is one draw in 2^24, which a training run meets
    fraction: Floats = np.divide(u * (a + b), way, out=np.zeros_like(way), where=way > 0)
    return fraction


def first_of(sizes: Sequence[int]) -> Counts:
    """Where each of consecutive groups of these sizes begins."""
    return np.cumsum([0, *sizes[:-1]])


def skin(lower: Array, upper: Array) -> np.float32:
    """How close to a surface a float32 point counts as lying on it, not inside: a millionth of the coordinates."""
    return np.float32(1e-6 * max(float(upper.max()), -float(lower.min())))
