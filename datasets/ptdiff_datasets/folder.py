"""A user's folder of meshes and point clouds as a `CloudSet`.

Meshes are sampled by area once; the dense clouds are kept in a cache and re-sampled for every batch
(`CloudSet.draw`). What a shape becomes depends on its file and its path below the root only.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets import cache as store
from ptdiff_datasets.clouds import CloudSet
from ptdiff_datasets.errors import DataError, FormatError, printable
from ptdiff_datasets.layout import Layout, Shape, existing_folder, only, scan
from ptdiff_datasets.reading import frame, read_shape
from ptdiff_datasets.splits import SPLITS, assign_splits
from ptdiff_datasets.summary import Summary

NORMALIZE = ("auto", "box", "global", "none")


def load_folder(
    root: str | Path,
    *,
    points: int = 8192,
    normalize: str = "auto",
    classes: Sequence[str] | None = None,
    cache: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CloudSet:
    """All shapes below `root`: `<class>/**/*`, a flat folder, or `<class>/{train,val,test}/*` (PC15k).

    `points` are sampled from each mesh; of a larger cloud file so many are kept, of a smaller one all.
    `normalize`: "box" centers each shape on its bounding box and divides by the box's diagonal; "global"
    and "none" keep the coordinates of the files (for "global" the caller measures one mean and scale);
    "auto" is "global" for arrays in train, val and test folders, else "box". `classes`: read these only.
    `progress(done, total)` is called for each file. `cache`: see `ptdiff_datasets.cache.default_cache`. A
    file that cannot be read is skipped, with its reason in the summary. DataError if nothing can be read.
    """
    started = time.perf_counter()
    if normalize not in NORMALIZE:
        raise ValueError(f"normalize={normalize!r}: one of {', '.join(NORMALIZE)}")
    if points < 1:
        raise ValueError(f"points={points}: at least 1")
    layout = scan(existing_folder(root))
    if classes is not None:
        layout = only(layout, classes)
    if not layout.shapes:
        raise DataError(_nothing(layout, layout.skipped))
    if normalize == "auto":
        arrays = all(shape.id.lower().endswith((".npy", ".npz")) for shape in layout.shapes)
        normalize = "global" if arrays and layout.kind == "splits" else "box"
    base = Path(cache) if cache is not None else store.default_cache()
    entry = base / "clouds" / _entry(layout, points, normalize, classes)
    damaged, cached = None, False
    try:
        array, index = store.load(entry)
        cached = True
    except FileNotFoundError:
        pass
    except store.DamagedError as error:
        damaged = str(error)
    if not cached:
        array, index = _build(layout, entry, points, normalize, progress)
    return _assembled(layout, entry, normalize, array, index, started, cached, damaged)


def _entry(layout: Layout, points: int, normalize: str, classes: Sequence[str] | None) -> str:
    """The root and the options, then all files' sizes, times and modes, and what reads them, each as a hash."""
    asked_for = [str(layout.root.resolve()), points, normalize, sorted(classes) if classes is not None else None]
    files = [(s.id, s.label, s.split, *s.stamp) for s in layout.shapes]
    found = [store.VERSION, version("trimesh"), files]
    return "-".join(hashlib.sha256(json.dumps(part).encode()).hexdigest()[:32] for part in (asked_for, found))


