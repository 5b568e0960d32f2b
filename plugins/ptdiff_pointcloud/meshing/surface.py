"""The surface of one cloud: cleaning, properties, and mesh files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff.choices import unknown
from ptdiff_pointcloud.data.channels import turned

Floats = npt.NDArray[np.float64]
FORMATS = ("glb", "obj", "stl", "ply")
SMALLEST = 0.01
"""Fraction of the largest component's area below which a component counts as a bubble; parts of shapes are larger."""


@dataclass(frozen=True, eq=False)
class Surface:
    """Triangles, as trimesh holds them, +Y up, around ``origin``, (x, y, z) in float64; () for zero.

    ``up``: axis that points up in files, but for glb, where it is +Y by the standard.
    """

    triangles: Any
    origin: tuple[float, ...] = ()
    up: str = "y"

    def at(self, origin: tuple[float, ...]) -> Surface:
        """Return the surface around another origin."""
        return replace(self, origin=origin)

    @property
    def watertight(self) -> bool:
        """True if every edge joins two faces, according to trimesh."""
        return bool(self.triangles.is_watertight)

    @property
    def components(self) -> int:
        """Number of parts that share no edge."""
        return len(_components(self.triangles))

    @property
    def faces(self) -> int:
        """The number of triangles."""
        return len(self.triangles.faces)

    def save(self, path: Path | str) -> None:
        """Write glb, obj, stl or ply, by the suffix; UnknownName for another suffix.

        A mesh far from zero keeps its digits: glb in the translation of its node, ply in doubles, obj and stl in text.
        """
        path = Path(path)
        kind = path.suffix[1:].lower()
        if kind not in FORMATS:
            raise unknown("mesh format", kind, FORMATS)
        if self.up != "y" and kind != "glb":
            self._turned().save(path)
        elif not self.origin:
            self.triangles.export(path, file_type=kind)
        elif kind == "glb":
            import trimesh

            scene = trimesh.Scene()
            scene.add_geometry(self.triangles, transform=trimesh.transformations.translation_matrix(self.origin))
            scene.export(path, file_type=kind)
        else:
            write_exact(path, kind, self.triangles.vertices + np.array(self.origin), self.triangles)

    def _turned(self) -> Surface:
        """Return the same surface in the axes of files."""
        triangles = self.triangles.copy()
        triangles.vertices = turned(np.asarray(triangles.vertices), self.up, back=True)
        origin = turned(np.array(self.origin), self.up, back=True).tolist() if self.origin else ()
        return Surface(triangles, tuple(origin))


