"""A user's folder of meshes and point clouds, or a store made from one, as a ``CloudSet``.

Meshes are sampled once, uniformly by area; the dense clouds are cached and resampled for every batch
(``CloudSet.draw``). The result for a shape depends only on its file and its path below the root.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
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
from ptdiff_datasets.clouds.splits import RULE, SPLITS, Rule, splits
from ptdiff_datasets.clouds.summary import Summary
from ptdiff_datasets.errors import DataError, FormatError, printable
from ptdiff_datasets.formats.arrays import AxisOrder
from ptdiff_datasets.formats.gltf import files_beside
from ptdiff_datasets.formats.numerals import Decimal

NORMALIZE = ("auto", "box", "per-shape", "global", "none")
FARTHEST = 10_000
"""Distance from the common origin, in diagonals of a shape, at which float32 still keeps a thousandth of it."""

Progress = Callable[[int, int], None]


def load_folder(
    root: str | Path,
    *,
    points: int = 8192,
    normalize: str = "auto",
    classes: Sequence[str] | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
    order: AxisOrder = "auto",
    decimal: Decimal | None = None,
    split: Rule = "stratified",
    offset: bool = True,
) -> CloudSet:
    """Load all shapes below ``root``: a folder (for layouts see ``clouds.layout``), a file, or a store.

    points: number sampled from each mesh, and the most kept of a cloud file; a store is used as it is.
    normalize: "box" centers each shape on its bounding box and divides by the box diagonal; "per-shape" centers it on
        its mean and divides by the standard deviation of its coordinates; "global" and "none" keep the coordinates of
        the files (for "global" the caller measures one mean and scale); "auto" is "global" for arrays in train, val and
        test folders, else "box".
    classes: load only these.
    cache: see ``ptdiff_datasets.cache.default_cache``.
    order: the axes of arrays, channels-last (…, points, 3) or channels-first (…, 3, points); "auto" is the first, but
        refuses arrays that may be either.
    decimal: the decimal mark of text tables, None to find it from their cells.
    split: the rule for folders that name no validation split, see ``clouds.splits``; stores keep theirs.
    offset: for "global" and "none", center all clouds on ``origin`` of the result if some lie far from zero, where
        float32 would blur them; False keeps the coordinates of the files.
    progress(done, total) is called for each shape. A file that cannot be read is skipped, with the reason in the
    summary. DataError if nothing can be read or a store is damaged; ValueError for invalid options.
    """
    started = time.perf_counter()
    if normalize not in NORMALIZE:
        raise ValueError(f"normalize={normalize!r}: choose one of {', '.join(NORMALIZE)}")
    if points < 1:
        raise ValueError(f"points={points} must be at least 1")
    root = existing(root)
    if root.is_dir() and store.is_store(root):
        return _opened(root, normalize, classes, started, offset)
    layout = scan(root, order, decimal)
    if classes is not None:
        layout = only(layout, classes)
    if not layout.shapes:
        raise DataError(nothing(layout, layout.skipped))
    base = Path(cache) if cache is not None else caches.default_cache()
    entry = base / "clouds" / request(root, layout, points, classes, split)
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
            whole = build(root, layout, folder, points, progress, rule=split)
            if whole:
                caches.keep(folder, entry)
            # an incomplete store is not cached; its mapping outlives the temporary files
            arrays, index = store.load(entry if whole else folder)
    place = str(entry.parent) if entry.exists() else ""
    left_out = (layout.skipped, layout.other)
    return _assembled(root, normalize, arrays, index, started, left_out, cached, damaged, place, offset)


def _opened(root: Path, normalize: str, classes: Sequence[str] | None, started: float, offset: bool) -> CloudSet:
    try:
        arrays, index = store.load(root)
    except (store.DamagedError, FileNotFoundError) as error:
        raise DataError(f"{printable(root)} is a damaged store: {error}; import it again") from None
    left_out = tuple((path, reason) for path, reason in index.source["left_out"])
    left = (left_out, int(index.source["other"]))
    clouds = _assembled(root, normalize, arrays, index, started, left, True, None, str(root), offset)
    if classes is None:
        return clouds
    names = [clouds.classes[label] if label >= 0 else "" for label in clouds.labels.tolist()]
    wanted = chosen(set(names), classes, root)
    part = clouds.subset([i for i, name in enumerate(names) if name in wanted])
    kept = tuple(name for name in clouds.classes if name in wanted)
    labels = np.array([kept.index(clouds.classes[label]) for label in part.labels.tolist()], np.int64)
    counts = {name: row for name, row in clouds.summary.counts.items() if name in wanted}
    return replace(part, labels=labels, classes=kept, summary=replace(clouds.summary, counts=counts))


def request(
    root: Path, layout: Layout, points: int, classes: Sequence[str] | None = None, rule: Rule = "stratified"
) -> str:
    """Return the cache key: hashes of root and options, and of all files' sizes, times and modes and the readers."""
    asked_for = [str(root.resolve()), points, sorted(classes) if classes is not None else None]
    asked_for += [layout.order, layout.decimal, rule]
    files = [
        (s.id, s.label, s.split, *s.stamp, *(o.stamp for o in s.instead), *_buffers(layout.root, s))
        for s in layout.shapes
    ]
    found = [store.VERSION, RULE, version("trimesh"), files]
    return "-".join(hashlib.sha256(json.dumps(part).encode()).hexdigest()[:32] for part in (asked_for, found))


