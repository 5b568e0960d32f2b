"""Import of a folder or a file of shapes into a store, which every run then reads directly."""

from hashlib import sha256
from pathlib import Path

from ptdiff_datasets import cache
from ptdiff_datasets.clouds import shards, store
from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.folder import Progress, build, load_folder, nothing, request
from ptdiff_datasets.clouds.layout import existing, scan
from ptdiff_datasets.directory_scan import expanded
from ptdiff_datasets.errors import DataError, printable
from ptdiff_datasets.formats.arrays import AxisOrder
from ptdiff_datasets.formats.numerals import Decimal


def import_data(
    source: str | Path,
    target: str | Path,
    *,
    points: int = 10_000,
    replace: bool = False,
    together: bool = False,
    progress: Progress | None = None,
    order: AxisOrder = "auto",
    decimal: Decimal | None = None,
    engine: shards.Executor | None = None,
) -> CloudSet:
    """Write the shapes of ``source`` as a store at ``target``, atomically.

    points: number sampled from each mesh, and the most kept of a cloud.
    replace: replace an earlier store at ``target``; no other folder is ever replaced.
    together: move duplicates that the folders put into several splits into one of them, train before val before test;
        if no folder names a validation split this always happens.
    order, decimal: the axes of arrays and the decimal mark of text tables, as for ``load_folder``.
    engine: lets workers read the shapes, in files in a hidden folder beside ``target`` until the store is there.
        An import that was interrupted continues. The store is the same, bit for bit.
    progress(done, total) is called for each shape. DataError if nothing can be read, ``target`` is taken, or a file
    could not be opened.
    """
    if points < 1:
        raise ValueError(f"points={points} must be at least 1")
    source, target = existing(source), expanded(target).absolute()
    if source.is_dir() and store.is_store(source):
        raise DataError(f"{printable(source)} is already a store")
    if target.resolve().is_relative_to(source.resolve()):
        raise DataError(f"{printable(target)} lies inside the folder to import")
    taken = target.exists() and not (target.is_dir() and not any(target.iterdir()))
    if taken and not (replace and target.is_dir() and store.is_store(target)):
        hint = "--force replaces it" if target.is_dir() and store.is_store(target) else "choose another place"
        raise DataError(f"{printable(target)} already exists; {hint}")
    layout = scan(source, order, decimal)
    if not layout.shapes:
        raise DataError(nothing(layout, layout.skipped))
    found = None
    if engine is not None:
        asked = sha256(request(source, layout, points).encode()).hexdigest()
        found = shards.read_in_shards(layout, points, shards.place(target, asked), engine, progress)
        progress = None
    with cache.workplace(target, "choose a place with enough space") as folder:
        try:
            whole = build(source, layout, folder, points, progress, together, found=found)
        except DataError:
            shards.remove(target)  # nothing in them can be read
            raise
        if not whole:
            skipped = store.load(folder).index.skipped
            unread = "; ".join(f"{printable(path)}: {reason}" for path, reason in skipped[:3])
            raise DataError(f"files could not be opened: {unread}")
        if target.exists():
            cache.remove(target)
        cache.take_place(folder, target)
    if engine is not None:
        shards.remove(target)
    return load_folder(target)
