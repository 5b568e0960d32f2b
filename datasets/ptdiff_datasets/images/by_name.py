"""Image sets by name, or whatever a folder holds: IDX, CIFAR, Oxford flowers, images, videos."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ptdiff_datasets.directory_scan import existing
from ptdiff_datasets.images import cifar
from ptdiff_datasets.images import sets as images
from ptdiff_datasets.images.downloads import PUBLISHED, data_folder, fetch
from ptdiff_datasets.images.folder import FLOWER_LABELS, Layout, flowers, has_films, scan
from ptdiff_datasets.images.sets import ImageSet
from ptdiff_datasets.images.store import Progress, load_pictures

NAMES = ("digits", *PUBLISHED)
SIZE = 32
"""Default side in pixels of images from a folder."""


def named(name: str, size: int | None = None, *, gray: bool = False, progress: Progress | None = None) -> ImageSet:
    """Load one of ``NAMES``: from scikit-learn, or from its folder in :func:`data_folder`, downloaded if necessary.

    size, gray, progress: as for :func:`read`.
    """
    if name == "digits":
        digits = images.digits()
        return digits if size is None else digits.padded(size)
    published = PUBLISHED[name]
    folder, notes = fetch(name, published, data_folder())
    found = read(folder, size, gray=gray, progress=progress)
    # IDX files have the labels that occur as numbers; archives bring names of their own
    known = all(label.isdecimal() and int(label) < len(published.classes) for label in found.classes)
    names = tuple(published.classes[int(label)] for label in found.classes) if known else found.classes
    return replace(found, classes=names, notes=(*found.notes, *notes))


def read(source: Path, size: int | None = None, *, gray: bool = False, progress: Progress | None = None) -> ImageSet:
    """Read the images in a folder, or in one file of training images (idx3).

    size: side in pixels. Image files are scaled and cropped to it (``SIZE`` if None); images of a fixed size are padded
        with black.
    gray: one channel.
    progress(done, total) is called for each image file that is read for the first time. Raises DataError or FormatError
    for unusable data, OSError for a file that cannot be opened.
    """
    found = contents(source)
    if isinstance(found, Layout):
        return load_pictures(found, size or SIZE, gray=gray, progress=progress)
    found = found.gray() if gray else found
    return found if size is None else found.padded(size)


def films(
    folder: Path, frames: int, size: int | None = None, *, gray: bool = False, progress: Progress | None = None
) -> ImageSet | None:
    """Read the first frames of the videos (GIF) in a folder, pixels (n, channels, frames, size, size).

    Returns None unless it is a folder with videos; the rest as for :func:`read`.
    """
    if not (folder.is_dir() and has_films(folder)):
        return None
    return load_pictures(scan(folder, frames), size or SIZE, gray=gray, progress=progress)


def contents(source: Path) -> ImageSet | Layout:
    """Return images of a fixed size as they are, or the layout of an image folder; errors as in :func:`read`."""
    source = existing(source)
    if not source.is_dir() or images.has_idx(source):
        return images.mnist(source)
    if (batches := cifar.found(source)) is not None:
        layout, folder = batches
        return cifar.cifar(folder, layout)
    return flowers(source) if (source / FLOWER_LABELS).is_file() else scan(source)