def write_exact(path: Path, kind: str, vertices: Floats, triangles: Any) -> None:
    """Write triangles with their vertices (n, 3) in float64 as obj, stl (text) or ply (binary, doubles)."""
    from ptdiff.documents.atomic import whole

    faces = triangles.faces
    if kind == "ply":
        header = [
            "ply",
            "format binary_little_endian 1.0",
            f"element vertex {len(vertices)}",
            *(f"property double {axis}" for axis in "xyz"),
            f"element face {len(faces)}",
            "property list uchar int vertex_indices",
            "end_header",
        ]
        rows = np.empty(len(faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
        rows["count"], rows["corners"] = 3, faces
        content = ("\n".join(header) + "\n").encode() + vertices.astype("<f8").tobytes() + rows.tobytes()
    elif kind == "obj":
        lines = [f"v {x!r} {y!r} {z!r}" for x, y, z in vertices.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
        content = ("\n".join(lines) + "\n").encode()
    else:
        lines = ["solid ptdiff"]
        for normal, corners in zip(triangles.face_normals.tolist(), vertices[faces].tolist(), strict=True):
            lines.append("facet normal {:.9g} {:.9g} {:.9g}\nouter loop".format(*normal))
            lines += [f"vertex {x!r} {y!r} {z!r}" for x, y, z in corners]
            lines.append("endloop\nendfacet")
        content = "\n".join([*lines, "endsolid ptdiff", ""]).encode()
    with whole(path) as part:
        part.write_bytes(content)


def cleaned(vertices: npt.ArrayLike, faces: npt.ArrayLike, points: Floats, reach: float) -> Surface:
    """Remove the bubbles of a surface and orient it outwards.

    Every component is kept that has at least 1 % of the largest one's area and comes within ``reach`` of one of the
    points (n, 3). Where Poisson's density is low, a component goes as a whole or not at all, because holes cut into it
    would leave it open.

    Raises ValueError if nothing is left.
    """
    import trimesh
    from scipy.spatial import KDTree

    whole = parted(trimesh.Trimesh(np.asarray(vertices), np.asarray(faces)))
    near = np.isfinite(KDTree(points).query(whole.triangles_center, distance_upper_bound=reach)[0])
    parts = [part for part in _components(whole) if near[part].any()]
    areas = [whole.area_faces[part].sum() for part in parts]
    kept = [part for part, area in zip(parts, areas, strict=True) if area >= SMALLEST * max(areas)]
    if not kept:
        raise ValueError("no surface was found in this cloud: it has too few points, or they lie too far apart")
    whole.update_faces(np.concatenate(kept))
    whole.remove_unreferenced_vertices()
    if whole.is_watertight and whole.volume < 0:
        whole.invert()
    return Surface(whole)


def parted(mesh: Any) -> Any:
    """Separate sheets that touch along an edge, so that no edge joins more than two faces.

    Around such an edge, faces of both windings alternate; each is joined with its neighbor across the solid or, if that
    leaves the mesh open, across the void. Corners that no pair of faces joins get vertices of their own, moved into
    their sheets by a thousandth of an edge, because a file would merge coinciding ones. Sheets that are joined around
    both ends of the edge cannot be separated; there the edge gets a corner in its middle.
    """
    found = _parted(mesh, 1)
    for whole, turn in ((mesh, 0), (halved := _halved(mesh), 1), (halved, 0)):
        if found.is_watertight:
            return found
        found = _parted(whole, turn)
    return found if found.is_watertight else _parted(mesh, 1)


def _halved(mesh: Any) -> Any:
    """Add a corner in the middle of every edge that joins more than two faces."""
    import trimesh

    pairs, counts = np.unique(np.sort(mesh.edges, axis=1), axis=0, return_counts=True)
    shared = pairs[counts > 2]
    middle = {(int(a), int(b)): len(mesh.vertices) + i for i, (a, b) in enumerate(shared)}
    vertices = np.concatenate([mesh.vertices, mesh.vertices[shared].mean(axis=1)])
    faces, waiting = [], [tuple(map(int, face)) for face in mesh.faces]
    while waiting:
        face = waiting.pop()
        for k in range(3):
            a, b, c = face[k], face[(k + 1) % 3], face[(k + 2) % 3]
            half = middle.get((min(a, b), max(a, b)))
            if half is not None:
                waiting += [(a, half, c), (half, b, c)]
                break
        else:
            faces.append(face)
    return trimesh.Trimesh(vertices, faces, process=False)


def _parted(mesh: Any, turn: int) -> Any:
    """Separate touching sheets; ``turn``: 1 joins across the solid, 0 across the void."""
    import trimesh
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    flat = mesh.faces.ravel()
    start = np.arange(flat.size)
    end = np.roll(start.reshape(-1, 3), -1, axis=1).ravel()
    low, high = np.minimum(flat[start], flat[end]), np.maximum(flat[start], flat[end])
    forward = flat[start] == low
    _, edge, counts = np.unique(low * len(mesh.vertices) + high, return_inverse=True, return_counts=True)
    angle = _angles(mesh, low, high, start // 3)
    order = np.lexsort((angle, edge))
    first = np.r_[0, np.cumsum(counts)[:-1]]
    pairs = []
    for at, count in zip(first, counts, strict=True):
        around = order[at : at + count]
        if count == 2:
            pairs.append(around)
        elif count % 2 == 0:
            # a forward face is followed along the turn by the void: the solid lies between it and the face before
            turned = np.roll(around, turn - int(forward[around].argmax()))
            pairs.extend(turned.reshape(-1, 2))
    one, two = np.array(pairs).T
    same = forward[one] != forward[two]
    one, two = one[same], two[same]
    rows, columns = np.r_[start[one], end[one]], np.r_[end[two], start[two]]
    joined = coo_array((np.ones(len(rows)), (rows, columns)), shape=(flat.size, flat.size))
    count, vertex = connected_components(joined, directed=False)
    places = np.zeros((count, 3))
    places[vertex] = mesh.vertices[flat]
    inward = np.zeros((count, 3))
    np.add.at(inward, vertex, np.repeat(mesh.triangles_center, 3, axis=0) - places[vertex])
    inward /= np.bincount(vertex, minlength=count)[:, None]
    sources = np.zeros(count, np.int64)
    sources[vertex] = flat
    shared = np.bincount(sources, minlength=len(mesh.vertices))[sources] > 1
    places[shared] += 1e-3 * inward[shared]
    return trimesh.Trimesh(places, vertex.reshape(-1, 3), process=False)


def _angles(mesh: Any, low: npt.NDArray[np.int64], high: npt.NDArray[np.int64], face: npt.NDArray[np.int64]) -> Floats:
    """The angle of each face around its edge, seen along the edge from its lower to its higher vertex."""
    along = mesh.vertices[high] - mesh.vertices[low]
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), np.finfo(float).tiny)
    across = np.cross(along, np.eye(3)[np.abs(along).argmin(1)])
    out = mesh.triangles_center[face] - mesh.vertices[low]
    angle: Floats = np.arctan2((out * np.cross(along, across)).sum(1), (out * across).sum(1))
    return angle


def _components(mesh: Any) -> list[npt.NDArray[np.int64]]:
    import trimesh

    found = trimesh.graph.connected_components(mesh.face_adjacency, nodes=np.arange(len(mesh.faces)), min_len=1)
    return [np.asarray(part) for part in found]
