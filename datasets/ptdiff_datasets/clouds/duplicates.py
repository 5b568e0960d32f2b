"""Duplicate shapes: the same points, or other points of (nearly) the same surface.

Candidates come from hashing: a shape, moved and scaled into a cube, occupies some of 8 x 8 x 8 cells. Sets of cells
with Jaccard similarity J agree in one row of a min-hash (Broder 1997) with probability J, so in one of eight bands of
four rows almost surely if J > 0.8. A candidate is a twin if its points lie as near to the shape's as the shape's two
halves to each other, as two samples of one surface do. Differences below the spacing of the points are not detected.
"""

import hashlib
from collections.abc import Callable, Iterator

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
    same, first = _equal(count, cloud)
    kept: npt.NDArray[np.int64] = np.flatnonzero(first)
    keys = np.zeros((len(kept), BANDS), np.uint64)
    sides = np.zeros((len(kept), 3))
    leads = np.zeros(len(kept), np.bool_)  # shapes that are not twins of earlier ones
    for place, i in enumerate(kept.tolist()):
        if progress is not None:
            progress(i + 1, count)
        points = _thinned(cloud(i))
        if len(points) >= LEAST and np.ptp(points, axis=0).max() > 0:
            keys[place], sides[place], leads[place] = _bands(points), np.ptp(_unit(points), axis=0), True
    before = _earlier(keys, leads)
    del keys
    group: dict[int, list[int]] = {}
    for place, i in enumerate(kept.tolist()):
        if (before[place] < 0).all():
            continue
        alike = {j for j in _chain(before, place) if leads[j] and np.abs(sides[j] - sides[place]).max() < ROOM}
        seen = sorted(sorted(alike), key=lambda j: float(np.abs(sides[j] - sides[place]).max()))[:MOST]
        points = _unit(_thinned(cloud(i)))
        twin = next((j for j in seen if _near(_unit(_thinned(cloud(int(kept[j])))), points)), None)
        if twin is not None:
            leads[place] = False
            group.setdefault(twin, [int(kept[twin])]).append(i)
    return same, [group[leader] for leader in sorted(group)]


def _equal(count: int, cloud: Callable[[int], Floats]) -> tuple[list[list[int]], npt.NDArray[np.bool_]]:
    """Group the shapes with equal points; also mark each shape that is not equal to an earlier one, (count,)."""
    prints = np.empty((count, 2), np.uint64)
    for i in range(count):
        prints[i] = np.frombuffer(fingerprint(cloud(i))[:16], np.uint64)  # 128 bits are enough to tell shapes apart
    order = np.lexsort((prints[:, 1], prints[:, 0]))  # stable: equal ones in the order of their places
    repeats = np.zeros(count, np.bool_)
    repeats[1:] = (prints[order[1:]] == prints[order[:-1]]).all(axis=1)
    first = np.ones(count, np.bool_)
    first[order[repeats]] = False
    same: list[list[int]] = []
    for place in np.flatnonzero(repeats).tolist():
        if not repeats[place - 1]:
            same.append([int(order[place - 1])])
        same[-1].append(int(order[place]))
    return sorted(same), first


def _earlier(keys: npt.NDArray[np.uint64], used: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Return for each row and each of its keys the last row before it with the same key, -1 for none; (n, BANDS)."""
    before = np.full(keys.shape, -1, np.int32)
    rows = np.flatnonzero(used)
    for band in range(keys.shape[1]):
        order = rows[np.argsort(keys[rows, band], kind="stable")]
        same = keys[order[1:], band] == keys[order[:-1], band]
        before[order[1:][same], band] = order[:-1][same]
    return before


def _chain(before: npt.NDArray[np.int32], place: int) -> Iterator[int]:
    """Yield the earlier rows that share a key with ``place``, some more than once."""
    for band in range(before.shape[1]):
        row = int(before[place, band])
        while row >= 0:
            yield row
            row = int(before[row, band])


def _thinned(points: Floats) -> Floats:
    """Thin the points evenly to about two halves, so that a shape has the same twins however many points are stored."""
    return points[:: max(1, len(points) // (2 * POINTS))]


def _unit(points: Floats) -> npt.NDArray[np.float64]:
    """Scale the points into a cube of side 1 around zero."""
    low, high = points.min(axis=0).astype(np.float64), points.max(axis=0).astype(np.float64)
    placed: npt.NDArray[np.float64] = (points - (low + high) / 2) / (high - low).max()
    return placed


def _bands(points: Floats) -> npt.NDArray[np.uint64]:
    cells = np.clip(((_unit(points) + 0.5) * CELLS).astype(np.int64), 0, CELLS - 1)
    occupied = np.unique(cells @ np.array([CELLS * CELLS, CELLS, 1]))
    least = _RANKS[:, occupied].min(axis=1).reshape(BANDS, ROWS)
    return np.ascontiguousarray(least).view(np.uint64)[:, 0]


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
