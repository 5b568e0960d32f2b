"""Columns of numbers from text files: comma, semicolon or tab separated, with or without a line of names."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import DataError, FormatError

_DELIMITERS = "\t;,"


@dataclass(frozen=True)
class Table:
    """Cells as text, every row as long as ``names``."""

    path: Path
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def column(self, name: str) -> tuple[str, ...]:
        """The cells of one column; DataError with the nearest name where there is none."""
        if name not in self.names:
            near = get_close_matches(name, self.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self.names)}"
            raise DataError(f"{self.path}: no column {name!r}; {hint}")
        place = self.names.index(name)
        return tuple(row[place] for row in self.rows)

    def where(self, name: str, value: str) -> Table:
        """The rows whose cell in column ``name`` is ``value``; DataError where there are none."""
        cells = self.column(name)
        rows = tuple(row for row, cell in zip(self.rows, cells, strict=True) if cell == value)
        if not rows:
            known = sorted(set(cells))
            near = get_close_matches(value, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[:12])}"
            raise DataError(f"{self.path}: no row has {name} = {value!r}; {hint}")
        return Table(self.path, self.names, rows)

    def numeric(self) -> tuple[str, ...]:
        """The names of the columns that hold numbers only."""
        return tuple(name for name in self.names if all(_is_number(cell) for cell in self.column(name)))

    def numbers(self, names: Sequence[str]) -> npt.NDArray[np.float64]:
        """The columns ``names`` as (rows, len(names)); FormatError where a cell is no finite number."""
        return np.array([self._parsed(name) for name in names], dtype=np.float64).T.reshape(-1, len(names))

    def _parsed(self, name: str) -> list[float]:
        cells = self.column(name)
        wrong = [cell for cell in cells if not _is_number(cell)]
        if wrong:
            found = f"{len(wrong)} cells of column {name!r} are no numbers"
            raise FormatError(self.path, f"{found}, the first is {wrong[0]!r}")
        values = [float(cell) for cell in cells]
        bad = sum(not math.isfinite(value) for value in values)
        if bad:
            raise FormatError(self.path, f"{bad} numbers in column {name!r} are NaN or infinite")
        return values


def read_table(path: str | Path) -> Table:
    """The cells of a text table (UTF-8).

    The first line decides: its separator is a tab, else a semicolon, else a comma; it is a line of names
    unless all its cells are numbers, and then the columns are called c1, c2, ….  Empty lines are left out.
    Raises FormatError for text that is not UTF-8, broken quotes, rows of another length and names that occur
    twice.
    """
    path = Path(path)
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(path, "not UTF-8 text", error.start) from None
    first = text.lstrip().partition("\n")[0]
    delimiter = next((mark for mark in _DELIMITERS if mark in first), ",")
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter=delimiter, strict=True, skipinitialspace=True)
    rows: list[tuple[str, ...]] = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if rows and len(row) != len(rows[0]):
                raise FormatError(path, f"line {reader.line_num} has {len(row)} cells, not {len(rows[0])}")
            rows.append(tuple(cell.strip() for cell in row))
    except csv.Error as error:
        raise FormatError(path, f"line {reader.line_num}: {error}") from None
    if not rows:
        raise FormatError(path, "no rows", 0)
    if all(_is_number(cell) for cell in rows[0]):
        return Table(path, tuple(f"c{n + 1}" for n in range(len(rows[0]))), tuple(rows))
    names = rows[0]
    if len(set(names)) < len(names):
        raise FormatError(path, f"a column name occurs twice: {', '.join(names)}", 0)
    if len(rows) == 1:
        raise FormatError(path, "a line of names and no rows")
    return Table(path, names, tuple(rows[1:]))


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    # Python's own 1_000 is no number in a table
    return "_" not in cell
