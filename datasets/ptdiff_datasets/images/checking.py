"""Check of images, in a folder or in a published format, before training on them."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ptdiff_datasets.clouds import screen
from ptdiff_datasets.clouds.summary import listed, number, table
from ptdiff_datasets.errors import DataError, FormatError, printable
from ptdiff_datasets.images.by_name import SIZE, contents
from ptdiff_datasets.images.file import look, read_picture
from ptdiff_datasets.images.folder import Layout, nothing, of_other_kinds
from ptdiff_datasets.images.sets import Bytes, ImageSet
from ptdiff_datasets.images.store import Progress

Counts = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class ImageCheck:
    """Report on a set of images.

    counts: class ("" for none) -> split -> number of images, duplicates included. sizes: (width, height) of the
    smallest, the median and the largest image by shorter side. equal: groups of identical images.

    For a folder of image files also: formats, the number of files of each. gray, transparent, moving, small: the number
    of images that are gray whatever their format, have transparent pixels, are animations, have a side shorter than
    ``SIZE``.
    unreadable, skipped: (file, reason) of broken and of misplaced files. other: number of files of other types by
    suffix.
    """

    root: str
    counts: Counts
    sizes: tuple[tuple[int, int], ...]
    equal: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    formats: Mapping[str, int] = field(default_factory=dict)
    gray: int = 0
    transparent: int = 0
    moving: int = 0
    small: int = 0
    unreadable: tuple[tuple[str, str], ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    other: Mapping[str, int] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        """True if nothing is broken; duplicates and skipped files do not count."""
        return not self.unreadable

    @property
    def total(self) -> int:
        """Number of readable images."""
        return sum(n for row in self.counts.values() for n in row.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain types, ready for JSON."""
        return {**asdict(self), "ok": self.ok, "total": self.total}

    def text(self) -> str:
        """Format the report for a terminal."""
        named = [name for name in self.counts if name]
        of = f" in {number(len(named), 'class', 'es')}" if named else ""
        lines = [printable(self.root), "", f"  {number(self.total, 'image')}{of}"]
        if self.formats:
            lines.append("  formats    " + ", ".join(f"{n:,} {name}" for name, n in sorted(self.formats.items())))
        smallest, middle, largest = (f"{width} x {height}" for width, height in self.sizes)
        span = smallest if smallest == largest else f"{smallest} to {largest}, median {middle} (width x height)"
        lines.append(f"  pixels     {span}")
        lines += [f"  {'':<11}{line}" for line in self._remarks()]
        lines += ["", *table(self.counts), ""]
        lines += [f"  {note}" for note in self.notes]
        lines += [f"  {of_other_kinds(self.other)}"] if self.other else []
        lines += listed("unreadable", [f"{id}: {reason}" for id, reason in self.unreadable])
        lines += listed("left out", [f"{id}: {reason}" for id, reason in self.skipped])
        first = " (only the first of each is used)" if self.formats else ""
        groups = [f"{len(group)}: {', '.join(group)}" for group in self.equal]
        lines += listed(f"identical{first}, groups", groups)
        alone = screen.unheld(self.counts)
        lines += listed("classes with none held out", alone)
        lines.append("nothing is broken" if self.ok else "something is broken")
        if len(lines) <= screen.LINES and max(map(len, lines)) <= screen.WIDTH:
            return "\n".join(lines)
        # one line for each kind of finding
        kinds = ", ".join(f"{n:,} {name}" for name, n in sorted(self.formats.items()))
        head = [
            printable(self.root)[-screen.WIDTH :],
            f"  {number(self.total, 'image')}{of}{f': {kinds}' if kinds else ''}",
            f"  pixels {span}",
            *(f"  {line}" for line in self._remarks()),
            *screen.by_class(self.counts),
            *(f"  {note}" for note in self.notes[:3]),
            *([f"  {of_other_kinds(self.other)}"] if self.other else []),
        ]
        found = {
            "unreadable": self.unreadable,
            "left out": self.skipped,
            "unheld": [(name, "a class with none held out") for name in alone],
            "copy": [(group[0], f"the same as {', '.join(group[1:])}") for group in self.equal],
        }
        return "\n".join(screen.screen(head, found, lines[-1:]))

    def _remarks(self) -> list[str]:
        """List the remarks on gray, transparent, animated and small images."""
        every = self.gray == self.total
        said = {
            f"with a side below {SIZE}: enlarged, unless pixels is smaller": self.small,
            "transparent: placed on white": self.transparent,
            "animated: first frame only; -o frames=N for N frames of a GIF": self.moving,
            ("gray: -o gray=true uses one channel" if every else "gray"): self.gray if self.formats else 0,
        }
        return [f"{n:,} {what}" for what, n in said.items() if n]


def check(root: str | Path, progress: Progress | None = None) -> ImageCheck:
    """Check every image below ``root``, or in one file of training images (idx3).

    DataError if there are none, FormatError if a file in a published format is not what its name says.
    """
    found = contents(Path(root))
    return _set(str(root), found) if isinstance(found, ImageSet) else _pictures(found, progress)


def _set(root: str, found: ImageSet) -> ImageCheck:
    splits = {"train": found.train, "val": found.val}
    counts: dict[str, dict[str, int]] = {}
    same: dict[bytes, list[str]] = defaultdict(list)
    for name, split in splits.items():
        labels = [""] * len(split) if split.label is None else [found.classes[i] for i in split.label]
        for label, count in Counter(labels).items():
            counts.setdefault(label, {})[name] = count
        for i, pixels in enumerate(split.pixels):
            same[_digest(pixels)].append(f"{name} {i}")
    height, width = found.train.pixels.shape[2:]
    return ImageCheck(root, counts, ((width, height),) * 3, _groups(same), found.notes)


def _pictures(layout: Layout, progress: Progress | None) -> ImageCheck:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    same: dict[bytes, list[str]] = defaultdict(list)
    kinds, seen, looks, unreadable = Counter[str](), Counter[str](), [], []
    for done, picture in enumerate(layout.pictures, 1):
        path = layout.root / picture.id
        try:
            # as training reads them if the option pixels is not set
            pixels, found = read_picture(path, SIZE), look(path)
        except FormatError as error:
            unreadable.append((picture.id, error.reason))
        except OSError as error:
            unreadable.append((picture.id, error.strerror or str(error)))
        else:
            same[_digest(pixels)].append(picture.id)
            counts[picture.label][picture.split or "train"] += 1
            kinds[found.format] += 1
            looks.append((found.width, found.height))
            seen["gray"] += bool((pixels == pixels[:1]).all())
            seen["transparent"] += found.transparent
            seen["moving"] += found.frames > 1
            seen["small"] += min(found.width, found.height) < SIZE
        if progress is not None:
            progress(done, len(layout.pictures))
    if not looks:
        raise DataError(nothing(layout, unreadable))
    looks.sort(key=min)
    return ImageCheck(
        root=str(layout.root),
        counts={label: dict(row) for label, row in counts.items()},
        sizes=(looks[0], looks[len(looks) // 2], looks[-1]),
        equal=_groups(same),
        formats=dict(kinds),
        gray=seen["gray"],
        transparent=seen["transparent"],
        moving=seen["moving"],
        small=seen["small"],
        unreadable=tuple(unreadable),
        skipped=layout.skipped,
        other=layout.other,
    )


def _digest(pixels: Bytes) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).digest()


def _groups(same: Mapping[bytes, list[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(names) for names in same.values() if len(names) > 1)
