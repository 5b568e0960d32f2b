"""Polygons cut into triangles that cover the same area, convex or not.

A fan from the first corner is right if no triangle of it is turned over; this is tested for all polygons at once. The
others, concave ones, are cut by mapbox_earcut in the plane that they fill most.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
TURNED = 1e-9  # area turned over that rounding explains, relative to the area of the polygon


def triangles(vertices: Floats, corners: Ints, sizes: Ints) -> tuple[Ints, int]:
    """Cut polygons into triangles (f, 3), in their order, and count those that cross themselves (cut as fans).

    vertices: (v, 3), finite. corners: the corners of all polygons, one after the other, valid indices into the
    vertices. sizes: number of corners of each polygon, at least 3.
    """
    if len(sizes) == 0:
        return np.empty((0, 3), np.int64), 0
    if sizes.max() == 3:
        return corners.reshape(-1, 3), 0
    ends = np.cumsum(sizes - 2)
    out = np.full((int(ends[-1]), 3), -1, np.int64)
    first, starts, crossed = ends - (sizes - 2), np.cumsum(sizes) - sizes, 0
    for size in np.unique(sizes).tolist():
        of_size = np.flatnonzero(sizes == size)
        polygons = corners[starts[of_size, None] + np.arange(size)]
        cut = _fans(polygons)
        turned = np.flatnonzero(~_covers(vertices, polygons, cut))
        for i in turned.tolist():
            ears = _ears(vertices, polygons[i])
            if ears is None:
                crossed += 1
            else:
                cut[i, : len(ears)] = ears
                cut[i, len(ears) :] = -1
        out[first[of_size, None] + np.arange(size - 2)] = cut
    return out[out[:, 0] >= 0], crossed


def _fans(polygons: Ints) -> Ints:
    """Fans (m, n - 2, 3) of polygons (m, n)."""
    m, n = polygons.shape
    return np.stack([np.broadcast_to(polygons[:, :1], (m, n - 2)), polygons[:, 1:-1], polygons[:, 2:]], axis=2)


def _covers(vertices: Floats, polygons: Ints, cut: Ints) -> npt.NDArray[np.bool_]:
    """True for each polygon (m, n) of which no triangle (m, n - 2, 3) is turned over."""
    crosses = _crosses(vertices, cut)
    normals = crosses.sum(axis=1)
    along = np.einsum("mtk,mk->mt", crosses, normals)
    whole = np.einsum("mk,mk->m", normals, normals)
    flat = np.abs(crosses).max(axis=(1, 2)) == 0
    covered: npt.NDArray[np.bool_] = flat | ((along >= -TURNED * whole[:, None]).all(axis=1) & (whole > 0))
    return covered


def _crosses(vertices: Floats, cut: Ints) -> Floats:
    """Twice the area vectors (m, t, 3) of triangles (m, t, 3), in units of the largest side of each polygon."""
    points = vertices[cut]
    sides = points[:, :, 1:] - points[:, :, :1]
    largest = np.abs(sides).max(axis=(1, 2, 3), keepdims=True)
    sides = sides / np.where(largest > 0, largest, 1)
    crosses: Floats = np.cross(sides[:, :, 0], sides[:, :, 1])
    return crosses


def _ears(vertices: Floats, polygon: Ints) -> Ints | None:
    """Triangles (t, 3) of one polygon (n,), turned as the polygon is; None if it crosses itself."""
    from mapbox_earcut import triangulate_float64

    points = vertices[polygon] - vertices[polygon[0]]
    points = points / np.abs(points).max()
    normal = np.cross(points[1:-1], points[2:]).sum(axis=0)
    dropped = int(np.abs(normal).argmax())
    flat = np.ascontiguousarray(np.delete(points, dropped, axis=1))
    cut = triangulate_float64(flat, np.array([len(flat)], np.uint32)).astype(np.int64).reshape(-1, 3)
    whole = _doubled(flat, _fans(np.arange(len(flat))[None])[0]).sum()
    areas = _doubled(flat, cut)
    if whole == 0 or abs(np.abs(areas).sum() - abs(whole)) > 1e-6 * abs(whole):
        return None
    cut[areas * whole < 0] = cut[areas * whole < 0][:, ::-1]
    turned: Ints = polygon[cut]
    return turned


def _doubled(flat: Floats, cut: Ints) -> Floats:
    """Twice the signed areas (t,) of triangles (t, 3) in the plane."""
    a, b, c = flat[cut].transpose(1, 0, 2)
    areas: Floats = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    return areas
