"""Where points come from: a toy distribution by name, or two columns of a text table."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff.names import unknown
from ptdiff_datasets.errors import DataError
from ptdiff_datasets.holdout import held_out
from ptdiff_datasets.tabular import read_table
from ptdiff_datasets.toys import TOYS

Frame = tuple[float, float, float]
"""The square to show: its center (x, y) and half its side."""


@dataclass(frozen=True)
class Points:
    """Points (n, 2) and labels (n,), those to train on and those to validate on."""

    train: npt.NDArray[np.float32]
    train_label: npt.NDArray[np.int64]
    val: npt.NDArray[np.float32]
    val_label: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    summary: dict[str, Any]


def is_file(data: str) -> bool:
    """Whether ``data`` names a file; ValueError where it is neither a file nor a distribution."""
    if data in TOYS:
        return False
    path = Path(data)
    if path.is_file():
        return True
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), data)
    if path.suffix or path.name != data:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), data)
    raise unknown("distribution or file", data, TOYS)


def from_toy(name: str, count: int, seed: int) -> Points:
    """The first ``count`` points of a distribution to train on, a tenth more of them to validate on."""
    toy, held = TOYS[name], max(2, count // 10)
    train, train_label = toy.draw(count, seed=seed)
    val, val_label = toy.draw(held, seed=seed, start=count)
    of = f", {len(toy.classes)} classes" if toy.classes else ""
    summary = {
        "text": f"{name}: {count:,} points{of}, and {held:,} held out",
        "distribution": name,
        "train": count,
        "val": held,
    }
    return Points(train, train_label, val, val_label, toy.classes, summary)


def from_file(path: Path, columns: Sequence[str], label: str, where: str) -> Points:
    """Two columns of a table; ``label`` names a column of classes, ``where`` is "" or "column=value"."""
    table = read_table(path)
    if where:
        name, equals, value = where.partition("=")
        if not equals:
            raise ValueError(f"where must have the form column=value, not {where!r}")
        table = table.where(name.strip(), value.strip())
    names = tuple(columns) or tuple(name for name in table.numeric() if name != label)[:2]
    if len(names) != 2:
        raise DataError(f"{path}: two columns of numbers are needed, found {', '.join(names) or 'none'}")
    points = table.numbers(names).astype(np.float32)
    cells = table.column(label) if label else ("",) * len(points)
    classes = tuple(sorted(set(cells)))
    index = np.array([classes.index(cell) for cell in cells], dtype=np.int64)
    held = held_out(index)
    if len(points) - held.sum() < 2 or held.sum() < 2:
        raise DataError(f"{path}: {len(points)} rows are too few to train on and to validate")
    of = f", {len(classes)} classes of {label}" if label else ""
    rows = f"{len(points) - held.sum():,} rows{of}, and {held.sum():,} held out"
    summary = {
        "text": f"{path.name}: {', '.join(names)} of {rows}",
        "file": path.name,
        "columns": list(names),
        "where": where,
        "train": int(len(points) - held.sum()),
        "val": int(held.sum()),
    }
    return Points(points[~held], index[~held], points[held], index[held], classes if label else (), summary)


def around(points: npt.NDArray[np.floating]) -> Frame:
    """The square around points (n, 2), with a margin of a tenth."""
    low, high = points.astype(np.float64).min(axis=0), points.astype(np.float64).max(axis=0)
    x, y = ((low + high) / 2).tolist()
    return x, y, 0.55 * float((high - low).max()) or 1.0
