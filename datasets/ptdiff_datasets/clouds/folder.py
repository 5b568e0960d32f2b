"""A user's folder of meshes and point clouds, or a store made of one, as a `CloudSet`.

Meshes are sampled by area once; the dense clouds are kept in a cache and re-sampled for every batch
(`CloudSet.draw`). What a shape becomes depends on its file and its path below the root only.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets import cache as caches
from ptdiff_datasets.clouds import store
from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.layout import Layout, Shape, chosen, existing, only, scan
from ptdiff_datasets.clouds.reading import Dense, read_shapes
from ptdiff_datasets.clouds.splits import RULE, SPLITS, splits
from ptdiff_datasets.clouds.summary import Summary
from ptdiff_datasets.errors import DataError, FormatError, printable

NORMALIZE = ("auto", "box", "per-shape", "global", "none")
Progress = Callable[[int, int], None]


def load_folder(
    root: str | Path,
    *,
    points: int = 8192,
    normalize: str = "auto",
    classes: Sequence[str] | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> CloudSet:
    """All shapes below `root` in one of the layouts of `ptdiff_datasets.clouds.layout`, of a single file, or of a
    store.

    `points` are sampled from each mesh; of a larger cloud file so many are kept, of a smaller one all; a store is
    taken as it is. `normalize`: "box" centers each shape on its bounding box and divides by the box's diagonal;
    "per-shape" centers it on its mean and divides by the deviation of its coordinates; "global" and "none" keep the
    coordinates of the files (for "global" the caller measures one mean and scale); "auto" is "global" for arrays in
    train, val and test folders, else "box". `classes`: these only. `progress(done, total)` is called for each shape.
    `cache`: see `ptdiff_datasets.cache.default_cache`. A file that cannot be read is skipped, with its reason in the
    summary. DataError if nothing can be read, or if a store is damaged.
    """
    started = time.perf_counter()
    if normalize not in NORMALIZE:
        raise ValueError(f"normalize={normalize!r}: one of {', '.join(NORMALIZE)}")
    if points < 1:
        raise ValueError(f"points={points}: at least 1")
    root = existing(root)
    if root.is_dir() and store.is_store(root):
        return _opened(root, normalize, classes, started)
    layout = scan(root)
    if classes is not None:
        layout = only(layout, classes)
    if not layout.shapes:
        raise DataError(nothing(layout, layout.skipped))
    base = Path(cache) if cache is not None else caches.default_cache()
    entry = base / "clouds" / _entry(root, layout, points, classes)
    damaged, cached = None, False
    try:
        arrays, index = store.load(entry)
        cached = True
    except FileNotFoundError:
        pass
    except store.DamagedError as error:
        damaged = str(error)
    if not cached:
        with caches.workplace(entry) as folder:
            whole = build(root, layout, folder, points, progress)
            if whole:
                caches.keep(folder, entry)
            # where a file could not be opened nothing is kept: the mapping outlives the files
            arrays, index = store.load(entry if whole else folder)
    place = str(entry.parent) if entry.exists() else ""
    return _assembled(root, normalize, arrays, index, started, (layout.skipped, layout.other), cached, damaged, place)


def _opened(root: Path, normalize: str, classes: Sequence[str] | None, started: float) -> CloudSet:
    try:
        arrays, index = store.load(root)
    except (store.DamagedError, FileNotFoundError) as error:
        raise DataError(f"{printable(root)} is a damaged store: {error}; import it again") from None
    left_out = tuple((path, reason) for path, reason in index.source["left_out"])
    left = (left_out, int(index.source["other"]))
    clouds = _assembled(root, normalize, arrays, index, started, left, True, None, str(root))
    if classes is None:
        return clouds
    names = [clouds.classes[label] if label >= 0 else "" for label in clouds.labels.tolist()]
    wanted = chosen(set(names), classes, root)
    part = clouds.subset([i for i, name in enumerate(names) if name in wanted])
    kept = tuple(name for name in clouds.classes if name in wanted)
    labels = np.array([kept.index(clouds.classes[label]) for label in part.labels.tolist()], np.int64)
    counts = {name: row for name, row in clouds.summary.counts.items() if name in wanted}
    return replace(part, labels=labels, classes=kept, summary=replace(clouds.summary, counts=counts))


def _entry(root: Path, layout: Layout, points: int, classes: Sequence[str] | None) -> str:
    """The root and the options, then all files' sizes, times and modes, and what reads them, each as a hash."""
    asked_for = [str(root.resolve()), points, sorted(classes) if classes is not None else None]
    files = [(s.id, s.label, s.split, *s.stamp) for s in layout.shapes]
    found = [store.VERSION, RULE, version("trimesh"), files]
    return "-".join(hashlib.sha256(json.dumps(part).encode()).hexdigest()[:32] for part in (asked_for, found))


