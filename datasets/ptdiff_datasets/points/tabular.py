"""Columns of numbers from text tables: comma, semicolon or tab separated, with or without a header line.

A cell has no value if it is empty or, in a column of numbers, holds a usual placeholder: NA, N/A, NaN, null, None or ?.
"""

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
_NO_VALUE = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))


@dataclass(frozen=True)
class Table:
    """Cells as text, every row as long as ``names``; ``lines`` are the line numbers at which rows end."""

    path: Path
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[int, ...]

    def column(self, name: str) -> tuple[str, ...]:
        """Return the cells of one column; DataError, naming the nearest, if there is none."""
        if name not in self.names:
            near = get_close_matches(name, self.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(self.names)}"
            raise DataError(f"{self.path}: no column {name!r}; {hint}")
        place = self.names.index(name)
        return tuple(row[place] for row in self.rows)

    def where(self, name: str, value: str) -> Table:
        """Select the rows whose cell in column ``name`` is ``value``; DataError, naming the nearest, if none is."""
        cells = self.column(name)
        rows = [row for row, cell in enumerate(cells) if cell == value]
        if not rows:
            known = sorted(set(cells))
            near = get_close_matches(value, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known[:12])}"
            raise DataError(f"{self.path}: no row has {name} = {value!r}; {hint}")
        return self._taken(rows)

    def _taken(self, rows: Sequence[int]) -> Table:
        return Table(self.path, self.names, tuple(self.rows[i] for i in rows), tuple(self.lines[i] for i in rows))

    def numeric(self) -> tuple[str, ...]:
        """Names of the columns that hold only numbers; a column without a name is a row index and left out."""
        kinds = {name: {_kind(cell) for cell in self.column(name)} for name in self.names if name}
        return tuple(name for name, found in kinds.items() if float in found and str not in found)

    def spoiled(self) -> dict[str, str]:
        """Find columns of numbers except for a few cells, less than a tenth: name -> description of the first one."""
        found = {}
        for name in self.names:
            cells = self.column(name)
            wrong = [row for row, cell in enumerate(cells) if _kind(cell) is str]
            if 0 < 10 * len(wrong) < len(cells):
                found[name] = self._place(wrong[0], name)
        return found

    def _place(self, row: int, name: str) -> str:
        return f"line {self.lines[row]}, column {name!r}: {self.column(name)[row]!r} is not a number"

    def complete(self, numbers: Sequence[str], text: Sequence[str] = ()) -> tuple[Table, str]:
        """Select the rows with a value in each of these columns; also returns a note on the rows skipped, "" if none.

        FormatError if more than half are skipped.
        """
        empty = {name: [row for row, cell in enumerate(self.column(name)) if not cell] for name in text}
        empty |= {name: [row for row, cell in enumerate(self.column(name)) if not _kind(cell)] for name in numbers}
        out = {row for rows in empty.values() for row in rows}
        if not out:
            return self, ""
        if 2 * len(out) > len(self.rows):
            name = max(empty, key=lambda name: len(empty[name]))
            most = f"column {name!r} has no value in {len(empty[name])} of {len(self.rows)} rows"
            raise FormatError(
                self.path, f"{most}, first in line {self.lines[empty[name][0]]}: fill it or choose other columns"
            )
        first = min(out)
        where = next(name for name, rows in empty.items() if first in rows)
        kept = self._taken([row for row in range(len(self.rows)) if row not in out])
        left = "1 row is" if len(out) == 1 else f"{len(out):,} rows are"
        start = "" if len(out) == 1 else "the first in "
        return kept, f"{left} skipped for lack of a value: {start}line {self.lines[first]}, column {where!r}"

    def numbers(self, names: Sequence[str]) -> npt.NDArray[np.float64]:
        """Parse the columns ``names`` into (rows, len(names)); FormatError for a cell that is not a finite number."""
        return np.array([self._parsed(name) for name in names], dtype=np.float64).T.reshape(-1, len(names))

    def _parsed(self, name: str) -> list[float]:
        cells = self.column(name)
        wrong = [row for row, cell in enumerate(cells) if _kind(cell) is not float]
        if wrong:
            more = f", nor are {len(wrong) - 1} other cells" if len(wrong) > 1 else ""
            raise FormatError(
                self.path, f"{self._place(wrong[0], name)}{more}; correct the file or choose other columns"
            )
        values = [float(cell) for cell in cells]
        bad = [row for row, value in enumerate(values) if not math.isfinite(value)]
        if bad:
            raise FormatError(self.path, f"line {self.lines[bad[0]]}, column {name!r}: {cells[bad[0]]!r} is not finite")
        return values


def read_table(path: str | Path) -> Table:
    """Read a text table (UTF-8).

    The first line decides: the separator is a tab, else a semicolon, else a comma; the line is a header unless it holds
    numbers, and then the columns are called c1, c2, …. Empty lines are skipped. Raises FormatError for text that is not
    UTF-8, broken quotes, rows of unequal length and duplicate column names.
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
    lines: list[int] = []
    try:
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if rows and len(row) != len(rows[0]):
                raise FormatError(path, f"line {reader.line_num} has {len(row)} cells, not {len(rows[0])}")
            rows.append(tuple(cell.strip() for cell in row))
            lines.append(reader.line_num)
    except csv.Error as error:
        raise FormatError(path, f"line {reader.line_num}: {error}") from None
    if not rows:
        raise FormatError(path, "no rows", 0)
    kinds = [_kind(cell) for cell in rows[0]]
    if float in kinds and str not in kinds:
        return Table(path, tuple(f"c{n + 1}" for n in range(len(rows[0]))), tuple(rows), tuple(lines))
    names = rows[0]
    if len(set(names)) < len(names):
        raise FormatError(path, f"duplicate column names: {', '.join(names)}", 0)
    if len(rows) == 1:
        raise FormatError(path, "a header line but no rows")
    return Table(path, names, tuple(rows[1:]), tuple(lines[1:]))


def _kind(cell: str) -> type[float] | type[str] | None:
    """Classify a cell: a number (float), some text (str), or no value (None)."""
    if cell.lower() in _NO_VALUE:
        return None
    try:
        float(cell)
    except ValueError:
        return str
    # 1_000, which Python accepts, is not a number in a table
    return str if "_" in cell else float
