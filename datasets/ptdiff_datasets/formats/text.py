"""Point clouds as plain text: .xyz, .txt, .pts, .asc and .csv, one point per line.

Numbers are separated by spaces, tabs, commas or semicolons. A count (as in .pts) may come first, and a line of names,
which may be a comment (``# x y z red green blue``, ``//X Y Z R G B``).
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import COLUMNS, Cloud, from_table
from ptdiff_datasets.writing import arrays, replacing

TEXT_SUFFIXES = frozenset({".xyz", ".txt", ".pts", ".asc", ".csv"})
HEADER = 100  # lines that may precede the first point
LINE = 1 << 14  # bytes of one such line
COMMENTS = ("#", "//")


def read_text(path: str | Path) -> Cloud:
    """Read the points of a text file; its columns are recognized by name or as in ``from_table``.

    FormatError for words among the numbers, rows of unequal length, a count in the first line that is wrong, no points,
    NaN and infinity. Truncation between two lines goes unnoticed in a file without a count.
    """
    path = Path(path)
    with path.open("rb") as file:
        names, count, delimiter, start = _opening(file, path)
        file.seek(start)
        table = parse(file, path, delimiter)
    if count is not None and len(table) != count:
        raise FormatError(path, f"the first line claims {count} points, but {len(table)} follow", start)
    return from_table(path, table, names if len(names) == table.shape[1] else ())


def looks_like_points(path: Path) -> bool:
    """True if a text file begins with a row of numbers, possibly after a count or names."""
    try:
        with path.open("rb") as file:
            _opening(file, path)
    except FormatError:
        return False
    return True


def _opening(file: IO[bytes], path: Path) -> tuple[tuple[str, ...], int | None, str | None, int]:
    """Parse the lines before the points: column names (or ()), count (or None), delimiter, and offset of the points."""
    names: tuple[str, ...] = ()
    count: int | None = None
    for _ in range(HEADER):
        start = file.tell()
        raw = file.readline(LINE)
        if not raw:
            raise FormatError(path, "no points", start)
        line = raw.decode("latin-1").strip()
        mark = next((m for m in COMMENTS if line.startswith(m)), "")
        delimiter = next((d for d in ",;" if d in line), None)
        said = line.removeprefix(mark) if mark else _without_comment(line)
        words = [word.strip() for word in said.split(delimiter)]
        if {"x", "y", "z"} <= {word.lower() for word in words}:
            names = tuple(words)
        elif mark or not line:
            continue
        elif len(words) == 1 and words[0].isdecimal() and count is None:
            count = int(words[0][:18])
        elif len(words) >= 3 and all(_is_number(word) for word in words):
            return names, count, delimiter, start
        else:
            raise FormatError(path, f"{line[:40]!r} is not a point", start)
    raise FormatError(path, f"no points in the first {HEADER} lines", 0)


def _without_comment(line: str) -> str:
    for mark in COMMENTS:
        line = line.partition(mark)[0]
    return line.strip()


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return "_" not in word


def parse(file: IO[bytes], path: Path, delimiter: str | None) -> npt.NDArray[np.float64]:
    """Parse the remaining rows of numbers in a file, (rows, columns)."""
    try:
        return np.loadtxt(
            (line.decode("latin-1") for line in file), np.float64, comments=COMMENTS, delimiter=delimiter, ndmin=2
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
