"""Numbers as people and programs write them: decimal points or commas, thousands, percentages, Fortran's exponents.

    -1.5  1e-3  1.5D+03  1,043.00  1'043.5  12 %        with a decimal point
    -1,5  1,5e-3  1.043,00  1'043,5  12 %               with a decimal comma

A cell such as 1,043 is a number in both: only other cells can tell which (``evidence``). Thousands are groups of three
digits after one to three digits, the first not zero, and may be separated by no-break spaces.
"""

from __future__ import annotations

import re
from typing import Literal

Decimal = Literal[".", ","]

_EXPONENT = r"(?:[eEdD][+-]?\d+)?\s*%?"
_MARKS = "'’\u00a0\u202f"


def _grammar(decimal: str, thousands: str) -> re.Pattern[str]:
    point, groups = re.escape(decimal), f"(?:{re.escape(thousands)}|[{_MARKS}])"
    whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{groups}\d{{3}})+)"
    return re.compile(rf"[+-]?(?:{whole}(?:{point}\d*)?|{point}\d+){_EXPONENT}", re.ASCII)


_GRAMMARS: dict[str, re.Pattern[str]] = {".": _grammar(".", ","), ",": _grammar(",", ".")}


def parsed(cell: str, decimal: Decimal = ".") -> float | None:
    """Parse a number with this decimal mark, NaN, infinity or a percentage (hundredths). None for anything else."""
    if decimal == "." or ("," not in cell and "." not in cell):
        try:
            if cell.isascii() and "_" not in cell:
                return float(cell)
        except ValueError:
            pass
    cell = cell.replace("\u2212", "-")
    if not _GRAMMARS[decimal].fullmatch(cell):
        return None
    for mark in (",." if decimal == "." else ".,")[:1] + _MARKS:
        cell = cell.replace(mark, "")
    plain = cell.rstrip("% \t").replace(",", ".").replace("D", "e").replace("d", "e")
    return float(plain) / 100 if cell.endswith("%") else float(plain)


def looks_numeric(cell: str) -> bool:
    """True if a cell is a number with a decimal point or with a decimal comma."""
    return parsed(cell, ".") is not None or parsed(cell, ",") is not None


def evidence(cell: str) -> Decimal | Literal["either"] | None:
    """Return the decimal mark that a cell proves; "either" for one like 1,043 that needs proof; None if it has none."""
    if "," in cell:
        point, comma = parsed(cell, ".") is not None, parsed(cell, ",") is not None
        return "either" if point and comma else "." if point else "," if comma else None
    if "." not in cell:
        return None
    if parsed(cell, ".") is None:
        return "," if parsed(cell, ",") is not None else None
    # 1.043 may be German thousands, but where no comma is about it is what it looks like
    return "." if parsed(cell, ",") is None else None