def _nothing(layout: Layout, skipped: Sequence[tuple[str, str]]) -> str:
    where = printable(layout.root)
    if not skipped:
        return f"nothing in {where} is a mesh or a point cloud ({layout.other} files of other kinds)"
    reasons = "; ".join(f"{printable(path)}: {reason}" for path, reason in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"nothing in {where} can be read: {reasons}{more}"


def _build(
    layout: Layout, entry: Path, points: int, normalize: str, progress: Callable[[int, int], None] | None
) -> tuple[npt.NDArray[np.float32], store.Index]:
    """Read every file once, into a scratch file; then order the clouds by split, only now known.

    Where a file could not be opened nothing is kept in the cache: the next time it may.
    """
    counts: list[int] = []
    boxes: list[store.Box] = []
    shapes: list[Shape] = []
    skipped: list[tuple[str, str]] = []
    sizes, first = Counter(shape.stamp[0] for shape in layout.shapes), dict[bytes, str]()
    closed = False
    with store.workplace(entry) as folder:
        scratch = folder / "scratch"
        with scratch.open("wb") as file:
            for done, shape in enumerate(layout.shapes, 1):
                try:
                    cloud, box = read_shape(layout.root / shape.id, shape.id, points, normalize)
                    if sizes[shape.stamp[0]] > 1:
                        _no_copy(layout.root / shape.id, shape.id, first)
                except FormatError as error:
                    where = "" if error.offset is None else f" (byte {error.offset})"
                    skipped.append((shape.id, error.reason + where))
                except OSError as error:
                    closed = True
                    skipped.append((shape.id, error.strerror or str(error)))
                else:
                    file.write(cloud.tobytes())
                    counts.append(len(cloud))
                    boxes.append(box)
                    shapes.append(shape)
                if progress is not None:
                    progress(done, len(layout.shapes))
        if not shapes:
            raise DataError(_nothing(layout, skipped))
        ids, labels = [s.id for s in shapes], [s.label for s in shapes]
        splits = assign_splits(ids, labels, [s.split for s in shapes])
        order = sorted(range(len(shapes)), key=lambda i: (SPLITS.index(splits[i]), ids[i]))
        starts = np.cumsum([0, *counts])
        dense = np.memmap(scratch, np.float32, "r").reshape(-1, 3)
        index = store.Index(
            counts=[counts[i] for i in order],
            labels=[labels[i] for i in order],
            ids=[ids[i] for i in order],
            splits=[splits[i] for i in order],
            boxes=[boxes[i] for i in order],
            skipped=skipped,
        )
        store.write(folder, (dense[starts[i] : starts[i + 1]] for i in order), index)
        del dense
        scratch.unlink()
        if closed:
            return store.load(folder)  # the mapping outlives the files
        store.keep(folder, entry)
        return store.load(entry)


def _no_copy(path: Path, id: str, first: dict[bytes, str]) -> None:
    """FormatError for the bytes of an earlier shape: one copy to train on, one held out would be no test."""
    with path.open("rb") as file:
        earlier = first.setdefault(hashlib.file_digest(file, "sha256").digest(), id)
    if earlier != id:
        raise FormatError(path, f"a copy of {earlier}")


def _assembled(
    layout: Layout,
    entry: Path,
    normalize: str,
    array: npt.NDArray[np.float32],
    index: store.Index,
    started: float,
    cached: bool,
    damaged: str | None,
) -> CloudSet:
    classes = tuple(sorted(set(index.labels) - {""}))
    boxes = np.array(index.boxes, np.float64).reshape(-1, 2, 3)
    frames = [frame(low, high, normalize) for low, high in boxes]
    pairs = Counter(zip(index.labels, index.splits, strict=True))
    summary = Summary(
        root=str(layout.root),
        layout=layout.kind,
        normalize=normalize,
        counts={c: {s: pairs[c, s] for s in SPLITS if pairs[c, s]} for c in classes or ("",)},
        skipped=tuple(sorted((*layout.skipped, *((path, reason) for path, reason in index.skipped)))),
        other=layout.other,
        low=_triple(boxes[:, 0].min(axis=0)),
        high=_triple(boxes[:, 1].max(axis=0)),
        diagonal=float(np.median(np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1))),
        points=len(array),
        seconds=time.perf_counter() - started,
        cached=cached,
        damaged=damaged,
        inside=layout.inside,
        cache=str(entry.parent) if entry.exists() else "",
    )
    return CloudSet(
        points=array,
        offsets=np.cumsum([0, *index.counts], dtype=np.int64),
        labels=np.array([classes.index(c) if c else -1 for c in index.labels], np.int64),
        classes=classes,
        ids=tuple(index.ids),
        splits=tuple(index.splits),
        centers=np.array([center for center, _ in frames]),
        scales=np.array([scale for _, scale in frames]),
        summary=summary,
    )


def _triple(corner: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = corner.tolist()
    return x, y, z
