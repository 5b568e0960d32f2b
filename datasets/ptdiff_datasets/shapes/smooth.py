"""The ellipsoids and torus arcs of a shape: few, so handled one by one."""

from collections.abc import Sequence

import numpy as np

from ptdiff_datasets.shapes.curved import Ellipsoid, TorusArc
from ptdiff_datasets.shapes.part import Part
from ptdiff_datasets.shapes.solids import Counts, Floats, Mask


class SmoothParts:
    """Parts whose solids sample their own points; each counts as one band."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = tuple(parts)
        self._solids = [part.solid for part in parts if isinstance(part.solid, Ellipsoid | TorusArc)]
        self.bands = [1] * len(self.parts)
        self.areas = np.array([solid.area for solid in self._solids])
        self._places = [np.array(part.position)[:, None] for part in parts]
        lower, upper = zip(*(s.extent(p.turn) for s, p in zip(self._solids, parts, strict=True)), strict=True)
        self.lower = np.stack(lower, axis=1) + np.concatenate(self._places, axis=1)
        self.upper = np.stack(upper, axis=1) + np.concatenate(self._places, axis=1)

    def sample(self, rng: np.random.Generator, counts: Counts, normals: bool) -> tuple[Floats, Floats | None]:
        """Sample counts[i] points uniformly on every part i, in order: (3, sum of counts), and normals if asked."""
        points = np.empty((3, int(counts.sum())), dtype=np.float32)
        outward = np.empty_like(points)
        end = 0
        for part, solid, place, count in zip(self.parts, self._solids, self._places, counts.tolist(), strict=True):
            start, end = end, end + count
            local, normal = solid.sample(rng, count)
            points[:, start:end] = part.turn @ local + place
            outward[:, start:end] = part.turn @ normal
        return points, outward if normals else None

    def covered(self, points: Floats, near: Mask) -> Mask:
        """Return which points (3, k) lie inside a part: bool (k,); near[i] marks those in part i's bounding box."""
        covered = np.zeros(points.shape[1], dtype=np.bool_)
        for part, solid, place, row in zip(self.parts, self._solids, self._places, near, strict=True):
            candidates = np.flatnonzero(row)
            if candidates.size:
                inside = solid.inside(part.turn.T @ (points.take(candidates, axis=1) - place))
                covered[candidates[inside]] = True
        return covered
