"""Duplicate shapes: the same points, or other points of (nearly) the same surface.

Candidates come from hashing: a shape, moved and scaled into a cube, occupies some of 8 x 8 x 8 cells. Sets of cells
with Jaccard similarity J agree in one row of a min-hash (Broder 1997) with probability J, so in one of eight bands of
four rows almost surely if J > 0.8. A candidate is a twin if its points lie as near to the shape's as the shape's two
halves to each other, as two samples of one surface do. Differences below the spacing of the points are not detected.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

CELLS, BANDS, ROWS = 8, 8, 4
POINTS = 1024  # points of each half
NEAR = 1.08  # in multiples of the distance of the halves, which varies by 2 % between two samples
ROOM = 0.03  # difference in box sides between two samples, in sides of the cube
MOST = 8  # candidates to compare a shape with
LEAST = 128  # with fewer points, only equality is detected

Floats = npt.NDArray[np.floating]


def fingerprint(points: Floats) -> bytes:
    """Hash the points (n, 3), whatever their order."""
    rows = np.ascontiguousarray(points, np.float32)
    order = np.lexsort(rows.T)
    return hashlib.sha256(rows[order].tobytes()).digest()


def groups(count: int, cloud: Callable[[int], Floats]) -> list[list[int]]:
    """Group the shapes that are equal or nearly equal, each shape in at most one group; see :func:`twins`."""
    same, near = twins(count, cloud)
    copies = {group[0]: group for group in same}
    joined = [[i for first in group for i in copies.pop(first, [first])] for group in near]
    return [*joined, *copies.values()]


def twins(
    count: int, cloud: Callable[[int], Floats], progress: Callable[[int, int], None] | None = None
) -> tuple[list[list[int]], list[list[int]]]:
    """Find groups of equal shapes, and groups of nearly equal ones (with one shape of each equal group).

    cloud(i) returns the points (n, 3) of shape i; progress(done, count) is called for each.
    """
    equal: dict[bytes, list[int]] = defaultdict(list)
    for i in range(count):
        equal[fingerprint(cloud(i))].append(i)
    buckets: dict[bytes, list[int]] = defaultdict(list)
    group: dict[int, list[int]] = {}
    sides: dict[int, npt.NDArray[np.float64]] = {}
    for i in (members[0] for members in equal.values()):
        if progress is not None:
            progress(i + 1, count)
        points = _thinned(cloud(i))
        if len(points) < LEAST or np.ptp(points, axis=0).max() == 0:
            continue
        keys, mine = _bands(points), np.ptp(_unit(points), axis=0)
        alike = {j for key in keys for j in buckets[key] if np.abs(sides[j] - mine).max() < ROOM}
        seen = sorted(alike, key=lambda j: float(np.abs(sides[j] - mine).max()))[:MOST]
        twin = next((j for j in seen if _near(_unit(_thinned(cloud(j))), _unit(points))), None)
        if twin is None:
            for key in keys:
                buckets[key].append(i)
            group[i], sides[i] = [i], mine
        else:
            group[twin].append(i)
    same = [members for members in equal.values() if len(members) > 1]
    return same, [members for members in group.values() if len(members) > 1]


def _thinned(points: Floats) -> Floats:
    """Thin the points evenly to about two halves, so that a shape has the same twins however many points are stored."""
    return points[:: max(1, len(points) // (2 * POINTS))]


def _unit(points: Floats) -> npt.NDArray[np.float64]:
    """Scale the points into a cube of side 1 around zero."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    placed: npt.NDArray[np.float64] = (points - (low + high) / 2) / (high - low).max()
    return placed


def _bands(points: Floats) -> list[bytes]:
    cells = np.clip(((_unit(points) + 0.5) * CELLS).astype(np.int64), 0, CELLS - 1)
    occupied = np.unique(cells @ np.array([CELLS * CELLS, CELLS, 1]))
    least = _RANKS[:, occupied].min(axis=1).reshape(BANDS, ROWS)
    return [bytes([band]) + row.tobytes() for band, row in enumerate(least)]


_RANKS = np.stack([np.random.default_rng(i).permutation(CELLS**3).astype(np.int16) for i in range(BANDS * ROWS)])


def _near(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> bool:
    """True if two shapes lie as near to each other as their own halves, on average."""
    pairs = [_distances(one, other), _distances(other, one)]
    return sum(across for _, across in pairs) <= NEAR * sum(own for own, _ in pairs)


def _distances(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Mean distances from half of ``one`` to the nearest points of its other half, and of ``other``."""
    size = min(POINTS, len(one) // 2, len(other) // 2)
    order = np.random.default_rng(0).permutation(len(one))
    mine, rest = one[order[:size]], one[order[size : 2 * size]]
    theirs = other[np.random.default_rng(1).permutation(len(other))[:size]]
    own, across = (float(np.mean(KDTree(tree).query(mine)[0])) for tree in (rest, theirs))
    return own, across
