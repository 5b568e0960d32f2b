"""Layouts of image folders: ``[split/][class/]**/image``, or Oxford's 102 flowers.

Classes are the top folders, splits the folders ``train``, ``val`` and ``test`` above them; a folder around everything
is stepped into. If no folder names a split, about a tenth is held out, chosen by a hash of the path. ``val`` is held
out, or ``test`` if there is no ``val``; if there are both, ``test`` is not used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from ptdiff_datasets.clouds.splits import assign_splits
from ptdiff_datasets.directory_scan import Stamp, files, stamp
from ptdiff_datasets.errors import DataError, FormatError, printable
from ptdiff_datasets.images.file import FILMS, SUFFIXES

_SPLITS = {
    "train": "train", "training": "train", "val": "val", "valid": "val", "validation": "val", "test": "test",
}  # fmt: skip
FLOWER_LABELS, FLOWER_SPLITS = "imagelabels.mat", "setid.mat"
_LARGEST = 100_000  # maximum size in bytes of such a file; the published ones have 502 and 14,989


@dataclass(frozen=True)
class Picture:
    """An image file by its path below the root; label "" and split None if unknown."""

    id: str
    label: str
    split: str | None
    stamp: Stamp


@dataclass(frozen=True)
class Layout:
    """Training images, then those held out, each sorted by path; skipped files with reasons; counts of other files.

    frames: length of videos; None for images.
    """

    root: Path
    pictures: tuple[Picture, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    other: Mapping[str, int] = field(default_factory=dict)
    frames: int | None = None


def scan(root: Path, frames: int | None = None) -> Layout:
    """Find the images below ``root``, or the videos if ``frames`` is their length. DataError if there are none."""
    skipped: list[tuple[str, str]] = []
    found: list[Picture] = []
    other = Counter[str]()
    wanted = SUFFIXES if frames is None else FILMS
    for id in files(root, "", skipped):
        suffix = PurePosixPath(id).suffix.lower()
        if suffix in wanted:
            _add(found, skipped, root, id, "", None)
        elif suffix in SUFFIXES:
            skipped.append((id, "an image, not a video"))
        else:
            other[suffix or "no suffix"] += 1
    parts = [PurePosixPath(picture.id).parent.parts for picture in found]
    while parts and all(parts) and len({part[0] for part in parts}) == 1:
        parts = [part[1:] for part in parts]
    tops = {part[0] if part else "" for part in parts}
    named = {_SPLITS[top] for top in tops if top in _SPLITS}
    split = "train" in named and (len(named) > 1 or tops <= set(_SPLITS))
    if split:
        # a file beside the split folders belongs to no split
        beside = {i for i, part in enumerate(parts) if not part or part[0] not in _SPLITS}
        skipped += [(found[i].id, "beside the split folders") for i in sorted(beside)]
        found = [picture for i, picture in enumerate(found) if i not in beside]
        parts = [part for i, part in enumerate(parts) if i not in beside]
    inner = [part[1:] for part in parts] if split else parts
    labels = [part[0] if part else "" for part in inner]
    if len(set(labels)) == 1:
        labels = [""] * len(labels)
    classes = any(labels)
    pictures = []
    for picture, part, label in zip(found, parts, labels, strict=True):
        if classes and not label:
            skipped.append((picture.id, "beside the class folders"))
        else:
            pictures.append(replace(picture, label=label, split=_SPLITS[part[0]] if split else None))
    return _arranged(Layout(root, tuple(pictures), tuple(skipped), dict(other), frames))


def has_films(root: Path) -> bool:
    """True if there are files below ``root`` that may be videos."""
    return any(PurePosixPath(id).suffix.lower() in FILMS for id in files(root, "", []))


def flowers(root: Path) -> Layout:
    """Find Oxford's 102 flowers (Nilsback and Zisserman 2008): ``jpg/image_00001.jpg`` and so on, and two .mat files.

    ``imagelabels.mat`` has the classes, 1 to 102. If there is a ``setid.mat``, its part ``valid`` is held out and the
    other two are trained on: the test part is six times as large as the training part.
    """
    skipped: list[tuple[str, str]] = []
    pictures: list[Picture] = []
    labels = _numbers(root / FLOWER_LABELS, "labels")
    held = set(_numbers(root / FLOWER_SPLITS, "valid")) if (root / FLOWER_SPLITS).is_file() else None
    for number, label in enumerate(labels, 1):
        split = None if held is None else "val" if number in held else "train"
        _add(pictures, skipped, root, f"jpg/image_{number:05d}.jpg", f"{label:03d}", split)
    return _arranged(Layout(root, tuple(pictures), tuple(skipped)))


def _add(
    found: list[Picture], skipped: list[tuple[str, str]], root: Path, id: str, label: str, split: str | None
) -> None:
    try:
        found.append(Picture(id, label, split, stamp(root / id, root)))
    except (OSError, ValueError) as error:
        skipped.append((id, getattr(error, "strerror", None) or str(error)))


def _arranged(found: Layout) -> Layout:
    """Return the layout with a split for each image, in order; DataError if there are no images."""
    if not found.pictures:
        raise DataError(nothing(found))
    given, skipped = [picture.split for picture in found.pictures], found.skipped
    if "val" in given:
        many = given.count("test")
        if many:
            skipped += (("test", f"{many:,} images, not used because there is a validation split"),)
    elif "test" in given:
        given = ["val" if split == "test" else split for split in given]
    splits = assign_splits([p.id for p in found.pictures], [p.label for p in found.pictures], given)
    known = [replace(picture, split=split) for picture, split in zip(found.pictures, splits, strict=True)]
    arranged = tuple(p for name in ("train", "val") for p in known if p.split == name)
    return replace(found, pictures=arranged, skipped=skipped)


def nothing(layout: Layout, unreadable: Sequence[tuple[str, str]] = ()) -> str:
    """Explain why there is nothing to read, for an error message."""
    what, suffixes = ("images", SUFFIXES) if layout.frames is None else (f"videos of {layout.frames} frames", FILMS)
    known = ", ".join(suffix[1:] for suffix in suffixes)
    kinds = f"; {of_other_kinds(layout.other)}" if layout.other else ""
    return f"no {what} ({known}) in {printable(layout.root)}{left_out([*unreadable, *layout.skipped])}{kinds}"


def of_other_kinds(other: Mapping[str, int]) -> str:
    """Describe the ignored files: their number and the most frequent suffixes."""
    total, kinds = sum(other.values()), sorted(other.items(), key=lambda kind: (-kind[1], kind[0]))
    named = ", ".join(f"{count:,} {printable(suffix)}" for suffix, count in kinds[:4])
    return f"{total:,} file{'' if total == 1 else 's'} of other types: {named}{', …' if len(kinds) > 4 else ''}"


def left_out(skipped: Sequence[tuple[str, str]]) -> str:
    """Name the first three skipped files with the reasons; empty if there are none."""
    if not skipped:
        return ""
    reasons = "; ".join(f"{printable(id)}: {printable(reason)}" for id, reason in skipped[:3])
    more = f"; and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"; skipped: {reasons}{more}"


def _numbers(path: Path, name: str) -> list[int]:
    """Read a variable of positive integers from a ``.mat`` file."""
    import numpy as np
    from scipy.io import loadmat

    if path.stat().st_size > _LARGEST:
        raise FormatError(path, f"more than {_LARGEST:,} bytes")
    try:
        values = np.asarray(loadmat(path, variable_names=[name])[name])
    except (MemoryError, OSError):
        raise
    except Exception as error:  # the parser may raise anything for broken files
        raise FormatError(path, f"cannot read the variable {name}: {error}") from None
    if values.dtype.kind not in "uif" or values.size == 0 or not ((values >= 1) & (values < 1e6)).all():
        raise FormatError(path, f"{name} does not hold positive integers")
    return [int(value) for value in values.ravel()]
