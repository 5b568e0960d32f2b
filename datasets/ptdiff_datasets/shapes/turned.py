"""All solids of revolution of a shape at once: sampling points on their bands, testing which points lie inside."""

import math
from collections.abc import Sequence

import numpy as np

from ptdiff_datasets.shapes.part import Part, frames
from ptdiff_datasets.shapes.revolution import Revolution
from ptdiff_datasets.shapes.solids import Counts, Floats, Mask, across_band, first_of, skin


class TurnedParts:
    """Parts that are solids of revolution; a band joins consecutive points of a profile, the last to the first too.

    ``areas`` holds one value per band (0 on the axis), ``bands`` the number per part.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        profiles = [part.solid.profile for part in parts if isinstance(part.solid, Revolution)]
        self.bands = [len(profile) for profile in profiles]
        first = first_of(self.bands)
        r0, y0 = np.array([point for profile in profiles for point in profile]).T
        following = np.arange(1, len(r0) + 1)
        following[first + self.bands - 1] = first
        r1, y1 = r0[following], y0[following]
        dr, dy = r1 - r0, y1 - y0
        slant = np.maximum(np.hypot(dr, dy), 1e-300)
        self.areas = math.pi * (r0 + r1) * slant
        places, turns = frames(parts)
        place, turn = np.repeat(places, self.bands, axis=-1), np.repeat(turns, self.bands, axis=-1)
        x, axis, z = turn.transpose(1, 0, 2)
        start, reach = place + y0 * axis, r0 * np.hypot(x, z)
        self.lower = np.minimum.reduceat(start - reach, first, axis=1)
        self.upper = np.maximum.reduceat(start + reach, first, axis=1)
        self._vectors = np.stack([start, dy * axis, x, z, (-dr / slant) * axis], axis=1).astype(np.float32)
        self._radii = np.stack([r0, r1, dr, dy / slant]).astype(np.float32)
        # For the inside test: frames by part, and the bands that rise or fall (level ones are never crossed).
        self._places, self._axes = places.astype(np.float32), turns[:, 1].astype(np.float32)
        rising = (dy != 0) & (self.areas > 0)
        self._profile = np.stack([y0, y1, r0, dr / np.where(rising, dy, 1.0)])[:, rising].astype(np.float32)
        self._rising = np.add.reduceat(rising, first, dtype=np.int64)
        self._first_rising = self._rising.cumsum() - self._rising
        self._skin = skin(self.lower, self.upper)

    def sample(self, rng: np.random.Generator, counts: Counts, normals: bool) -> tuple[Floats, Floats | None]:
        """Sample counts[i] points uniformly on every band i, in order: (3, sum of counts), and normals if asked."""
        u0, u1 = rng.random((2, int(counts.sum())), dtype=np.float32)
        start, step, x, z, along = np.repeat(self._vectors, counts, axis=2).transpose(1, 0, 2)
        r0, r1, dr, radial = np.repeat(self._radii, counts, axis=1)
        fraction = across_band(u0, r0, r1)
        angle = np.float32(2 * np.pi) * u1
        spoke = np.cos(angle) * x + np.sin(angle) * z
        points = start + fraction * step + (r0 + fraction * dr) * spoke
        return points, radial * spoke + along if normals else None

    def covered(self, points: Floats, near: Mask) -> Mask:
        """Return which points (3, k) lie inside a part: bool (k,); near[i] marks those in the bounding box of part i.

        Even-odd rule in a part's half-plane (r, y): count the bands of its profile crossed on the way outward.
        """
        covered = np.zeros(points.shape[1], dtype=np.bool_)
        part, candidates = np.divmod(np.flatnonzero(near), points.shape[1])
        if not candidates.size:
            return covered
        a, b, c = self._axes.take(part, axis=1)
        x, y, z = points.take(candidates, axis=1) - self._places.take(part, axis=1)
        height = a * x + b * y + c * z
        radius = np.sqrt(np.maximum(x * x + y * y + z * z - height * height, 0)) + self._skin
        counts = self._rising[part]
        ends = counts.cumsum()
        band = np.arange(ends[-1]) + np.repeat(self._first_rising[part] - (ends - counts), counts)
        y0, y1, r0, slope = self._profile.take(band, axis=1)
        height, radius = np.repeat(height, counts), np.repeat(radius, counts)
        crossed = ((y0 > height) != (y1 > height)) & (radius < r0 + (height - y0) * slope)
        odd = np.add.reduceat(crossed, ends - counts, dtype=np.int64) % 2 == 1
        covered[candidates[odd]] = True
        return covered
