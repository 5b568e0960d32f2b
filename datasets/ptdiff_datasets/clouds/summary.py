"""Summary of the shapes read from a folder, as text of at most 80 columns and as plain types."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ptdiff_datasets.clouds.screen import digits
from ptdiff_datasets.clouds.splits import SPLITS
from ptdiff_datasets.errors import printable

WIDTH = 80
CLASSES = 12  # rows before the rest is folded into one
SKIPPED = 5
LINE = 150  # characters of a line that may wrap
LAYOUTS = {
    "flat": "one flat folder",
    "classes": "class folders",
    "splits": "train, val and test folders",
    "lists": "lists of training and test shapes",
    "sets": "files of many clouds",
}
NORMALIZED = {
    "box": "each shape centered, its bounding box scaled to diagonal 1",
    "per-shape": "each shape with mean 0 and standard deviation 1",
    "global": "coordinates as in the files; one scale for all",
    "none": "coordinates as in the files",
}


@dataclass(frozen=True)
class Summary:
    """Counts and sizes of a data set; boxes and diagonals are in units of the files."""

    root: str
    layout: str  # a key of ``LAYOUTS``
    normalize: str  # a key of ``NORMALIZED``
    counts: Mapping[str, Mapping[str, int]]  # class ("" for none) -> split -> shapes
    skipped: tuple[tuple[str, str], ...]  # path below the root, reason
    other: int  # files of other types
    low: tuple[float, float, float]  # bounding box of everything
    high: tuple[float, float, float]
    diagonal: float  # median over the shapes
    points: int
    seconds: float
    cached: bool  # read from the cache
    damaged: str | None = None  # why an earlier cache entry was rebuilt
    inside: str = ""  # the folder below the root that holds the class folders, if not the root itself
    cache: str = ""  # the folder of the cache entry, if anything could be cached
    lacking: Mapping[str, int] = field(default_factory=dict)  # channel -> shapes without it
    remarks: tuple[tuple[str, str], ...] = ()  # shape, what was left out of it
    sha256: str = ""  # of the content of the shapes, wherever they lie

    def total(self, split: str | None = None) -> int:
        """Number of shapes, in one split or in all."""
        return sum(n for row in self.counts.values() for name, n in row.items() if split in (None, name))

    def as_dict(self) -> dict[str, Any]:
        """Return the summary as plain types, ready for JSON."""
        plain = asdict(self)
        plain["skipped"] = [{"path": printable(path), "reason": reason} for path, reason in self.skipped]
        return plain

    def text(self) -> str:
        """Format the summary for a terminal, in lines of at most 80 columns."""
        return "\n".join(self.lines())

    def lines(self, most: int = CLASSES) -> list[str]:
        """The lines of :meth:`text`, with at most ``most`` classes by name."""
        named = [name for name in self.counts if name]
        kinds = f" in {number(len(named), 'class', 'es')}" if named else ""
        lines = [_middle(printable(self.root), WIDTH), ""]
        lines.append(f"  {number(self.total(), 'shape')}{kinds}, {number(self.points, 'point')}")
        inside = f" inside {printable(self.inside)}" if self.inside else ""
        lines.append(_end(f"  layout     {LAYOUTS[self.layout]}{inside}", WIDTH))
        lines.append(f"  normalize  {self.normalize}: {NORMALIZED[self.normalize]}")
        for axis, low, high in zip("xyz", self.low, self.high, strict=True):
            n = digits(low, high)
            lines.append(f"  {'box' if axis == 'x' else '':<9}  {axis} {low:>9.{n}g} to {high:>9.{n}g}")
        lines.append(f"  diagonal   {self.diagonal:.4g} (median)")
        lines.append(f"  channels   {self.channels()}")
        lines += ["", *table(self.counts, most)]
        if self.skipped or self.other:
            lines += ["", *self._left_out()]
        if self.remarks:
            lines += ["", *self._remarks()]
        if self.damaged:
            lines += ["", _end(f"  the damaged cache was rebuilt: {self.damaged}", WIDTH)]
        kept = "cached for next time" if self.cache else "not cached because some could not be opened"
        last = f"  read in {self.seconds:.2f} s " + ("from the cache" if self.cached else f"from the files, {kept}")
        if self.cache == self.root:
            return [*lines, "", f"  read in {self.seconds:.2f} s from the store"]
        place = f" in {_homely(self.cache)}" if self.cache else ""
        return [*lines, "", last + place if len(last + place) <= WIDTH else last]

    def channels(self) -> str:
        """Name the channels, and how many shapes lack one that others have."""
        there = ["xyz", *(name for name in ("normals", "colors") if name not in self.lacking)]
        some = [f"{name} except {n:,}" for name, n in self.lacking.items() if n < self.total()]
        return ", ".join([*there, *(f"({text})" for text in some)])

    def _remarks(self) -> list[str]:
        """Name each remark once, with the first shape and the number of others."""
        shapes: dict[str, list[str]] = {}
        for id, text in self.remarks:
            shapes.setdefault(text, []).append(id)
        lines = []
        for text, ids in list(shapes.items())[:SKIPPED]:
            more = f" and {number(len(ids) - 1, 'more', '')}" if len(ids) > 1 else ""
            lines.append(_end(f"  {_middle(printable(ids[0]), 38)}{more}: {text}", LINE))
        return lines + ([f"  … and {len(shapes) - SKIPPED:,} more remarks"] if len(shapes) > SKIPPED else [])

    def _left_out(self) -> list[str]:
        parts = [f"{number(len(self.skipped), 'file')} skipped"] if self.skipped else []
        parts += [f"{number(self.other, 'file')} of other types ignored"] if self.other else []
        lines = ["  " + ", ".join(parts) + (":" if self.skipped else "")]
        for path, reason in self.skipped[:SKIPPED]:
            path = _middle(printable(path), 38)
            lines.append(_end(f"    {path}: {reason}", WIDTH))
        if len(self.skipped) > SKIPPED:
            lines.append(f"    … and {len(self.skipped) - SKIPPED:,} more")
        return lines


def table(counts: Mapping[str, Mapping[str, int]], most: int = CLASSES) -> list[str]:
    """Format counts by class and split, largest classes first; at most ``most`` classes by name."""
    splits = [name for name in SPLITS if any(row.get(name) for row in counts.values())]
    rows = sorted(counts.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    shown = rows if len(rows) <= most + 1 else rows[:most]
    named = [(printable(name), [row.get(s, 0) for s in splits]) for name, row in shown if name]
    if rest := [row for _, row in rows[len(shown) :]]:
        named.append((f"… and {len(rest)} more", [sum(row.get(s, 0) for row in rest) for s in splits]))
    if len(rows) > 1 or not named:
        named.append(("all", [sum(row.get(s, 0) for row in counts.values()) for s in splits]))
    width = min(40, max(5, *(len(name) for name, _ in named)))
    lines = ["  " + ("class" if rows[0][0] else "").ljust(width) + "".join(f"{s:>9}" for s in splits)]
    lines += ["  " + _end(name, width).ljust(width) + "".join(f"{n:>9,}" for n in row) for name, row in named]
    return lines


def listed(what: str, found: Sequence[str], most: int = SKIPPED) -> list[str]:
    """Format a count and the first ``most`` entries; no lines if there are none."""
    if not found:
        return []
    more = [f"    … and {len(found) - most:,} more"] if len(found) > most else []
    return [f"  {what}: {len(found):,}", *(f"    {_end(printable(line), LINE)}" for line in found[:most]), *more]


def number(n: int, noun: str, plural: str = "s") -> str:
    """Format a number with its noun.

    >>> number(1, "class", "es"), number(1200, "class", "es")
    ('1 class', '1,200 classes')
    """
    return f"{n:,} {noun}{'' if n == 1 else plural}"


def _homely(path: str) -> str:
    """Shorten a path with ~ for the home folder."""
    home = str(Path.home())
    return printable("~" + path.removeprefix(home) if path.startswith(home + os.sep) else path)


def _middle(text: str, width: int) -> str:
    """Shorten in the middle, because the end of a path says most."""
    half = (width - 1) // 3
    return text if len(text) <= width else f"{text[:half]}…{text[half + 1 - width :]}"


def _end(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
