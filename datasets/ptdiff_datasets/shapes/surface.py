"""The outer surface of a shape: the union of its parts, sampled in one NumPy pass for all parts of a kind."""

from collections.abc import Sequence

import numpy as np

from ptdiff_datasets.shapes.curved import Ellipsoid, TorusArc
from ptdiff_datasets.shapes.flat import FlatParts
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.polyhedra import Loft
from ptdiff_datasets.shapes.revolution import Revolution
from ptdiff_datasets.shapes.smooth import SmoothParts
from ptdiff_datasets.shapes.solids import Array, Floats, Mask, first_of, skin
from ptdiff_datasets.shapes.turned import TurnedParts

_KINDS = ((FlatParts, Loft), (TurnedParts, Revolution), (SmoothParts, Ellipsoid | TorusArc))


class Surface:
    """The outer surface of the union of parts; ``lower`` and ``upper`` (3,) are the exact bounding box in meters."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._kinds: list[FlatParts | TurnedParts | SmoothParts] = []
        for kind, solids in _KINDS:
            chosen = [part for part in parts if isinstance(part.solid, solids)]
            if chosen:
                self._kinds.append(kind(chosen))
        areas = np.concatenate([kind.areas for kind in self._kinds])
        self.area = float(areas.sum())
        """Area of all parts together, hidden surfaces included."""
        self._shares = areas / self.area
        self._bands = [size for kind in self._kinds for size in kind.bands]
        lower = np.concatenate([kind.lower for kind in self._kinds], axis=1)
        upper = np.concatenate([kind.upper for kind in self._kinds], axis=1)
        self.lower: Array = lower.min(axis=1)
        self.upper: Array = upper.max(axis=1)
        thin = skin(lower, upper)
        self._low, self._high = (
            (lower + thin).astype(np.float32)[..., None],
            (upper - thin).astype(np.float32)[..., None],
        )

    def sample(self, rng: np.random.Generator, count: int, normals: bool) -> tuple[Floats, Floats | None]:
        """Sample ``count`` points uniformly by area on all parts and keep those inside no part: (3, at most count).

        Their order is random. With ``normals`` also their unit outward normals; the points are the same either way.
        """
        counts = rng.multinomial(count, self._shares)
        drawn = []
        end = 0
        for kind in self._kinds:
            start, end = end, end + len(kind.areas)
            drawn.append(kind.sample(rng, counts[start:end], normals))
        points = np.concatenate([block for block, _ in drawn], axis=1)
        near = self._near(points)
        owned = np.add.reduceat(counts, first_of(self._bands)).cumsum().tolist()
        for row, start, end in zip(near, [0, *owned], owned, strict=False):
            row[start:end] = False  # a part does not hide its own points
        order = rng.permutation(count)
        order = order[~self._covered(points, near)[order]]
        outward = np.concatenate([block for _, block in drawn if block is not None], axis=1) if normals else None
        return points.take(order, axis=1), None if outward is None else outward.take(order, axis=1)

    def inside(self, points: Floats) -> Mask:
        """Return which of the points (3, k), in meters, lie strictly inside any part: bool (k,)."""
        return self._covered(points, self._near(points))

    def _near(self, points: Floats) -> Mask:
        """Mark the points strictly inside the bounding box of each part: bool (parts, k)."""
        (x, y, z), low, high = points, self._low, self._high
        near: Mask = (x > low[0]) & (x < high[0])
        near &= (y > low[1]) & (y < high[1])
        near &= (z > low[2]) & (z < high[2])
        return near

    def _covered(self, points: Floats, near: Mask) -> Mask:
        covered = np.zeros(points.shape[1], dtype=np.bool_)
        end = 0
        for kind in self._kinds:
            start, end = end, end + len(kind.bands)
            covered |= kind.covered(points, near[start:end])
        return covered
