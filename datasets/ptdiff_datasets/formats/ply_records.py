"""PLY records: the numbers and the lists of every element, in text and in both byte orders.

Numbers of one element without lists are read at once, and so are lists of equal length. Other lists are followed one by
one, because only the length of each tells where the next record starts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.cloud import as_declared
from ptdiff_datasets.formats.geometry import PADDING, numbers
from ptdiff_datasets.formats.ply_header import Element, Header, Property

NUMBER = re.compile(rb"[-+]?(\d+\.?\d*([eE][-+]?\d+)?|\.\d+([eE][-+]?\d+)?|nan|inf(inity)?)", re.IGNORECASE)
CHUNK = 1 << 15  # records of a text file converted at once
Column = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Records:
    """The records of one element: columns (n,) by name, and lists as lengths (n,) and all values in a row."""

    columns: dict[str, Column] = field(default_factory=dict)
    lists: dict[str, tuple[npt.NDArray[np.int64], Column]] = field(default_factory=dict)


def read_records(data: bytes, header: Header, path: Path, *names: str) -> tuple[dict[str, Records], int]:
    """Read the elements ``names``, and count the bytes after the last record (0 if the rest was not looked at).

    FormatError if records are missing, if more follow than the header declares, and for lists of negative length.
    """
    places = [i for i, element in enumerate(header.elements) if element.name in names and element.count]
    # the last element tells where the file should end
    last = (
        len(header.elements) if header.elements and header.elements[-1].name in names else max(places, default=-1) + 1
    )
    elements = header.elements[:last]
    if header.order == "":
        return _text(data, header, elements, names, path), 0
    out, at = {}, header.size
    for element in elements:
        if element.lists:
            records, at = _lists(data, at, element, header.order, path)
        else:
            records, at = _numbers(data, at, element, header.order, path)
        if element.name in names:
            out[element.name] = records
    if last < len(header.elements):
        return out, 0
    behind = len(data) - at
    if behind >= _smallest(header.elements[-1]):
        raise FormatError(path, f"{behind} bytes follow that the header does not declare", at)
    return out, behind


def _smallest(element: Element) -> int:
    """Bytes of the smallest record, with three values in each list; a shorter tail holds none."""
    return max(3, element.least(False) + sum(3 * np.dtype(p.dtype).itemsize for p in element.properties if p.length))


def _numbers(data: bytes, at: int, element: Element, order: str, path: Path) -> tuple[Records, int]:
    dtype = np.dtype([(p.name, order + p.dtype) for p in element.properties])
    end = at + element.count * dtype.itemsize
    if end > len(data):
        raise _missing(element, path, at)
    table = np.frombuffer(data, dtype, element.count, at) if dtype.itemsize else np.empty(element.count, dtype)
    return Records({p.name: table[p.name] for p in element.properties}), end


def _lists(data: bytes, at: int, element: Element, order: str, path: Path) -> tuple[Records, int]:
    if element.count == 0:
        empty = np.empty(0, np.int64)
        lists = {p.name: (empty, np.empty(0, p.dtype)) for p in element.properties if p.length}
        return Records({p.name: np.empty(0, p.dtype) for p in element.properties if not p.length}, lists), at
    same = _of_equal_length(data, at, element, order)
    return same if same is not None else _followed(data, at, element, order, path)


def _of_equal_length(data: bytes, at: int, element: Element, order: str) -> tuple[Records, int] | None:
    """Read records whose lists are as long as those of the first one; None if they are not."""
    fields: list[Any] = []
    start, lengths = at, {}
    for p in element.properties:
        if p.length:
            lengths[p.name] = length = _length(data, start, p.length, order)
            if length < 0 or length > len(data):
                return None
            fields += [(f"length of {p.name}", order + p.length), (p.name, order + p.dtype, (length,))]
        else:
            fields.append((p.name, order + p.dtype))
        start = at + np.dtype(fields).itemsize
    dtype = np.dtype(fields)
    end = at + element.count * dtype.itemsize
    if end > len(data):
        return None
    table = np.frombuffer(data, dtype, element.count, at)
    if any((table[f"length of {name}"] != length).any() for name, length in lengths.items()):
        return None
    columns = {p.name: table[p.name] for p in element.properties if not p.length}
    lists = {n: (np.full(element.count, length), table[n].reshape(-1)) for n, length in lengths.items()}
    return Records(columns, lists), end


def _length(data: bytes, at: int, dtype: str, order: str) -> int:
    """Length of the list at ``at``, -1 after the end."""
    size = int(dtype[1])
    if at + size > len(data):
        return -1
    return int.from_bytes(data[at : at + size], "little" if order == "<" else "big", signed=dtype[0] == "i")


def _followed(data: bytes, at: int, element: Element, order: str, path: Path) -> tuple[Records, int]:
    """Read records by following their lists from one to the next."""
    steps = [(p.length, np.dtype(p.length or p.dtype).itemsize, np.dtype(p.dtype).itemsize) for p in element.properties]
    starts: list[list[int]] = [[] for _ in steps]
    lengths: list[list[int]] = [[] for _ in steps]
    end = len(data)
    for _ in range(element.count):
        for i, (length, size, item) in enumerate(steps):
            if length is None:
                starts[i].append(at)
                at += size
                continue
            count = data[at] if length == "u1" and at < end else _length(data, at, length, order)
            if count < 0:
                raise _missing(element, path, at)
            at += size
            starts[i].append(at)
            lengths[i].append(count)
            at += count * item
        if at > end:
            raise _missing(element, path, at)
    records = Records()
    for i, p in enumerate(element.properties):
        first = np.array(starts[i], np.int64)
        if p.length:
            counts = np.array(lengths[i], np.int64)
            records.lists[p.name] = counts, _gathered(data, first, counts, order + p.dtype)
        else:
            records.columns[p.name] = _gathered(data, first, np.ones(len(first), np.int64), order + p.dtype)
    return records, at


def _gathered(data: bytes, starts: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], dtype: str) -> Column:
    """Collect ``counts`` values from each of ``starts``."""
    kind = np.dtype(dtype)
    ends = np.cumsum(counts)
    places = np.repeat(starts - (ends - counts) * kind.itemsize, counts)
    places += np.arange(len(places)) * kind.itemsize
    source = np.frombuffer(data, np.uint8)
    out = np.empty((len(places), kind.itemsize), np.uint8)
    for i in range(kind.itemsize):
        out[:, i] = source[places + i]
    return out.view(kind).reshape(-1)


def _missing(element: Element, path: Path, at: int) -> FormatError:
    return FormatError(path, f"the records of {element.count} {element.name} do not end within the file", at)


def _text(
    data: bytes, header: Header, elements: tuple[Element, ...], names: tuple[str, ...], path: Path
) -> dict[str, Records]:
    lines = (line for raw in data[header.size :].rstrip(PADDING).splitlines() if (line := raw.strip()))
    out = {}
    for element in elements:
        if element.name not in names:
            if sum(1 for _ in islice(lines, element.count)) < element.count:
                raise FormatError(path, f"expected {element.count} lines of {element.name}")
        elif element.lists:
            out[element.name] = _listed(lines, element, path)
        else:
            out[element.name] = _table(lines, element, path)
    if len(elements) == len(header.elements) and (more := sum(1 for _ in lines)):
        raise FormatError(path, f"{more} lines follow that the header does not declare")
    return out


def _table(lines: Iterator[bytes], element: Element, path: Path) -> Records:
    width, pieces, left = len(element.properties), [np.empty((0, len(element.properties)))], element.count
    while left:
        rows = [line.split() for line in islice(lines, min(left, CHUNK))]
        if not rows or any(len(row) != width for row in rows):
            what = "vertices" if element.name == "vertex" else f"{element.name} records"
            raise FormatError(path, f"expected {left} more {what} of {width} numbers")
        pieces.append(_converted([word for row in rows for word in row], path).reshape(-1, width))
        left -= len(rows)
    table = np.concatenate(pieces)
    return Records({p.name: _typed(table[:, i], p, path) for i, p in enumerate(element.properties)})


def _converted(words: list[bytes], path: Path) -> npt.NDArray[np.float64]:
    try:
        return numbers(words)
    except ValueError as error:
        wrong = next((word for word in words if not NUMBER.fullmatch(word)), b"?")[:20].decode("latin-1")
        raise FormatError(path, f"could not convert {wrong!r} to a number") from error


def _listed(lines: Iterator[bytes], element: Element, path: Path) -> Records:
    rows = [line.split() for line in islice(lines, element.count)]
    if len(rows) < element.count:
        raise FormatError(path, f"expected {element.count - len(rows)} more lines of {element.name}")
    if len(element.properties) == 1 and len({len(row) for row in rows}) == 1:
        table = _converted([word for row in rows for word in row], path).reshape(len(rows), -1)
        (p,) = element.properties
        if (table[:, 0] == table.shape[1] - 1).all():
            return Records({}, {p.name: (table[:, 0].astype(np.int64), _typed(table[:, 1:].ravel(), p, path))})
    values: list[list[float]] = [[] for _ in element.properties]
    lengths: list[list[int]] = [[] for _ in element.properties]
    for row in rows:
        try:
            at = 0
            for i, p in enumerate(element.properties):
                count = 1
                if p.length:
                    count = int(row[at])
                    lengths[i].append(count)
                    at += 1
                if not 0 <= count <= len(row) - at:
                    raise ValueError
                values[i] += map(float, row[at : at + count])
                at += count
            if at != len(row):
                raise ValueError
        except (ValueError, IndexError):
            text = b" ".join(row)[:40].decode("latin-1")
            raise FormatError(path, f"{text!r} is not a record of {element.name}") from None
    records = Records()
    for i, p in enumerate(element.properties):
        column = _typed(np.array(values[i], np.float64), p, path)
        if p.length:
            records.lists[p.name] = np.array(lengths[i], np.int64), column
        else:
            records.columns[p.name] = column
    return records


def _typed(column: npt.NDArray[np.float64], declared: Property, path: Path) -> Column:
    """Convert a column read as float64 to the type declared in the header (a uchar color is 0 to 255)."""
    dtype = declared.dtype
    if dtype[0] == "f":
        return as_declared(declared.name, column, dtype)
    if not np.isfinite(column).all():
        return column  # counted and refused later
    limits = np.iinfo(dtype)
    wrong = (column < limits.min) | (column > limits.max) | (column != np.rint(column))
    if wrong.any():
        raise FormatError(path, f"{column[wrong][0]:g} does not fit the type that the header declares")
    return column.astype(dtype)