def nothing(layout: Layout, skipped: Sequence[tuple[str, str]]) -> str:
    """Why there is nothing to read, for an error."""
    where = printable(layout.root)
    if not skipped:
        return f"nothing in {where} is a mesh or a point cloud ({layout.other} files of other kinds)"
    reasons = "; ".join(f"{printable(path)}: {reason}" for path, reason in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"nothing in {where} can be read: {reasons}{more}"


def build(
    root: Path, layout: Layout, folder: Path, points: int, progress: Progress | None, joined: bool = False
) -> bool:
    """Read every file once, and write a store into the empty `folder`.

    Twins are put into one split where no folder names a validation split, and with `joined` wherever they are.
    False where a file could not be opened: the next time it may. DataError where nothing can be read.
    """
    given: list[str | None] = []
    first: dict[bytes, str] = {}
    sizes = Counter(shape.stamp[0] for shape in layout.shapes)
    closed, done = False, 0
    with store.Writing(folder) as out:
        for _, group in groupby(layout.shapes, lambda shape: shape.file):
            for shape, dense in read_shapes(layout.root, group, points):
                done += 1
                try:
                    if isinstance(dense, Exception):
                        raise dense
                    if sizes[shape.stamp[0]] > 1:
                        _no_copy(layout.root / shape.file, shape, dense, first)
                except FormatError as error:
                    where = "" if error.offset is None else f" (byte {error.offset})"
                    out.index.skipped.append((shape.id, error.reason + where))
                except OSError as error:
                    closed = True
                    out.index.skipped.append((shape.id, error.strerror or str(error)))
                else:
                    out.add(shape.id, shape.label, dense)
                    given.append(shape.split)
                if progress is not None:
                    progress(done, len(layout.shapes))
        index = out.index
        if not index.ids:
            raise DataError(nothing(layout, index.skipped))
        index.splits = splits(index.ids, index.labels, given, out.clouds(), joined)
        arrays = all(shape.file.lower().endswith((".npy", ".npz", ".h5", ".hdf5")) for shape in layout.shapes)
        index.source = {
            "root": str(root),
            "layout": layout.kind,
            "inside": layout.inside,
            "points": points,
            "normalize": "global" if arrays and any(given) else "box",
            "other": layout.other,
            "left_out": layout.skipped,
        }
        out.finish()
    return not closed


def _no_copy(path: Path, shape: Shape, dense: Dense, first: dict[bytes, str]) -> None:
    """FormatError for what an earlier shape is to the bit: one copy to train on, one held out would be no test."""
    if shape.place is None:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    else:
        digest = hashlib.sha256(dense.cloud.points.tobytes()).digest()
    earlier = first.setdefault(digest, shape.id)
    if earlier != shape.id:
        raise FormatError(path, f"a copy of {earlier}")


def frames(index: store.Index, normalize: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Centers (m, 3) and scales (m,) of the shapes: what a normalization takes off and divides by."""
    boxes = np.array(index.boxes, np.float64).reshape(-1, 2, 3)
    if normalize == "box":
        return boxes.mean(axis=1), np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    if normalize == "per-shape":
        return np.array(index.means, np.float64), np.array(index.deviations, np.float64)
    return np.zeros((len(boxes), 3)), np.ones(len(boxes))


def _assembled(
    root: Path,
    normalize: str,
    arrays: store.Arrays,
    index: store.Index,
    started: float,
    left_out: tuple[tuple[tuple[str, str], ...], int],
    cached: bool,
    damaged: str | None,
    place: str,
) -> CloudSet:
    if normalize == "auto":
        normalize = str(index.source["normalize"])
    classes = tuple(sorted(set(index.labels) - {""}))
    boxes = np.array(index.boxes, np.float64).reshape(-1, 2, 3)
    centers, scales = frames(index, normalize)
    pairs = Counter(zip(index.labels, index.splits, strict=True))
    counts = np.array(index.counts, np.int64)
    summary = Summary(
        root=str(root),
        layout=index.source["layout"],
        normalize=normalize,
        counts={c: {s: pairs[c, s] for s in SPLITS if pairs[c, s]} for c in sorted(set(index.labels))},
        skipped=tuple(sorted((*left_out[0], *((path, reason) for path, reason in index.skipped)))),
        other=left_out[1],
        low=_triple(boxes[:, 0].min(axis=0)),
        high=_triple(boxes[:, 1].max(axis=0)),
        diagonal=float(np.median(np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1))),
        points=len(arrays["points"]),
        seconds=time.perf_counter() - started,
        cached=cached,
        damaged=damaged,
        inside=index.source["inside"],
        cache=place,
        lacking=dict(index.lacking),
    )
    return CloudSet(
        points=arrays["points"],
        starts=np.cumsum(counts) - counts,
        counts=counts,
        origins=np.array(index.origins, np.float64),
        labels=np.array([classes.index(c) if c else -1 for c in index.labels], np.int64),
        classes=classes,
        ids=tuple(index.ids),
        splits=tuple(index.splits),
        centers=centers,
        scales=scales,
        summary=summary,
        normals=arrays.get("normals"),
        colors=arrays.get("colors"),
    )


def _triple(corner: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = corner.tolist()
    return x, y, z
