"""Columns of numbers and text from text tables; for what is understood see ``dialect`` and ``numerals``.

A cell has no value if it is empty or, in a column of numbers, holds a usual placeholder: NA, N/A, NaN, null, None or ?.
What could be read in two ways is refused, with the option that settles it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.formats.dialect import Lines, open_lines
from ptdiff_datasets.formats.numerals import Decimal, evidence, parsed

_NO_VALUE = frozenset(("", "na", "n/a", "nan", "null", "none", "?"))
_EXACT = 2.0**53  # up to here float64 holds every whole number
_YEARS = range(1800, 2101)

Row = tuple[str, ...]


@dataclass(frozen=True)
class TextTable:
    """Cells as text, every row as long as ``names``; ``lines`` are the line numbers at which rows end.

    A column without a name holds row names. decimal: the decimal mark, None to find it from the cells.
    """

    path: Path
    names: tuple[str, ...]
    rows: tuple[Row, ...]
    lines: tuple[int, ...]
    decimal: Decimal | None = None

    def column(self, name: str) -> tuple[str, ...]:
        """Return the cells of one column; DataError, naming the nearest, if there is none."""
        if name not in self._places:
            near = get_close_matches(name, self.names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it has {', '.join(filter(None, self.names))}"
            raise DataError(f"{self.path}: no column {name!r}; {hint}")
        place = self._places[name]
        return tuple(row[place] for row in self.rows)

    @cached_property
    def _places(self) -> dict[str, int]:
        # looked up once for each of what may be a hundred thousand columns
        return {name: place for place, name in reversed([*enumerate(self.names)])}

    def where(self, name: str, value: str) -> TextTable:
        """Select the rows whose cell in column ``name`` is ``value``; DataError, naming the nearest, if none is."""
        cells = self.column(name)
        rows = [row for row, cell in enumerate(cells) if cell == value]
        if not rows:
            known = sorted(set(cells))
            near = get_close_matches(value, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(known[:12])}"
            raise DataError(f"{self.path}: no row has {name} = {value!r}; {hint}")
        return self._taken(rows)

    def _taken(self, rows: Sequence[int]) -> TextTable:
        return replace(self, rows=tuple(self.rows[i] for i in rows), lines=tuple(self.lines[i] for i in rows))

    def mark(self, name: str) -> Decimal:
        """Return the decimal mark of a column: what its cells prove, else what those of all others prove.

        FormatError if the column holds cells such as 1,043 and nothing tells what they are.
        """
        if self.decimal is not None:
            return self.decimal
        cells = self.column(name)
        if not self._has_commas:
            return "."
        found = _proofs(cells)
        proven = found - {"either"} or self._proven
        if len(proven) == 1 or found - {"either"}:
            return "," if proven == {","} else "."
        if "either" not in found:
            return "."
        row = next(i for i, cell in enumerate(cells) if evidence(cell) == "either")
        comma, point = cells[row].replace(",", "."), cells[row].replace(",", "")
        where = f"line {self.lines[row]}, column {name!r}: {cells[row]!r} may be {comma} or {point}"
        raise FormatError(self.path, f"{where}; -o decimal=, or -o decimal=. says which")

    @cached_property
    def _has_commas(self) -> bool:
        return any("," in cell or cell.count(".") > 1 for row in self.rows for cell in row)

    @cached_property
    def _proven(self) -> set[str]:
        return _proofs(cell for row in self.rows for cell in row) - {"either"}

    def numeric(self) -> tuple[str, ...]:
        """Names of the columns that hold only numbers; a column without a name is a row index and left out."""
        return tuple(name for name in self.names if name and name not in self.dropped and self._some(name))

    @cached_property
    def dropped(self) -> dict[str, str]:
        """The columns that are not of numbers: name -> description of the first cell that is none."""
        return {name: wrong for name in self.names if name and (wrong := self._wrong(name)) is not None}

    def spoiled(self) -> dict[str, str]:
        """Find the columns of numbers except for a few cells, less than a tenth, as ``dropped``."""
        return {name: wrong for name, wrong in self.dropped.items() if 0 < 10 * self._count(name) < len(self.rows)}

    def _some(self, name: str) -> bool:
        return any(_kind(cell) is float for cell in self.column(name))

    def _count(self, name: str) -> int:
        mark = self._mark(name)
        return sum(_kind(cell, mark) is str for cell in self.column(name))

    def _mark(self, name: str) -> Decimal:
        try:
            return self.mark(name)
        except FormatError:  # it is asked when the column is used
            return "."

    def _wrong(self, name: str) -> str | None:
        mark = self._mark(name)
        cells = self.column(name)
        row = next((row for row, cell in enumerate(cells) if _kind(cell, mark) is str), None)
        return None if row is None else self._place(row, name)

    def _place(self, row: int, name: str) -> str:
        cell = self.column(name)[row]
        shown = cell if len(cell) <= 40 else cell[:39] + "…"
        return f"line {self.lines[row]}, column {name!r}: {shown!r} is not a number"

    def complete(self, numbers: Sequence[str], text: Sequence[str] = ()) -> tuple[TextTable, str]:
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
        table = self.values(names)
        for name, column in zip(names, table.T, strict=True):
            cells = self.column(name)
            if bad := [row for row, cell in enumerate(cells) if _kind(cell) is None]:
                self._refuse(name, bad)
            if len(bad := np.flatnonzero(~np.isfinite(column)).tolist()):
                where = f"line {self.lines[bad[0]]}, column {name!r}"
                raise FormatError(self.path, f"{where}: {cells[bad[0]]!r} is not finite")
            # of cells that are exact, such as 0 and 0.0, several may be one number
            large = np.abs(column) > _EXACT
            texts, values = len({cells[row] for row in np.flatnonzero(large)}), len(np.unique(column[large]))
            if values < texts:
                kept = f"doubles keep {values:,} of its {texts:,} values"
                raise FormatError(self.path, f"column {name!r} holds numbers beyond 2**53, and {kept}")
        return table

    def values(self, names: Sequence[str]) -> npt.NDArray[np.float64]:
        """Parse columns as :meth:`numbers`, but let NaN and infinity pass; a cell without a value is NaN."""
        return np.array([self._parsed(name) for name in names], dtype=np.float64).T.reshape(-1, len(names))

    def readings(self, names: Sequence[str]) -> list[str]:
        """Describe unusual ways in which these columns were read: decimal commas, thousands, percentages."""
        said: dict[str, list[str]] = {}
        for name in names:
            cells, mark = self.column(name), self.mark(name)
            if mark == "," and any("," in cell for cell in cells):
                said.setdefault("decimal commas", []).append(name)
            elif mark == "." and any("," in cell and parsed(cell) is not None for cell in cells):
                said.setdefault("commas between thousands", []).append(name)
            if any(cell.endswith("%") for cell in cells):
                said.setdefault("percentages, read as hundredths", []).append(name)
        return [f"{what}: {', '.join(found[:8])}{', …' if len(found) > 8 else ''}" for what, found in said.items()]

    def _parsed(self, name: str) -> list[float]:
        cells, mark = self.column(name), self.mark(name)
        values = [float("nan") if _kind(cell) is None else parsed(cell, mark) for cell in cells]
        if wrong := [row for row, value in enumerate(values) if value is None]:
            self._refuse(name, wrong)
        there = [row for row, cell in enumerate(cells) if _kind(cell) is not None]
        percent = [cells[row].endswith("%") for row in there]
        if any(percent) and not all(percent):
            row = there[percent.index(not percent[0])]
            words = f"{'' if cells[row].endswith('%') else 'not '}a percentage, unlike the cells before"
            raise FormatError(self.path, f"line {self.lines[row]}, column {name!r}: {cells[row]!r} is {words}")
        return [value for value in values if value is not None]

    def _refuse(self, name: str, wrong: Sequence[int]) -> NoReturn:
        more = f", nor are {len(wrong) - 1} other cells" if len(wrong) > 1 else ""
        raise FormatError(self.path, f"{self._place(wrong[0], name)}{more}; correct the file or choose other columns")


def _proofs(cells: Iterable[str]) -> set[str]:
    return {found for cell in cells if ("," in cell or "." in cell) and (found := evidence(cell)) is not None}


def read_table(path: str | Path, *, header: bool | None = None, decimal: Decimal | None = None) -> TextTable:
    """Read a text table; see ``dialect`` for separators and encodings.

    The first line is a header unless it holds numbers; then the columns are called c1, c2, …, or by a comment of as
    many names just before it. Row names as R and pandas write them, in front of rows with one cell more than the
    header, become a column without a name. Empty lines are skipped.

    header: True or False if the first line is known to be one, or to be none. decimal: the decimal mark, if known.
    FormatError for bytes that are not text, broken quotes, rows of unequal length, duplicate column names, and for a
    first line or a number that could be either.
    """
    path = Path(path)
    lines = open_lines(path)
    found = list(lines.rows())
    if not found:
        raise FormatError(path, "no rows", 0)
    numbers, rows = [line for line, _ in found], [row for _, row in found]
    if header is None:
        header = has_header(path, rows)
    if header and len(rows) == 1:
        raise FormatError(path, "a header line but no rows")
    names, body, places = rows[0], rows[1:], numbers[1:]
    if not header:
        body, places = rows, numbers
        names = _commented(lines, len(rows[0])) or tuple(f"c{n + 1}" for n in range(len(rows[0])))
    names, body = fitted(path, names, body, places)
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise FormatError(path, f"duplicate column names: {', '.join(named)}", 0)
    # a column without a name, unless it is the first, counts as any other if there is something in it
    kept = [i for i, name in enumerate(names) if i == 0 or name or any(row[i] for row in body)]
    if len(kept) < len(names):
        body = [tuple(row[i] for i in kept) for row in body]
    names = tuple(names[i] or (f"c{i + 1}" if i else "") for i in kept)
    if names[0] == "Unnamed: 0" and _row_names([row[0] for row in body]):
        names = ("", *names[1:])  # row names that pandas has read and written again
    return TextTable(path, names, tuple(body), tuple(places), decimal)


def fitted(path: Path, names: Row, body: Sequence[Row], lines: Sequence[int]) -> tuple[Row, list[Row]]:
    """Make names and rows equally long, if the rows have row names or all end with a separator; else FormatError."""
    width = len(body[0])
    for row, line in zip(body, lines, strict=True):
        if len(row) != width:
            raise FormatError(path, f"line {line} has {len(row)} cells, not {width}")
    if width == len(names):
        return names, list(body)
    if width == len(names) - 1 and not names[-1]:
        return names[:-1], list(body)
    if width == len(names) + 1:
        ended, counted = not any(row[-1] for row in body), _row_names([row[0] for row in body])
        if ended and counted and len(body) > 1:
            where = f"line {lines[0]} has {width} cells for {len(names)} names"
            raise FormatError(path, f"{where}: a row name at the start, or a separator at the end? name every column")
        if ended:
            return names, [row[:-1] for row in body]
        if counted:
            return ("", *names), list(body)
    raise FormatError(path, f"the header has {len(names)} names, but line {lines[0]} has {width} cells")


def _row_names(cells: Sequence[str]) -> bool:
    """True for the row names of R and pandas: distinct text, or whole numbers counting up from 0 or 1."""
    if len(set(cells)) < len(cells):
        return False
    if all(_kind(cell) is str for cell in cells):
        return True
    first = cells[0]
    return first in ("0", "1") and list(cells) == [str(int(first) + i) for i in range(len(cells))]


def has_header(path: Path, rows: Sequence[Row]) -> bool:
    """True if the first row holds names; FormatError if it may be names or numbers."""
    first, below = rows[0], [row for row in rows[1:] if len(row) == len(rows[0])]
    words = [cell for cell in first if _kind(cell) is str]
    whole = [cell for cell in first if cell.isdecimal()]
    there = [cell for cell in first if cell]
    if not any(_kind(cell) is float for cell in first):
        return True  # names only, or nothing but placeholders
    if len(words) + len(whole) < len(there):
        return False  # a number that is not whole is no name
    years = bool(whole) and all(int(cell) in _YEARS for cell in whole) and len(set(whole)) == len(whole)
    rest = [row[i] for i, cell in enumerate(first) if cell in whole for row in below if _kind(row[i]) is float]
    if words:
        # a word that occurs below in its column is a value, not the name of the column
        if any(cell == row[i] for i, cell in enumerate(first) if cell in words for row in below):
            return False
        if years or not rest:
            return True
    elif len(whole) < 2 or len(set(whole)) < len(whole) or len(below) < 3 or len(whole) < len(first) - 1:
        return False
    elif not first[0] and _row_names([row[0] for row in below]):
        return True  # pandas numbers rows and columns
    elif not _spaced([int(cell) for cell in whole]):
        return False
    columns = [[row[i] for row in below] for i, cell in enumerate(first) if cell in whole]
    unlike = [not any(cell.lstrip("+-").isdecimal() for cell in column) for column in columns]
    if not words and not any(unlike):
        return False
    if years and (words or max((abs(parsed(cell) or 0) for cell in rest), default=0) < 0.9 * min(map(int, whole))):
        return True
    if words and not any(unlike):
        return False if len(words) < len(first) - len(words) else _unsure(path, first)
    return _unsure(path, first)


def _unsure(path: Path, first: Row) -> bool:
    shown = ", ".join(first[:4]) + (", …" if len(first) > 4 else "")
    raise FormatError(path, f"the first line ({shown}) may be names or numbers; -o header=true or false says which")


def _spaced(numbers: Sequence[int]) -> bool:
    steps = {after - before for before, after in pairwise(numbers)}
    return len(steps) == 1 and min(steps) > 0


def _commented(lines: Lines, width: int) -> Row:
    """Return the names in the last comment before the rows, as NumPy and gnuplot write them, or ()."""
    if not lines.comments:
        return ()
    words = lines.names(lines.comments[-1], width)
    fit = len(words) == width and len(set(words)) == width and all(_kind(word) is str for word in words)
    return words if fit else ()


def _kind(cell: str, mark: Decimal | None = None) -> type[float] | type[str] | None:
    """Classify a cell: a number (float), some text (str), or no value (None)."""
    if cell.lower() in _NO_VALUE:
        return None
    marks: tuple[Decimal, ...] = (".", ",") if mark is None else (mark,)
    return float if any(parsed(cell, each) is not None for each in marks) else str
