"""All boxes and lofts of a shape at once: sampling points on their faces, testing which points lie inside."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ptdiff_datasets.shapes.part import Part, frames
from ptdiff_datasets.shapes.polyhedra import Box, Loft
from ptdiff_datasets.shapes.solids import Counts, Floats, Mask, across_band, first_of, skin


class FlatParts:
    """Parts with flat faces, upright boxes first.

    A band lies between a near and a far edge that are parallel. A side of a loft is one band; a cap is a fan of
    triangles, bands whose near edge is a point. ``areas`` holds one value per band, ``bands`` the number per part.
    """

    def __init__(self, parts: Sequence[Part]) -> None:
        blocks = [part for part in parts if part.rotation is None and isinstance(part.solid, Box)]
        others = [part for part in parts if part.rotation is not None or not isinstance(part.solid, Box)]
        self.parts = (*blocks, *others)
        solids = [part.solid for part in self.parts if isinstance(part.solid, Loft)]
        corners = tuple([len(solid.outline) for solid in solids])
        self.bands = [3 * count - 4 for count in corners]
        x, z = np.array([corner for solid in solids for corner in solid.outline]).T
        rows = np.array([(s.base, s.height, *s.taper, *s.shift) for s in solids]).T
        base, height, a, b, dx, dz = np.repeat(rows, corners, axis=1)
        place, turn = (np.repeat(frame, corners, axis=-1)[..., None, :] for frame in frames(self.parts))
        x, y, z = np.stack([x, a * x + dx]), np.stack([base, base + height]), np.stack([z, b * z + dz])
        ends = turn[:, 0] * x + turn[:, 1] * y + turn[:, 2] * z + place  # (3, bottom and top, corners)
        first = first_of(corners)
        self.lower = np.minimum.reduceat(ends.min(axis=1), first, axis=1)
        self.upper = np.maximum.reduceat(ends.max(axis=1), first, axis=1)
        near, near_end, far, far_end = ends.reshape(3, -1).take(_edges(corners), axis=1).transpose(1, 0, 2)
        vectors = np.stack([near, near_end - near, far, far_end - far, np.empty_like(near)], axis=1)
        (x, y, z), (u, v, w) = far_end - near, near_end - far
        normals = np.stack([y * w - z * v, z * u - x * w, x * v - y * u])  # np.cross takes six times as long
        length = np.sqrt(np.square(normals).sum(axis=0))
        self.areas = length / 2
        vectors[:, 4] = normals / np.maximum(length, 1e-300)
        self._vectors = vectors.astype(np.float32)
        self._widths = np.sqrt(np.square(vectors[:, 1:4:2]).sum(axis=0)).astype(np.float32)
        self._blocks = len(blocks)
        offsets = ((vectors[:, 4] * far).sum(axis=0) - skin(self.lower, self.upper)).astype(np.float32)[:, None]
        starts = first_of(self.bands).tolist()[self._blocks :]
        planes = [slice(start, start + count + 2) for start, count in zip(starts, corners[self._blocks :], strict=True)]
        self._planes = [(self._vectors[:, 4, some].T, offsets[some]) for some in planes]

    def sample(self, rng: np.random.Generator, counts: Counts, normals: bool) -> tuple[Floats, Floats | None]:
        """Sample counts[i] points uniformly on every band i, in order: (3, sum of counts), and normals if asked."""
        u0, u1 = rng.random((2, int(counts.sum())), dtype=np.float32)
        near, near_step, far, far_step = np.repeat(self._vectors[:, :4], counts, axis=2).transpose(1, 0, 2)
        near += u1 * near_step
        far += u1 * far_step
        far -= near
        far *= across_band(u0, *np.repeat(self._widths, counts, axis=1))
        near += far
        return near, np.repeat(self._vectors[:, 4], counts, axis=1) if normals else None

    def covered(self, points: Floats, near: Mask) -> Mask:
        """Return which points (3, k) lie inside a part: bool (k,); near[i] marks those in part i's bounding box."""
        covered: Mask = np.any(near[: self._blocks], axis=0)  # an upright box is its own bounding box
        for row, (normals, offsets) in zip(near[self._blocks :], self._planes, strict=True):
            candidates = np.flatnonzero(row)
            if candidates.size:
                below = normals @ points.take(candidates, axis=1) < offsets
                covered[candidates[below.all(axis=0)]] = True
        return covered


@lru_cache(maxsize=4096)
def _edges(corners: tuple[int, ...]) -> Counts:
    """Indices (4, bands) of each band's near and far edge among all bottom corners followed by all top corners.

    The first c + 2 bands of a part with c corners lie in its c + 2 planes; the rest are the other triangles of its
    caps.
    """
    total, first = sum(corners), 0
    edges = []
    for count in corners:
        low = np.arange(count)
        sides = np.stack([low, np.roll(low, -1), low + total, np.roll(low, -1) + total])
        tip, fan = np.zeros(count - 2, dtype=np.int64), np.arange(1, count - 1)
        bottom, top = np.stack([tip, tip, fan, fan + 1]), np.stack([tip, tip, fan + 1, fan]) + total
        edges += [part + first for part in (sides, bottom[:, :1], top[:, :1], bottom[:, 1:], top[:, 1:])]
        first += count
    return np.concatenate(edges, axis=1)
