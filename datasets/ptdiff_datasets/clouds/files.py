"""Selection of the files that are shapes of their own."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.clouds.address import address

PREFERRED = (
    ".obj", ".glb", ".gltf", ".ply", ".off", ".stl", ".pcd", ".laz", ".las", ".e57", ".npy", ".npz", ".h5", ".hdf5",
    ".xyz", ".pts", ".asc", ".txt", ".csv",
)  # fmt: skip  # in order of preference, for a shape in several formats


def one_format(
    names: Sequence[str], skipped: list[tuple[str, str]]
) -> tuple[npt.NDArray[np.bool_], dict[int, tuple[int, ...]]]:
    """Choose one of the files that differ only in their suffix, the first in ``PREFERRED``; skip the others.

    Returns True for each file chosen, and the others by the place of the file chosen, in order of preference.
    """
    stems = np.fromiter((address("stem", _stem(name)) for name in names), np.uint64, len(names))
    order = np.argsort(stems, kind="stable")
    repeats = np.zeros(len(names), np.bool_)
    repeats[1:] = stems[order[1:]] == stems[order[:-1]]
    same = sorted({*order[repeats].tolist(), *order[:-1][repeats[1:]].tolist()}, key=lambda row: _stem(names[row]))
    chosen, alike = np.ones(len(names), np.bool_), {}
    for _, rows in groupby(same, lambda row: _stem(names[row])):
        first, *others = sorted(rows, key=lambda row: (_rank(names[row]), names[row]))
        if others:
            chosen[others], alike[first] = False, tuple(others)
            skipped += [(names[row], f"the same shape as {names[first]}") for row in others]
    return chosen, alike


def whole_shapes(names: Sequence[str], chosen: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Drop those ``chosen`` files beside whole shapes that are none: partial views (PCN), query points (occupancy
    networks).

    Returns True for each file that is left.
    """
    rows = np.flatnonzero(chosen).tolist()
    whole = {_above("complete", name) for name in map(names.__getitem__, rows) if "complete/" in name} - {None}
    queries = [row for row in rows if names[row].endswith("/points.npz")]
    queried = map(names.__getitem__, rows) if queries else ()
    clouds = {name.rpartition("/")[0] for name in queried if name.endswith("/pointcloud.npz")}
    kept = chosen.copy()
    kept[[row for row in queries if names[row].rpartition("/")[0] in clouds]] = False
    if whole:
        kept[[row for row in rows if (above := _above("partial", names[row])) is not None and above in whole]] = False
    return kept


def in_order(names: Sequence[str], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Sort ``rows`` by their names, which normally are in order."""
    before = None
    for row in rows.tolist():
        name = names[row]
        if before is not None and name < before:
            return np.array(sorted(rows.tolist(), key=names.__getitem__), np.int64)
        before = name
    return rows


def _above(folder: str, name: str) -> tuple[str, ...] | None:
    """The folders above the first one called ``folder`` in a path, None if there is none."""
    *folders, _ = name.split("/")
    return tuple(folders[: folders.index(folder)]) if folder in folders else None


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _rank(name: str) -> int:
    return PREFERRED.index(PurePosixPath(name).suffix.lower())