def _buffers(root: Path, shape: Shape) -> list[tuple[int, int]]:
    """Sizes and times of the files beside a .gltf file that hold its geometry."""
    out = []
    for each in (shape, *shape.instead):
        if each.file.lower().endswith(".gltf"):
            with suppress(OSError):
                found = [place.stat() for place in files_beside(root / each.file)]
                out += [(state.st_size, state.st_mtime_ns) for state in found]
    return out


def nothing(layout: Layout, skipped: Sequence[tuple[str, str]]) -> str:
    """Explain why there is nothing to read, for an error message."""
    where = printable(layout.root)
    if not skipped:
        return f"no mesh or point cloud in {where} ({layout.other} files of other types)"
    reasons = "; ".join(f"{printable(path)}: {reason}" for path, reason in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"nothing in {where} can be read: {reasons}{more}"


def build(
    root: Path,
    layout: Layout,
    folder: Path,
    points: int,
    progress: Progress | None,
    joined: bool = False,
    rule: Rule = "stratified",
    found: Iterable[tuple[Shape, Dense | Exception]] | None = None,
) -> bool:
    """Read every file once and write a store into the empty ``folder``.

    found: what ``read_shapes`` yielded for all shapes, in order, if they have been read already.
    Duplicates are put into one split if no folder names a validation split, and always if ``joined``. Returns False if
    a file could not be opened, because the next attempt may succeed. DataError if nothing can be read.
    """
    given: list[str | None] = []
    first: dict[bytes, str] = {}
    sizes = Counter(shape.stamp[0] for shape in layout.shapes)
    closed, done = False, 0
    with store.Writing(folder) as out:
        for shape, dense in _read(layout, points) if found is None else found:
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
        index.splits = splits(index.ids, index.labels, given, out.clouds(), joined, rule)
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


def _read(layout: Layout, points: int) -> Iterator[tuple[Shape, Dense | Exception]]:
    for _, group in groupby(layout.shapes, lambda shape: shape.file):
        yield from read_shapes(layout.root, group, points, layout.order, layout.decimal)


def _no_copy(path: Path, shape: Shape, dense: Dense, first: dict[bytes, str]) -> None:
    """Raise FormatError if the shape is a bitwise copy of an earlier one, which would leak between splits."""
    if shape.place is None and path.suffix.lower() != ".gltf":  # whose geometry may lie in other files
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    else:
        digest = hashlib.sha256(dense.cloud.points.tobytes()).digest()
    earlier = first.setdefault(digest, shape.id)
    if earlier != shape.id:
        raise FormatError(path, f"a copy of {earlier}")


def frames(index: store.Index, normalize: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the centers (m, 3) that a normalization subtracts and the scales (m,) that it divides by."""
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
    offset: bool,
) -> CloudSet:
    if normalize == "auto":
        normalize = str(index.source["normalize"])
    classes = tuple(sorted(set(index.labels) - {""}))
    boxes = np.array(index.boxes, np.float64).reshape(-1, 2, 3)
    centers, scales = frames(index, normalize)
    origin = np.zeros(3)
    if offset and normalize in ("global", "none") and np.any(index.origins):
        origin = np.rint(boxes.reshape(-1, 3).min(axis=0) / 2 + boxes.reshape(-1, 3).max(axis=0) / 2)
        centers = centers + origin
    if offset and normalize in ("global", "none"):
        _check_distances(root, index.ids, boxes, origin, normalize)
    pairs = Counter(zip(index.labels, index.splits, strict=True))
    counts = np.array(index.counts, np.int64)
    there = set(index.ids)  # some of which are read because their twins cannot be
    summary = Summary(
        root=str(root),
        layout=index.source["layout"],
        normalize=normalize,
        counts={c: {s: pairs[c, s] for s in SPLITS if pairs[c, s]} for c in sorted(set(index.labels))},
        skipped=tuple(sorted((id, why) for id, why in (*left_out[0], *index.skipped) if id not in there)),
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
        remarks=tuple((id, text) for id, text in index.remarks),
        sha256=index.content,
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
        origin=origin,
    )


def _check_distances(
    root: Path, ids: Sequence[str], boxes: npt.NDArray[np.float64], origin: npt.NDArray[np.float64], normalize: str
) -> None:
    """Raise DataError, naming the shape farthest from the others, if float32 loses a shape so far from ``origin``."""
    middles, diagonals = boxes.mean(axis=1), np.linalg.norm(boxes[:, 1] - boxes[:, 0], axis=1)
    lost = np.abs(middles - origin).max(axis=1) > FARTHEST * diagonals
    if lost.any():
        away = np.linalg.norm(middles - np.median(middles, axis=0), axis=1)
        far = int(away.argmax())
        where = (
            f"{printable(ids[far])} lies {away[far]:.3g} from the other shapes, and {int(lost.sum()):,} of {len(ids):,}"
        )
        raise DataError(
            f"{printable(root)}: {where} are more than {FARTHEST:,} times their size from a common origin, where "
            f"float32 blurs them; use normalize=box instead of {normalize}, or move them"
        )


def _triple(corner: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = corner.tolist()
    return x, y, z
