"""Selection of the files that are shapes of their own."""

from pathlib import PurePosixPath

from ptdiff_datasets.directory_scan import Stamp

PREFERRED = (
    ".obj", ".glb", ".gltf", ".ply", ".off", ".stl", ".pcd", ".laz", ".las", ".e57", ".npy", ".npz", ".h5", ".hdf5",
    ".xyz", ".pts", ".asc", ".txt", ".csv",
)  # fmt: skip  # in order of preference, for a shape in several formats


def one_format(
    found: dict[str, Stamp], skipped: list[tuple[str, str]]
) -> tuple[dict[str, Stamp], dict[str, tuple[str, ...]]]:
    """Keep one of the files that differ only in their suffix, the first in ``PREFERRED``; skip the others.

    Returns the files kept, and for each that has them, the others in order of preference.
    """
    alike: dict[PurePosixPath, list[str]] = {}
    for id in sorted(found, key=lambda id: (PREFERRED.index(PurePosixPath(id).suffix.lower()), id)):
        alike.setdefault(PurePosixPath(id).with_suffix(""), []).append(id)
    for first, *others in alike.values():
        skipped += [(id, f"the same shape as {first}") for id in others]
    kept = {ids[0]: found[ids[0]] for ids in alike.values()}
    return kept, {ids[0]: tuple(ids[1:]) for ids in alike.values() if len(ids) > 1}


def whole_shapes(found: dict[str, Stamp]) -> tuple[dict[str, Stamp], int]:
    """Drop files beside whole shapes that are none: partial views (PCN), query points (occupancy networks).

    Returns the files kept and the number of files dropped.
    """
    paths = {id: id.split("/") for id in found}
    whole = {tuple(p[: p.index("complete")]) for p in paths.values() if "complete" in p[:-1]}
    clouds = {id.rpartition("/")[0] for id in found if id.endswith("/pointcloud.npz")}
    kept = {
        id: mark
        for id, mark in found.items()
        if not ("partial" in paths[id][:-1] and tuple(paths[id][: paths[id].index("partial")]) in whole)
        and not (id.endswith("/points.npz") and id.rpartition("/")[0] in clouds)
    }
    return kept, len(found) - len(kept)
