"""PLY headers: elements ("vertex", "face", ...), their counts and their properties.

Their claims are compared with the length of the file before anything is allocated.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptdiff_datasets.errors import FormatError

TYPES = {
    "char": "i1", "uchar": "u1", "short": "i2", "ushort": "u2", "int": "i4", "uint": "u4",
    "int8": "i1", "uint8": "u1", "int16": "i2", "uint16": "u2", "int32": "i4", "uint32": "u4",
    "float": "f4", "double": "f8", "float32": "f4", "float64": "f8",
}  # fmt: skip
LENGTHS = TYPES.keys() - {"float", "double", "float32", "float64"}
ORDER = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(frozen=True)
class Property:
    """A property of an element: a number, or a list if ``length`` is set."""

    name: str
    dtype: str
    length: str | None = None  # type of the count before a list


@dataclass(frozen=True)
class Element:
    """An element of the file, ``count`` records with the same properties."""

    name: str
    count: int
    properties: tuple[Property, ...]

    @property
    def lists(self) -> bool:
        """True if any property is a list."""
        return any(p.length for p in self.properties)

    def least(self, text: bool) -> int:
        """Return the minimum number of bytes of one record, with every list empty."""
        if text:
            return 2 * len(self.properties)
        return sum(np.dtype(p.length or p.dtype).itemsize for p in self.properties)


@dataclass(frozen=True)
class Header:
    """A parsed header."""

    order: str  # "" for text, else "<" or ">"
    elements: tuple[Element, ...]
    size: int  # bytes

    def count(self, name: str) -> int:
        """Return the number of records of the elements called ``name``."""
        return sum(e.count for e in self.elements if e.name == name)


def read_header(data: bytes, path: Path) -> Header:
    """Parse the header of a PLY file with content ``data``; FormatError if it claims more than the file holds."""
    if not data.startswith((b"ply\n", b"ply\r")):
        raise FormatError(path, "not a PLY file", 0)
    newline = b"\r" if data[3:4] == b"\r" and data[4:5] != b"\n" else b"\n"
    order: str | None = None
    elements: list[Element] = []
    at = 0
    while True:
        end = data.find(newline, at, at + 4096)
        if end < 0:
            raise FormatError(path, "the header never ends", at)
        words = data[at:end].decode("latin-1").split()
        start, at = at, end + 1
        match words:
            case ["end_header"]:
                break
            case ["ply"] | ["comment", *_] | ["obj_info", *_] | []:
                pass
            case ["format", name, "1.0"] if name in ORDER and order is None:
                order = ORDER[name]
            case ["element", name, count] if count.isdecimal() and len(count) < 19:
                elements.append(Element(name, int(count), ()))
            case ["property", dtype, name] if dtype in TYPES and elements:
                elements[-1] = _extended(elements[-1], Property(name, TYPES[dtype]))
            case ["property", "list", length, dtype, name] if length in LENGTHS and dtype in TYPES and elements:
                elements[-1] = _extended(elements[-1], Property(name, TYPES[dtype], TYPES[length]))
            case _:
                raise FormatError(path, f"unknown line {' '.join(words)[:60]!r} in the header", start)
    if order is None:
        raise FormatError(path, "the header names no known format", 0)
    _check_names(elements, path)
    header = Header(order, tuple(elements), at)
    _check_length(header, len(data), path)
    return header


def _extended(element: Element, new: Property) -> Element:
    return Element(element.name, element.count, (*element.properties, new))


def _check_names(elements: list[Element], path: Path) -> None:
    """Raise FormatError if two elements, or two properties of one, share a name."""
    for names in ([e.name for e in elements], *([p.name for p in e.properties] for e in elements)):
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise FormatError(path, f"{twice[:40]!r} is declared twice", 0)


def _check_length(header: Header, length: int, path: Path) -> None:
    text = header.order == ""
    needed, there = sum(e.count * e.least(text) for e in header.elements), length - header.size
    if needed > there + text:  # the last line of a text may lack its newline
        claim = ", ".join(f"{e.count} {e.name}" for e in header.elements)
        raise FormatError(path, f"the header claims {claim}: at least {needed} bytes, but {there} follow", header.size)
    fixed = not text and not any(e.lists for e in header.elements)
    # a tail shorter than the last record holds none
    if (
        fixed
        and there > needed + 2
        and there - needed >= max([e.least(False) for e in header.elements[-1:]], default=0)
    ):
        raise FormatError(path, f"{there - needed} bytes follow that the header does not declare", header.size + needed)
