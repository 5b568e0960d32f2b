"""A user's folder of meshes and point clouds, or a store made from one, as a ``CloudSet``.

Meshes are sampled once, uniformly by area; the dense clouds are cached and resampled for every batch
(``CloudSet.draw``). The result for a shape depends only on its file and its path below the root.
"""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets import cache as caches
from ptdiff_datasets.clouds import store
from ptdiff_datasets.clouds.cloud_set import CloudSet, diagonals
from ptdiff_datasets.clouds.first_seen import FirstSeen
from ptdiff_datasets.clouds.layout import Layout, Shape, chosen, existing, only, scan
from ptdiff_datasets.clouds.reading import Dense, read_shapes
from ptdiff_datasets.clouds.splits import RULE, SPLITS, Rule, splits
from ptdiff_datasets.clouds.store_format import Store
from ptdiff_datasets.clouds.store_writing import Writing
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
    damaged, cached, found = None, False, None
    try:
        found = store.load(entry)
        cached = True
    except FileNotFoundError:
        pass
    except store.DamagedError as error:
        damaged = str(error)
    if found is None:
        with caches.workplace(entry) as folder:
            whole = build(root, layout, folder, points, progress, rule=split)
            if whole:
                caches.keep(folder, entry)
            # an incomplete store is not cached; its mapping outlives the temporary files
            found = store.load(entry if whole else folder)
    place = str(entry.parent) if entry.exists() else ""
    left_out = (layout.skipped, layout.other)
    return _assembled(root, normalize, found, started, left_out, cached, damaged, place, offset)


def _opened(root: Path, normalize: str, classes: Sequence[str] | None, started: float, offset: bool) -> CloudSet:
    try:
        found = store.load(root)
    except (store.DamagedError, FileNotFoundError) as error:
        raise DataError(f"{printable(root)} is a damaged store: {error}; import it again") from None
    source = found.index.source
    left = (tuple((path, reason) for path, reason in source["left_out"]), int(source["other"]))
    clouds = _assembled(root, normalize, found, started, left, True, None, str(root), offset)
    if classes is None:
        return clouds
    part = clouds.of_classes(sorted(chosen({*clouds.classes, *clouds.summary.counts}, classes, root)))
    counts = {name: row for name, row in clouds.summary.counts.items() if name in part.classes}
    return replace(part, summary=replace(clouds.summary, counts=counts))


def request(
    root: Path, layout: Layout, points: int, classes: Sequence[str] | None = None, rule: Rule = "stratified"
) -> str:
    """Return the cache key: hashes of root and options, and of all files' sizes, times and modes and the readers."""
    asked_for = [str(root.resolve()), points, sorted(classes) if classes is not None else None]
    asked_for += [layout.order, layout.decimal, rule]
    request, state = (
        hashlib.sha256(json.dumps(part).encode()) for part in (asked_for, [store.VERSION, RULE, version("trimesh")])
    )
    for s in layout.shapes:
        file = (s.id, s.label, s.split, *s.stamp, *(o.stamp for o in s.instead), *_buffers(layout.root, s))
        state.update(json.dumps(file).encode())
    return f"{request.hexdigest()[:32]}-{state.hexdigest()[:32]}"


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
    repeated = _repeated(layout)
    closed, done = False, 0
    with Writing(folder) as out, closing(FirstSeen()) as first:
        for shape, dense in _read(layout, points) if found is None else found:
            done += 1
            try:
                if isinstance(dense, Exception):
                    raise dense
                if shape.stamp[0] in repeated:
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
        if not len(out):
            raise DataError(nothing(layout, index.skipped))
        stored = out.stored()
        chosen_splits = splits(stored.names, stored.labels(), given, stored.cloud, joined, rule)
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
        out.finish(chosen_splits)
    return not closed


def _read(layout: Layout, points: int) -> Iterator[tuple[Shape, Dense | Exception]]:
    for _, group in groupby(layout.shapes, lambda shape: shape.file):
        yield from read_shapes(layout.root, group, points, layout.order, layout.decimal)


def _repeated(layout: Layout) -> AbstractSet[int]:
    """Sizes that several files have, which may be copies of each other."""
    sizes, times = np.unique(
        np.fromiter((shape.stamp[0] for shape in layout.shapes), np.int64, len(layout.shapes)), return_counts=True
    )
    return frozenset(sizes[times > 1].tolist())


