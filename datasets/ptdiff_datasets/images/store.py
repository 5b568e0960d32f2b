"""Images read once: squares of one size as bytes in a memory-mapped array, an index, and checksums.

    pixels.npy    (n, channels, size, size) uint8, or (n, channels, frames, size, size) for videos; training part first
    index.json    ids, labels and splits of the images, and the files skipped
    SHA256SUMS    of these files, as read by ``sha256sum -c``

A store is put into place atomically and replaces one for an earlier state of the files. Opening one compares sizes, and
a damaged one is rebuilt.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from ptdiff_datasets import cache as caches
from ptdiff_datasets.clouds.store import DamagedError
from ptdiff_datasets.errors import DataError, FormatError, printable
from ptdiff_datasets.images.file import read_film, read_picture
from ptdiff_datasets.images.folder import Layout, left_out, nothing, of_other_kinds
from ptdiff_datasets.images.sets import Bytes, ImageSet, ImageSplit

FORMAT, VERSION = "ptdiff-pictures", 1
PIXELS, INDEX, SUMS = "pixels.npy", "index.json", "SHA256SUMS"
_HEADER = 128  # bytes before the numbers of a .npy file

Progress = Callable[[int, int], None]


@dataclass
class Index:
    """Images in the order of their pixels, and the files skipped with the reasons."""

    ids: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    splits: list[str] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def load_pictures(
    layout: Layout,
    size: int,
    *,
    gray: bool = False,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> ImageSet:
    """Load the images or videos of a layout as squares of ``size`` pixels, from the cache if they are in it.

    progress(done, total) is called for each image that is read. DataError if none can be read or the cache cannot be
    written.
    """
    base = caches.default_cache() if cache is None else cache
    entry = base / "pictures" / _entry(layout, size, gray)
    notes = []
    try:
        pixels, index = load(entry)
    except (FileNotFoundError, DamagedError) as error:
        if isinstance(error, DamagedError):
            notes.append(f"a damaged cache was rebuilt: {error}")
        with caches.workplace(entry) as folder:
            _build(layout, size, gray, folder, progress)
            caches.keep(folder, entry, load)
        pixels, index = load(entry)
    skipped = [*layout.skipped, *index.skipped]
    if skipped:
        notes.append(f"{len(skipped):,} skipped" + left_out(skipped).removeprefix("; skipped"))
    if layout.other:
        notes.append(of_other_kinds(layout.other))
    notes.append(f"cached in {entry.parent}")
    classes = tuple(sorted(set(index.labels)))
    label = np.array([classes.index(name) for name in index.labels], np.int64)
    whole = ImageSplit(pixels, label if classes != ("",) else None)
    first = index.splits.count("train")
    return ImageSet(
        whole[slice(0, first)],
        whole[slice(first, None)],
        classes=() if classes == ("",) else classes,
        notes=(*notes,),
        sha256=_content(entry, index),
    )


def _content(folder: Path, index: Index) -> str:
    """Hash the images, their names, classes and splits, from the checksum of the pixels."""
    sums = [line for line in (folder / SUMS).read_text().splitlines() if line.endswith(PIXELS)]
    return hashlib.sha256(json.dumps([index.ids, index.labels, index.splits, sums]).encode()).hexdigest()


def load(folder: Path) -> tuple[Bytes, Index]:
    """Open a store: memory-mapped pixels and index. FileNotFoundError if missing, DamagedError if unusable."""
    try:
        raw = json.loads((folder / INDEX).read_bytes())
        kind, number = raw.pop("format"), raw.pop("version")
        index = Index(**raw)
        array = np.load(folder / PIXELS, mmap_mode="r", allow_pickle=False)
        length = (folder / PIXELS).stat().st_size
    except (MemoryError, ImportError):
        raise
    except FileNotFoundError:
        if folder.exists():
            raise DamagedError("a file is missing") from None
        raise
    except Exception as error:  # the parsers may raise anything for broken files
        raise DamagedError(f"{type(error).__name__}") from None
    if (kind, number) != (FORMAT, VERSION):
        raise DamagedError(f"{INDEX} has another format or version")
    counts = {len(index.ids), len(index.labels), len(index.splits), len(array)}
    if len(counts) != 1 or array.ndim not in (4, 5) or array.dtype != np.uint8 or length != array.offset + array.nbytes:
        raise DamagedError(f"{PIXELS} has {length} bytes of shape {array.shape}")
    if index.splits != sorted(index.splits) or set(index.splits) - {"train", "val"}:
        raise DamagedError(f"the splits are out of order in {INDEX}")
    return array.view(np.ndarray), index


def _entry(layout: Layout, size: int, gray: bool) -> str:
    """Return the cache key: hashes of root and options, and of all files' sizes, times and modes and the reader."""
    asked_for = [str(layout.root.resolve()), size, gray, *([] if layout.frames is None else [layout.frames])]
    pictures = [(p.id, p.label, p.split, *p.stamp) for p in layout.pictures]
    found = [VERSION, version("Pillow"), pictures]
    return "-".join(hashlib.sha256(json.dumps(part).encode()).hexdigest()[:32] for part in (asked_for, found))


def _build(layout: Layout, size: int, gray: bool, folder: Path, progress: Progress | None) -> None:
    """Read every image once into the empty ``folder``. DataError if a file cannot be opened.

    Writes to a file, not to a memory map: a full disk is an error here, but would kill the process there.
    """
    index, first, frames = Index(), dict[bytes, str](), layout.frames

    def read(path: Path) -> Bytes:
        return read_picture(path, size, gray=gray) if frames is None else read_film(path, frames, size, gray=gray)

    with (folder / PIXELS).open("wb") as out:
        out.write(bytes(_HEADER))
        for done, picture in enumerate(layout.pictures, 1):
            try:
                content = read(layout.root / picture.id).tobytes()
                same = first.setdefault(hashlib.sha256(content).digest(), picture.id)
                if same != picture.id:  # a copy in the other split would leak
                    raise FormatError(picture.id, f"the same image as {same}")
            except FormatError as error:
                index.skipped.append((picture.id, error.reason))
            except OSError as error:  # it may open the next time
                where = printable(layout.root / picture.id)
                raise DataError(f"{where} cannot be opened: {error.strerror or error}") from None
            else:
                out.write(content)
                index.ids.append(picture.id)
                index.labels.append(picture.label)
                index.splits.append(picture.split or "train")
            if progress is not None:
                progress(done, len(layout.pictures))
        if not index.ids or "train" not in index.splits:
            raise DataError(nothing(layout, index.skipped))
        out.seek(0)
        time = () if frames is None else (frames,)
        out.write(_header((len(index.ids), 1 if gray else 3, *time, size, size)))
        out.flush()
        os.fsync(out.fileno())
    about: dict[str, Any] = {"format": FORMAT, "version": VERSION, **asdict(index)}
    (folder / INDEX).write_text(json.dumps(about))
    (folder / SUMS).write_text("".join(f"{_sum(folder / name)}  {name}\n" for name in (PIXELS, INDEX)))


def _header(shape: tuple[int, ...]) -> bytes:
    """Return the header of a ``.npy`` file of bytes, format 1.0."""
    text = str({"descr": "|u1", "fortran_order": False, "shape": shape}).encode("ascii")
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11) + b"\n"


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
