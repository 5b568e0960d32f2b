"""Point clouds as plain text: .xyz, .txt, .pts, .asc and .csv, one point per line.

They are text tables, read as any other (``dialect``). A count (as in .pts) may come first, and a line of names, which
may be a comment (``# x y z red green blue``, ``//X Y Z R G B``).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import COLUMNS, PACKED, Cloud, from_table, known_name, unused
from ptdiff_datasets.formats.dialect import COMMENTS, Lines, open_lines
from ptdiff_datasets.formats.numerals import Decimal, looks_numeric
from ptdiff_datasets.formats.tables import Row, TextTable, fitted
from ptdiff_datasets.writing import arrays, replacing

TEXT_SUFFIXES = frozenset({".xyz", ".txt", ".pts", ".asc", ".csv"})


def read_text(path: str | Path, decimal: Decimal | None = None) -> Cloud:
    """Read the points of a text file; its columns are recognized by name or as in ``from_table``.

    decimal: the decimal mark, None to find it from the cells.
    FormatError for words among the numbers, rows of unequal length, names that do not fit the rows, a count in the
    first line that is wrong, no points, NaN and infinity. Truncation between two lines goes unnoticed in a file without
    a count.
    """
    path = Path(path)
    lines = _opened(path)
    names, start = _names(lines)
    table, left = _quickly(lines, start, names) if decimal != "," else None, list[str]()
    if table is None:
        names, table, left = _carefully(lines, start, names, decimal)
    if lines.count is not None and len(table) != lines.count:
        raise FormatError(path, f"the first line claims {lines.count} points, but {len(table)} follow", 0)
    cloud = from_table(path, table, names)
    return replace(cloud, remarks=(*cloud.remarks, *unused(left)))


def why_no_points(path: Path) -> str | None:
    """Return None if a text file begins with a row of numbers, possibly after a count or names; else the reason."""
    try:
        lines = _opened(path, head=True)
        _names(lines)
    except FormatError as error:
        return error.reason
    return None


def _opened(path: Path, *, head: bool = False) -> Lines:
    try:
        return open_lines(path, counted=True, head=head)
    except FormatError as error:
        raise FormatError(path, "no points" if error.reason == "no rows" else error.reason, error.offset) from None


def _names(lines: Lines) -> tuple[Row, int]:
    """Return the names of the columns, () if there are none, and the number of rows before the points (0 or 1)."""
    _, first = next(lines.rows(), (0, ()))
    ended = len(first) > 3 and not first[-1]  # each row may end with a separator
    if len(first) >= 3 and all(looks_numeric(cell) for cell in first[: len(first) - ended]):
        said = (lines.names(comment, len(first)) for comment in reversed(lines.comments))
        return next((words for words in said if _has_points(words)), ()), 0
    if _has_points(first):
        return first, 1
    words = [cell for cell in first if cell and not looks_numeric(cell)]
    if len(first) >= 3 and len(words) == len(first):
        raise FormatError(lines.path, f"no columns x, y and z among {', '.join(first)[:60]}")
    shown = lines.lines[lines.first].strip()
    raise FormatError(lines.path, f"{shown[:40]!r} is not a point", 0)


def _has_points(names: Sequence[str]) -> bool:
    return {"x", "y", "z"} <= {known_name(name) for name in names}


def _quickly(lines: Lines, start: int, names: Row) -> npt.NDArray[np.float64] | None:
    """Parse rows of plain numbers as long as ``names``; None if something is not plain."""
    body = lines.lines[lines.first + start :]
    try:
        # not %, which is a comment only at the start of a line
        table = np.loadtxt(body, np.float64, comments=COMMENTS[:2], delimiter=lines.separator, ndmin=2)
    except (ValueError, OverflowError):
        return None
    return table if table.size and len(names) in (0, table.shape[1]) else None


def _carefully(
    lines: Lines, start: int, names: Row, decimal: Decimal | None
) -> tuple[Row, npt.NDArray[np.float64], list[str]]:
    """Parse the rows cell by cell; only the columns of points, normals and colors need to be numbers.

    Returns the names of the columns of the table, () if there are none, the table, and the names of the others.
    """
    path, rows = lines.path, list(lines.rows())[start:]
    if not rows:
        raise FormatError(path, "no points")
    places, body = [line for line, _ in rows], [row for _, row in rows]
    width = len(body[0])
    if not names and not any(row[-1] for row in body):  # every row ends with a separator
        width, body = width - 1, [row[:-1] for row in body]
    wide, body = fitted(path, names or tuple(f"c{i + 1}" for i in range(width)), body, places)
    table = TextTable(path, tuple(name or f" {i}" for i, name in enumerate(wide)), tuple(body), tuple(places), decimal)
    wanted = {name for columns in COLUMNS.values() for name in columns}
    used = [name for name in table.names if not names or known_name(name) in wanted]
    if len(set(used)) < len(used):
        raise FormatError(path, f"duplicate column names: {', '.join(used)}")
    used += [name for name in table.names if names and known_name(name) in PACKED and name not in table.dropped]
    left = [name for name in table.names if name not in used and not name.startswith(" ")]
    return (tuple(used) if names else ()), table.values(used), left


def parse(file: IO[bytes], path: Path, delimiter: str | None) -> npt.NDArray[np.float64]:
    """Parse the remaining rows of numbers in a file, (rows, columns)."""
    try:
        return np.loadtxt(
            (line.decode("latin-1") for line in file), np.float64, comments=COMMENTS[:2], delimiter=delimiter, ndmin=2
        )
    except (ValueError, OverflowError) as error:
        raise FormatError(path, str(error).partition(";")[0][:120]) from None


def write_xyz(
    path: str | Path,
    points: npt.ArrayLike,
    normals: npt.ArrayLike | None = None,
    colors: npt.ArrayLike | None = None,
) -> None:
    """Write points (n, 3), optional normals (n, 3) and colors (n, 3) uint8 as text, atomically.

    With normals or colors, a comment in the first line names the columns. All digits are written, so that numbers are
    read back exactly.
    """
    cloud = arrays(points, normals, colors)
    parts: Sequence[tuple[str, npt.NDArray[np.generic] | None]] = (
        ("points", cloud.points),
        ("normals", cloud.normals),
        ("colors", cloud.colors),
    )
    there = [(name, array) for name, array in parts if array is not None]
    forms = [{"u": "%d", "f": "%.17g" if a.dtype.itemsize == 8 else "%.9g"}[a.dtype.kind] for _, a in there]
    row = " ".join(form for form in forms for _ in range(3)) + "\n"
    with replacing(path) as file:
        if len(there) > 1:
            file.write(f"# {' '.join(column for name, _ in there for column in COLUMNS[name])}\n".encode())
        rows = (
            row % tuple(value for part in point for value in part.tolist())
            for point in zip(*(array for _, array in there), strict=True)
        )
        while lines := list(islice(rows, 1 << 14)):
            file.write("".join(lines).encode("ascii"))