def _no_copy(path: Path, shape: Shape, dense: Dense, first: FirstSeen) -> None:
    """Raise FormatError if the shape is a bitwise copy of an earlier one, which would leak between splits."""
    if shape.place is None and path.suffix.lower() != ".gltf":  # whose geometry may lie in other files
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    else:
        digest = hashlib.sha256(dense.cloud.points.tobytes()).digest()
    earlier = first.setdefault(digest, shape.id)
    if earlier != shape.id:
        raise FormatError(path, f"a copy of {earlier}")


def _assembled(
    root: Path,
    normalize: str,
    found: Store,
    started: float,
    left_out: tuple[tuple[tuple[str, str], ...], int],
    cached: bool,
    damaged: str | None,
    place: str,
    offset: bool,
) -> CloudSet:
    index = found.index
    if normalize == "auto":
        normalize = str(index.source["normalize"])
    facts = _measured(found)
    classes = tuple(sorted(set(index.classes)))
    low, high, origin = facts.low, facts.high, np.zeros(3)
    if offset and normalize in ("global", "none") and facts.moved:
        origin = np.rint(low / 2 + high / 2)
    if offset and normalize in ("global", "none"):
        _check_distances(root, found, origin, normalize)
    skipped = [*left_out[0], *index.skipped]
    ids = {id for id, _ in skipped}
    there = {id for id in found.names if id in ids} if ids else set()  # read because their twins cannot be
    summary = Summary(
        root=str(root),
        layout=index.source["layout"],
        normalize=normalize,
        counts=facts.counts,
        skipped=tuple(sorted((id, why) for id, why in skipped if id not in there)),
        other=left_out[1],
        low=_triple(low),
        high=_triple(high),
        diagonal=facts.diagonal,
        points=sum(index.shards),
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
        store=found,
        rows=np.arange(len(found.shapes)),
        classes=classes,
        numbers=np.array([*(classes.index(name) for name in index.classes), -1], np.int64),
        normalize=normalize,
        summary=summary,
        origin=origin,
    )


@dataclass(frozen=True)
class _Measured:
    """Bounding box of a store, median diagonal, shapes by class and split; moved: if some are far from the origin."""

    low: npt.NDArray[np.float64]
    high: npt.NDArray[np.float64]
    diagonal: float
    counts: dict[str, dict[str, int]]
    moved: bool


def _measured(found: Store) -> _Measured:
    names = [*found.index.classes, ""]
    low, high, moved, first = np.full(3, np.inf), np.full(3, -np.inf), False, 0
    sizes, pairs = np.empty(len(found.shapes)), Counter[tuple[str, str]]()
    for shapes in found.blocks():
        part = slice(first, first + len(shapes))
        low = np.minimum(low, shapes["box"][:, 0].min(axis=0))
        high = np.maximum(high, shapes["box"][:, 1].max(axis=0))
        moved = moved or bool(shapes["origin"].any())
        sizes[part] = diagonals(shapes)
        labels, splits = shapes["label"].tolist(), found.splits[part].tolist()
        pairs.update((names[label], SPLITS[split]) for label, split in zip(labels, splits, strict=True))
        first = part.stop
    labels = sorted({label for label, _ in pairs})
    counts = {label: {split: pairs[label, split] for split in SPLITS if pairs[label, split]} for label in labels}
    return _Measured(low, high, float(np.median(sizes)), counts, moved)


def _check_distances(root: Path, found: Store, origin: npt.NDArray[np.float64], normalize: str) -> None:
    """Raise DataError, naming the shape farthest from the others, if float32 loses a shape so far from ``origin``."""
    lost = sum(
        int((np.abs(shapes["box"].mean(axis=1) - origin).max(axis=1) > FARTHEST * diagonals(shapes)).sum())
        for shapes in found.blocks()
    )
    if lost:
        middles = found.shapes["box"].mean(axis=1)
        away = np.linalg.norm(middles - np.median(middles, axis=0), axis=1)
        far = int(away.argmax())
        where = f"{printable(found.names[far])} lies {away[far]:.3g} from the other shapes"
        raise DataError(
            f"{printable(root)}: {where}, and {lost:,} of {len(middles):,} are more than {FARTHEST:,} times their "
            f"size from a common origin, where float32 blurs them; use normalize=box instead of {normalize}, or move "
            "them"
        )


def _triple(corner: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    x, y, z = corner.tolist()
    return x, y, z
