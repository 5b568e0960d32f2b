"""Check of a table before training: columns, readings, first rows, classes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ptdiff_datasets.clouds.screen import cut
from ptdiff_datasets.errors import FormatError, printable
from ptdiff_datasets.formats.tables import read_table

if TYPE_CHECKING:
    from ptdiff_datasets.formats.numerals import Decimal

_ROWS, _COLUMNS, _CLASSES, _WIDTH = 2, 6, 8, 14
_FAR = 100  # a number so many interquartile ranges from the median is an outlier
_FEW = 6  # of a smaller class, nothing is held out


def check(path: Path, label: str, header: bool | None, decimal: Decimal | None) -> dict[str, Any]:
    """Describe a table as it was read, as JSON values with the text for people; at most one screen.

    FormatError if it cannot be read.
    """
    table = read_table(path, header=header, decimal=decimal)
    numeric, columns, bad = table.numeric(), [], []
    lines = [printable(path), "", f"  {len(table.rows):,} rows, {len(table.names)} columns", ""]
    for name in filter(None, table.names):
        cells = table.column(name)
        facts: dict[str, Any] = {"name": name, "kind": "numbers" if name in numeric else "text"}
        if name in numeric:
            try:
                whole, left = table.complete([name])
                values = whole.numbers([name])[:, 0]
            except FormatError as error:
                bad.append(error.reason)
                continue
            facts |= {"low": float(values.min()), "high": float(values.max()), "distinct": len(np.unique(values))}
            facts |= {"empty": len(table.rows) - len(values), "far": _far(values), "left_out": left}
            words = f"{facts['low']:.6g} to {facts['high']:.6g}, {facts['distinct']:,} values"
            words += f", {facts['empty']:,} empty" if facts["empty"] else ""
            words += f", {facts['far']:,} far outliers" if facts["far"] else ""
        else:
            facts["reason"] = table.dropped.get(name, "no value in any row")
            words = f"text, {len(set(cells)):,} values; {facts['reason'].partition(f'column {name!r}: ')[2] or 'empty'}"
        columns.append(facts)
        if len(columns) <= _COLUMNS:
            lines.append(f"  {printable(name)[:20]:<20}  {words}")
    if len(columns) > _COLUMNS:
        lines.append(f"  … and {len(columns) - _COLUMNS:,} more columns")
    try:
        lines += [f"  {text}" for text in table.readings([c["name"] for c in columns if c["kind"] == "numbers"])]
    except FormatError as error:
        bad.append(error.reason)
    shown = range(min(len(table.names), 6))
    lines += ["", "  first rows: " + " | ".join(printable(table.names[i] or "(row)")[:_WIDTH] for i in shown)]
    lines += ["    " + " | ".join(printable(row[i])[:_WIDTH] for i in shown) for row in table.rows[:_ROWS]]
    counts: dict[str, int] = {}
    if label:
        counts = dict(Counter(cell for cell in table.column(label) if cell).most_common())
        named = [f"{printable(name)} {count:,}" for name, count in list(counts.items())[:_CLASSES]]
        lines += ["", f"  {len(counts)} classes of {label}: {', '.join(named)}{', …' * (len(counts) > _CLASSES)}"]
        if few := [name for name, count in counts.items() if count < _FEW]:
            lines.append(f"  classes with none held out: {', '.join(map(printable, few[:_CLASSES]))}")
    lines += [f"  {printable(reason)}" for reason in bad[:3]]
    lines += [f"  … and {len(bad) - 3:,} more faults; --json lists all"] if len(bad) > 3 else []
    lines.append("something is broken" if bad else "nothing is broken")
    text = "\n".join(map(cut, lines))
    return {"text": text, "ok": not bad, "columns": columns, "classes": counts, "broken": bad, "rows": len(table.rows)}


def _far(values: np.ndarray[Any, np.dtype[np.float64]]) -> int:
    """Count the numbers that lie far from all others."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return int((np.abs(values - middle) > _FAR * (high - low)).sum()) if high > low else 0
