"""Sources of points: a distribution by name, columns of a text table, or the darkness of an image."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff.choices import unknown
from ptdiff_datasets.directory_scan import expanded
from ptdiff_datasets.errors import DataError
from ptdiff_datasets.formats.numerals import Decimal
from ptdiff_datasets.formats.tables import TextTable, read_table
from ptdiff_datasets.holdout import held_out
from ptdiff_datasets.images.file import SUFFIXES
from ptdiff_datasets.points import image_density as dark
from ptdiff_datasets.points.toys import TOYS, Toy, uniform

Frame = tuple[float, ...]
"""The square or cube to show: its center and half its side."""

_NAMED = 6  # columns that are not used
_TABLES = (".csv", ".tsv", ".txt", ".dat")


@dataclass(frozen=True)
class Points:
    """Training and validation points (n, d) with labels (n,), and the names of the d columns."""

    train: npt.NDArray[np.float32]
    train_label: npt.NDArray[np.int64]
    val: npt.NDArray[np.float32]
    val_label: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    columns: tuple[str, ...]
    summary: dict[str, Any]
    origin: tuple[float, ...] = ()
    """What was subtracted from the columns before they became float32, () if nothing was."""


def found(data: str) -> Path | None:
    """Return the file that ``data`` names, or the only table of a folder; None for a distribution.

    OSError or ValueError if it is none of them.
    """
    if data in TOYS:
        return None
    path = expanded(data)
    if path.is_file():
        return path
    if path.is_dir() and path.name in TOYS:
        # the command line takes any existing name for a path
        raise ValueError(f"{data} is a folder, and {path.name} a distribution: rename the folder, or work elsewhere")
    if path.is_dir():
        tables = sorted(file for file in path.iterdir() if file.suffix.lower() in _TABLES and file.is_file())
        if len(tables) != 1:
            held = f"{len(tables)} tables" if tables else "no table"
            raise IsADirectoryError(errno.EISDIR, f"a folder with {held} ({', '.join(_TABLES)}), not one", data)
        return tables[0]
    if path.suffix or path.name != data:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), data)
    raise unknown("distribution or file", data, TOYS)


def is_picture(path: Path) -> bool:
    """True if the file is an image, from whose darkness points are drawn."""
    return path.suffix.lower() in SUFFIXES


def toy_of(name: str, noise: float | None) -> Toy:
    """Return a distribution, with noise of its own if ``noise`` is None."""
    return TOYS[name] if noise is None else TOYS[name].blurred(noise)


def from_toy(name: str, toy: Toy, count: int, seed: int) -> Points:
    """Draw the first ``count`` points of a distribution for training, and half as many of the next for validation."""
    held = _held(count)
    train, train_label = toy.draw(count, seed=seed)
    val, val_label = toy.draw(held, seed=seed, start=count)
    of = f", {len(toy.classes)} classes" if toy.classes else ""
    kind = "points" if toy.width <= 3 else f"rows of {toy.width}"
    summary = {
        "text": f"{name}: {count:,} {kind}{of}, and {held:,} held out",
        "distribution": name,
        "train": count,
        "val": held,
    }
    return Points(train, train_label, val, val_label, toy.classes, coordinates(toy.width), summary)


def from_picture(path: Path, count: int, seed: int) -> Points:
    """Draw ``count`` points from the darkness of an image for training, and half as many for validation."""
    ink, held = dark.darkness(path), _held(count)
    train = dark.points(ink, uniform(count, seed=seed)).astype(np.float32)
    val = dark.points(ink, uniform(held, seed=seed, start=count)).astype(np.float32)
    summary = {
        "text": f"{path.name}: {count:,} points from the darkness of {ink.shape[1]} x {ink.shape[0]} pixels, "
        f"and {held:,} held out",
        "file": path.name,
        "train": count,
        "val": held,
        "sha256": _content(train, val),
    }
    none = np.zeros(0, dtype=np.int64)
    return Points(train, none, val, none, (), coordinates(2), summary)


def from_table(
    path: Path,
    columns: str,
    label: str,
    where: str,
    header: bool | None = None,
    decimal: Decimal | None = None,
    offset: bool = True,
) -> Points:
    """Read columns of a table.

    columns: names separated by commas, "all" for all numeric ones, "" for the first two of those.
    label: a column of classes, or "".
    where: "column=value", a value that only one text column holds, or "".
    header, decimal: as for :func:`ptdiff_datasets.formats.tables.read_table`.
    offset: subtract what float32 would lose the columns for.
    """
    table = _rows(read_table(path, header=header, decimal=decimal), where)
    names = _columns(table, columns, label)
    table, left_out = table.complete(names, [label] if label else [])
    exact = table.numbers(names)
    origin = _origin(exact) if offset else ()
    with np.errstate(over="ignore"):
        points = (exact - np.array(origin) if origin else exact).astype(np.float32)
    if not np.isfinite(points).all():
        name = names[int(np.flatnonzero(~np.isfinite(points).all(axis=0))[0])]
        raise DataError(f"{path}: column {name!r} holds numbers beyond the range of float32")
    if offset:
        _check_detail(path, names, exact, points, origin)
    cells = table.column(label) if label else ("",) * len(points)
    classes = tuple(sorted(set(cells)))
    number = {name: index for index, name in enumerate(classes)}
    index = np.array([number[cell] for cell in cells], dtype=np.int64)
    held = held_out(index)
    if len(points) - held.sum() < 2 or held.sum() < 2:
        raise DataError(f"{path}: {len(points)} rows are too few to train on and to validate")
    of = f", {len(classes)} classes of {label}" if label else ""
    rows = f"{len(points) - held.sum():,} rows{of}, and {held.sum():,} held out"
    shown = ", ".join(names) if len(names) <= 8 else f"{len(names)} columns"
    notes = [left_out] * bool(left_out) + _passed_over(table, names, columns, label) + table.readings(names)
    if counting := [name for name, column in zip(names, exact.T, strict=True) if _counts(column)]:
        notes.append(f"counting up by one from row to row: {', '.join(counting[:_NAMED])}; is it data?")
    if origin:
        taken = [f"{name} {value:.10g}" for name, value in zip(names, origin, strict=True) if value]
        notes.append(f"subtracted before training, added to samples again: {', '.join(taken[:6])}")
    summary = {
        "text": "\n  ".join([f"{path.name}: {shown} of {rows}", *notes]),
        "file": path.name,
        "columns": list(names),
        "where": where,
        "train": int(len(points) - held.sum()),
        "val": int(held.sum()),
        "sha256": _content(points[~held], index[~held], points[held], index[held]),
    }
    given = classes if label else ()
    return Points(points[~held], index[~held], points[held], index[held], given, tuple(names), summary, origin)


def _content(*arrays: npt.NDArray[Any]) -> str:
    """Hash the arrays that a model sees, and their shapes."""
    return hashlib.sha256(b"".join(f"{a.shape}".encode() + a.tobytes() for a in arrays)).hexdigest()


def _origin(exact: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """Choose what to take off each column so that float32 keeps it; () if float32 keeps all of them anyway.

    A column needs it if rounding to float32 moves a number by more than a hundred-thousandth of the column's range.
    """
    low, high = exact.min(axis=0), exact.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.abs(exact - exact.astype(np.float32)).max(axis=0)
        needed = (lost > 1e-5 * (high - low)) & (high > low) & (np.abs(low) + np.abs(high) > 2 * (high - low))
    origin = np.where(needed, np.rint(low / 2 + high / 2), 0.0)
    return tuple(origin.tolist()) if origin.any() else ()


def _check_detail(
    path: Path,
    names: Sequence[str],
    exact: npt.NDArray[np.float64],
    points: npt.NDArray[np.float32],
    origin: tuple[float, ...],
) -> None:
    """Raise DataError for a column whose rows far from the others leave these no detail in float32.

    Neither as they are nor, for training, relative to their mean.
    """
    middle, spread = np.median(exact, axis=0), np.subtract(*np.quantile(exact, [0.75, 0.25], axis=0))
    lost = np.median(np.abs(points.astype(np.float64) + (origin or 0.0) - exact), axis=0)
    lost = np.maximum(lost, np.abs(exact.mean(axis=0) - middle) * np.finfo(np.float32).epsneg)
    if (blurred := (spread > 0) & (lost > 1e-3 * spread)).any():
        column = int(blurred.argmax())
        far = exact[np.abs(exact[:, column] - middle[column]).argmax(), column]
        raise DataError(
            f"{path}: column {names[column]!r} reaches {far:.10g}, so far from its other numbers, around "
            f"{middle[column]:.10g}, that 32 bits blur these: remove such rows, or choose other columns"
        )


def _counts(column: npt.NDArray[np.float64]) -> bool:
    return len(column) > 3 and bool((np.diff(column) == 1).all())


def _rows(table: TextTable, where: str) -> TextTable:
    if not where:
        return table
    name, equals, value = (part.strip() for part in where.partition("="))
    if equals:
        return table.where(name, value)
    numeric = set(table.numeric())
    holding = [column for column in table.names if column not in numeric and where in table.column(column)]
    if len(holding) != 1:
        many = f"columns {', '.join(holding)} hold" if holding else "no column of text holds"
        raise DataError(f"{table.path}: {many} {where!r}; use where=column=value")
    return table.where(holding[0], where)


def _columns(table: TextTable, columns: str, label: str) -> Sequence[str]:
    named = [name.strip() for name in columns.split(",") if name.strip()]
    if named and named != ["all"]:
        return named
    numeric = [name for name in table.numeric() if name != label]
    chosen = numeric if named else numeric[:2]
    if len(chosen) < (1 if named else 2):
        needed = "a column of numbers is" if named else "two columns of numbers are"
        bad = table.spoiled() or {name: place for name, place in table.dropped.items() if name != label}
        nearly = "".join(f"; {place}" for place in list(bad.values())[:_NAMED])
        raise DataError(f"{table.path}: {needed} needed, found {', '.join(chosen) or 'none'}{nearly}")
    return chosen


def _passed_over(table: TextTable, names: Sequence[str], columns: str, label: str) -> list[str]:
    """Describe columns skipped because they are not of numbers, with the first such cell of each."""
    if columns not in ("", "all"):
        return []
    last = max(map(table.names.index, names)) if not columns else len(table.names)
    found = [place for name, place in table.dropped.items() if name != label and table.names.index(name) < last]
    more = [f"not used: {len(found) - _NAMED:,} more columns that are not of numbers"] if len(found) > _NAMED else []
    return [f"not used: {place}" for place in found[:_NAMED]] + more


def _held(count: int) -> int:
    return max(2, count // 2)


def two_valued(points: Points) -> dict[str, Any]:
    """Find the columns with only two values, more than once each: [[column, low, high], …], and a line about them.

    Empty if there are none.
    """
    rows = np.concatenate([points.train, points.val])
    found = []
    for column, cells in enumerate(rows.T):
        values, counts = np.unique(cells, return_counts=True)
        if len(values) == 2 and counts.min() > 1:
            found.append([column, *values.tolist()])
    if not found:
        return {}
    names = ", ".join(points.columns[column] for column, *_ in found) if len(found) <= 8 else f"{len(found)} columns"
    hold = "holds" if len(found) == 1 else "hold"
    text = f"{names} {hold} only two values: samples are rounded to the nearer one, unless --raw"
    return {"text": f"{points.summary['text']}\n  {text}", "two_valued": found}


def coordinates(width: int) -> tuple[str, ...]:
    """Name the coordinates: x, y, z; beyond three dimensions c1, c2, …"""
    return ("x", "y", "z")[:width] if width <= 3 else tuple(f"c{n + 1}" for n in range(width))


def around(points: npt.NDArray[np.floating]) -> Frame:
    """Return the square around points (n, 2), or the cube around (n, 3), with a margin of a tenth."""
    low, high = points.astype(np.float64).min(axis=0), points.astype(np.float64).max(axis=0)
    return (*((low + high) / 2).tolist(), 0.55 * float((high - low).max()) or 1.0)
