"""Import: a folder or a file of shapes becomes a store of its own, which every run then reads directly."""

from pathlib import Path

from ptdiff_datasets import cache
from ptdiff_datasets.clouds import store
from ptdiff_datasets.clouds.cloud_set import CloudSet
from ptdiff_datasets.clouds.folder import Progress, build, load_folder, nothing
from ptdiff_datasets.clouds.layout import existing, scan
from ptdiff_datasets.errors import DataError, printable


def import_data(
    source: str | Path,
    target: str | Path,
    *,
    points: int = 10_000,
    replace: bool = False,
    together: bool = False,
    progress: Progress | None = None,
) -> CloudSet:
    """Write the shapes of `source` as a store at `target`; it appears whole or not at all.

    points: sampled from each mesh, and at most kept of each cloud. replace: whether an earlier store may be replaced;
    no other folder ever is. together: whether twins that the folders put into several splits go to one of them, train
    before val before test; where no folder names a validation split they always do. progress(done, total) is called
    for each shape. DataError where nothing can be read, where `target` is taken, and where a file could not even be
    opened.
    """
    if points < 1:
        raise ValueError(f"points={points}: at least 1")
    source, target = existing(source), Path(target).expanduser().absolute()
    if source.is_dir() and store.is_store(source):
        raise DataError(f"{printable(source)} is a store already")
    if target.resolve().is_relative_to(source.resolve()):
        raise DataError(f"{printable(target)} lies inside what is imported")
    taken = target.exists() and not (target.is_dir() and not any(target.iterdir()))
    if taken and not (replace and target.is_dir() and store.is_store(target)):
        hint = "--force replaces it" if target.is_dir() and store.is_store(target) else "choose another place"
        raise DataError(f"{printable(target)} is there already; {hint}")
    layout = scan(source)
    if not layout.shapes:
        raise DataError(nothing(layout, layout.skipped))
    with cache.workplace(target, "choose a place with room") as folder:
        if not build(source, layout, folder, points, progress, together):
            index = store.load(folder)[1]
            unread = "; ".join(f"{printable(path)}: {reason}" for path, reason in index.skipped[:3])
            raise DataError(f"files could not be opened: {unread}")
        if target.exists():
            cache.remove(target)
        cache.take_place(folder, target)
    return load_folder(target)
