"""Pictures read once: squares of one size as bytes in a memory-mapped array, an index, and checksums.

    pixels.npy    (n, channels, size, size) uint8, of films (n, channels, frames, size, size), those to train on first
    index.json    ids, labels and splits of the pictures, and what was left out
    SHA256SUMS    of these files, as `sha256sum -c` reads it

A store takes its place whole or not at all; one for another state of the files takes the place of its forerunner.
Opening one compares sizes, and a damaged one is read anew.
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
_HEADER = 128  # bytes in front of the numbers of a .npy file

Progress = Callable[[int, int], None]


@dataclass
class Index:
    """The pictures in the order of their pixels, and what was left out."""

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
    """The pictures or films of a layout as squares of `size` pixels, from the cache where they were read before.

    progress(done, total) is called for each picture that is read.  DataError where none can be read or kept.
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
        notes.append(f"{len(skipped):,} left out" + left_out(skipped).removeprefix("; left out"))
    if layout.other:
        notes.append(of_other_kinds(layout.other))
    notes.append(f"kept in {entry.parent}")
    classes = tuple(sorted(set(index.labels)))
    label = np.array([classes.index(name) for name in index.labels], np.int64)
    whole = ImageSplit(pixels, label if classes != ("",) else None)
    first = index.splits.count("train")
    return ImageSet(
        whole[slice(0, first)], whole[slice(first, None)], classes=() if classes == ("",) else classes, notes=(*notes,)
    )


def load(folder: Path) -> tuple[Bytes, Index]:
    """The memory-mapped pixels and the index; FileNotFoundError if there is none, DamagedError if it cannot be used."""
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
    except Exception as error:  # whatever the parsers of JSON and of arrays make of broken files
        raise DamagedError(f"{type(error).__name__}") from None
    if (kind, number) != (FORMAT, VERSION):
        raise DamagedError(f"{INDEX} is of another kind or version")
    counts = {len(index.ids), len(index.labels), len(index.splits), len(array)}
    if len(counts) != 1 or array.ndim not in (4, 5) or array.dtype != np.uint8 or length != array.offset + array.nbytes:
        raise DamagedError(f"{PIXELS} has {length} bytes of shape {array.shape}")
    if index.splits != sorted(index.splits) or set(index.splits) - {"train", "val"}:
        raise DamagedError(f"splits out of order in {INDEX}")
    return array.view(np.ndarray), index


def _entry(layout: Layout, size: int, gray: bool) -> str:
    """The root and the options, then all files' sizes, times and modes, and what reads them, each as a hash."""
    asked_for = [str(layout.root.resolve()), size, gray, *([] if layout.frames is None else [layout.frames])]
    pictures = [(p.id, p.label, p.split, *p.stamp) for p in layout.pictures]
    found = [VERSION, version("Pillow"), pictures]
    return "-".join(hashlib.sha256(json.dumps(part).encode()).hexdigest()[:32] for part in (asked_for, found))


def _build(layout: Layout, size: int, gray: bool, folder: Path, progress: Progress | None) -> None:
    """Read every picture once into the empty `folder`.  DataError where a file cannot be opened.

    Not through a memory map: a full disk is an error here, there it would kill the process.
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
                if same != picture.id:  # one to train on and one held out would be no test
                    raise FormatError(picture.id, f"the same picture as {same}")
            except FormatError as error:
                index.skipped.append((picture.id, error.reason))
            except OSError as error:  # the next time it may be opened
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
    """The header of a .npy file, format 1.0, of bytes."""
    text = str({"descr": "|u1", "fortran_order": False, "shape": shape}).encode("ascii")
    return b"\x93NUMPY\x01\x00" + (_HEADER - 10).to_bytes(2, "little") + text.ljust(_HEADER - 11) + b"\n"


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
