"""Texts in the cells of .csv files, which people open in a spreadsheet."""

from __future__ import annotations

import re


def cell(text: str) -> str:
    """``text`` for a cell; a text that a spreadsheet would compute gets an apostrophe in front.

    Names of classes, runs and columns come from strangers, and a spreadsheet runs a cell that begins with ``=``, ``+``,
    ``-`` or ``@``, also after white space (OWASP, "CSV injection").  Numbers are left alone.  Line ends become spaces.

    >>> cell("=HYPERLINK(0)"), cell("chair"), cell("-1")
    ("'=HYPERLINK(0)", 'chair', '-1')
    """
    line = " ".join(text.splitlines())
    return f"'{line}" if line.lstrip()[:1] in tuple("=+-@") and not _NUMBER.fullmatch(line) else line


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(inf|nan)")
