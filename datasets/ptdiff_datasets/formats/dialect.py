"""The dialect of a text table: encoding, comments, separator, header, and where the rows begin.

One reader for every text table (.csv, .tsv, .txt, .dat, .xyz, .pts, .asc), whatever wrote it: Excel (``sep=;``, UTF-16,
byte order marks), R (row names without a name), NumPy (names in a comment), or a scanner. The separator is the one that
cuts the first lines into rows of one width, most of them numbers: a tab, semicolon, bar, comma, or any white space.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.numerals import looks_numeric

SAMPLED = 100  # lines that decide on the separator
HEAD = 1 << 16  # bytes that are enough for them
COMMENTS = ("#", "//", "%")
SEPARATORS: tuple[str | None, ...] = ("\t", ";", "|", ",", None)  # in order of preference; None is any white space
_SEP = re.compile(r'"?sep=(.)"?\s*$', re.I)


@dataclass(frozen=True)
class Lines:
    """A text file as lines with their ends, and the separator of its cells.

    first: index of the first line that is no comment and not empty. comments: those before it, without their marks.
    count: the number of rows that a first line of its own claims, as in .pts, or None.
    """

    path: Path
    lines: Sequence[str]
    separator: str | None
    first: int
    comments: tuple[str, ...] = ()
    count: int | None = None

    def names(self, comment: str, width: int) -> tuple[str, ...]:
        """Cut a comment as the rows are cut, or with the separator that makes it ``width`` names."""

        def cut(mark: str | None) -> tuple[str, ...]:
            return tuple(comment.split() if mark is None else (cell.strip() for cell in comment.split(mark)))

        marks = SEPARATORS if self.separator is None else (self.separator, *SEPARATORS)
        return next((words for mark in marks if len(words := cut(mark)) == width), cut(self.separator))

    def rows(self) -> Iterator[tuple[int, tuple[str, ...]]]:
        """Yield line number and cells of every row; FormatError for broken quotes and text that is not UTF-8."""
        numbers: list[int] = []
        reader = _cut(self._kept(numbers), self.separator)
        try:
            for row in reader:
                cells = tuple(cell.strip() for cell in row)
                if any(cells):
                    yield numbers[-1], _without_comment(cells)
        except csv.Error as error:
            raise FormatError(self.path, f"line {numbers[-1] if numbers else self.first + 1}: {error}") from None

    def _kept(self, numbers: list[int]) -> Iterator[str]:
        """Yield the lines that are no comments, and note their numbers."""
        for number, line in enumerate(self.lines[self.first :], self.first + 1):
            if is_comment(line):
                continue
            if not line.isascii():
                _as_text(self.path, line, self.lines[: number - 1])
            numbers.append(number)
            yield _bare(line) if self.separator is None else line


def open_lines(path: Path, *, counted: bool = False, head: bool = False) -> Lines:
    """Decode a text table and find its separator; ``head`` reads only as many bytes as that takes.

    counted: a first line with a single whole number is the count of the rows. FormatError for a file without rows and
    for bytes that are no text.
    """
    with path.open("rb") as file:
        content = file.read(HEAD if head else -1)
    text = decoded(content, path)
    if not head or len(content) < HEAD:
        text = text.rstrip("\0\x1a\f") or text
    else:
        text = text[: max(text.rfind("\n"), text.rfind("\r"))]
    # universal line ends, and no other marks that Python takes for some
    lines = list(io.StringIO(text, newline=""))
    comments: list[str] = []
    separator: str | None = ""
    count, first = None, None
    for number, line in enumerate(lines):
        bare = line.strip()
        if not bare:
            continue
        if is_comment(line):
            comments.append(bare.lstrip("#/% \t"))
            continue
        if said := _SEP.match(line.strip(" \r\n")):  # the separator may be a tab
            separator = said[1]
            continue
        if counted and count is None and bare.isdecimal() and len(bare) <= 18:
            count = int(bare)
            continue
        first = number
        break
    if first is None:
        raise FormatError(path, "no rows", 0)
    if separator == "":
        separator = _separator(lines[first:])
    return Lines(path, lines, separator, first, tuple(comments), count)


def decoded(content: bytes, path: Path) -> str:
    """Decode UTF-8 or UTF-16, with or without a byte order mark; other bytes become surrogates, for ``_as_text``."""
    for mark, name in ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be")):
        if content.startswith(mark):
            return content[len(mark) :].decode(name, "surrogateescape" if name == "utf-8" else "replace")
    start = content[:512]
    if len(start) >= 4 and b"\0" in start:
        # numbers and separators are ASCII: every other byte of UTF-16 is zero
        for odd, name in ((1, "utf-16-le"), (0, "utf-16-be")):
            if not any(start[odd::2]) and all(start[1 - odd :: 2]):
                return content.decode(name, "replace")
    return content.decode("utf-8", "surrogateescape")


def _as_text(path: Path, line: str, before: Sequence[str]) -> None:
    """Raise FormatError, with the byte, if a line holds bytes that are not UTF-8."""
    try:
        line.encode()
    except UnicodeEncodeError as error:
        start = sum(len(part.encode("utf-8", "surrogateescape")) for part in (*before, line[: error.start]))
        raise FormatError(path, "not UTF-8 text", start) from None


def is_comment(line: str) -> bool:
    """True if a line begins with one of ``COMMENTS``."""
    return line.lstrip().startswith(COMMENTS)


def _bare(line: str) -> str:
    """Return a line of cells between white space, with single spaces and without the comment at its end."""
    for mark in ("#", "//"):
        if mark in line:
            line = re.split(rf"(?:^|\s){mark}", line, maxsplit=1)[0]
    return " ".join(line.split()) + "\n"


def _without_comment(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Cut the comment after a number in the last cell: 3 # of four."""
    last = cells[-1]
    for mark in ("#", "//"):
        bare = last.partition(mark)[0].strip()
        if mark in last and looks_numeric(bare):
            return (*cells[:-1], bare)
    return cells


def _cut(lines: Iterable[str], separator: str | None) -> Iterator[list[str]]:
    return csv.reader(iter(lines), delimiter=separator or " ", strict=True, skipinitialspace=True)


def _separator(lines: Sequence[str]) -> str | None:
    """Choose the separator that cuts the lines into rows of one width, with as wide a header if possible.

    Of several, it is the one with the largest share of numbers.
    """
    sample = [line for line in lines[: 2 * SAMPLED] if line.strip() and not is_comment(line)][:SAMPLED]
    best: tuple[tuple[bool, float], str | None] | None = None
    for separator in SEPARATORS:
        if separator is not None and separator not in sample[-1]:
            continue
        kept = [_bare(line) for line in sample] if separator is None else sample
        try:
            rows = [_without_comment(tuple(cell.strip() for cell in row)) for row in _cut(kept, separator)]
        except csv.Error:
            continue
        body = rows[1:] or rows
        width = len(body[0]) if body else 0
        if width < 2 or any(len(row) != width for row in body):
            continue
        cells = [cell for row in body for cell in row if cell]
        # spaces within the words of one column cut more rows than they cut headers
        fit = len(rows[0]) == width, sum(map(looks_numeric, cells)) / max(1, len(cells))
        if best is None or fit > best[0]:
            best = fit, separator
    if best is not None:
        return best[1]
    # rows of different widths: whatever the first line holds, so that the error names the row
    return next((mark for mark in SEPARATORS if mark is not None and mark in sample[0]), _single(sample))


def _single(sample: Sequence[str]) -> str | None:
    return "," if all(len(line.split()) == 1 for line in sample) else None
