"""Reports that fit one screen: findings grouped by kind and reason, with counts, in lines of at most 80 columns."""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from ptdiff_datasets.clouds.splits import SPLITS
from ptdiff_datasets.errors import printable

LINES, WIDTH = 24, 80
Findings = Mapping[str, Sequence[tuple[str, str]]]
"""Kind of fault -> (file or shape, reason)."""


def screen(head: Sequence[str], found: Findings, last: Sequence[str]) -> list[str]:
    """Lay out a report in at most ``LINES`` lines: the head, a line for each group of findings, and the last lines.

    Every kind has a line before any has two, and then the first kinds have as many as they need. What does not fit is
    counted.
    """
    room = LINES - len(head) - len(last)
    groups = {f"{kind} {len(items):,}": _grouped(items) for kind, items in found.items() if items}
    room -= sum(map(len, groups.values())) > room  # for the last line
    shown = {kind: int(i < room) for i, kind in enumerate(groups)}
    for kind, rows in groups.items():
        shown[kind] += min(len(rows) - shown[kind], room - sum(shown.values()))
    width = max(map(len, groups), default=0)
    lines = []
    for kind, rows in groups.items():
        lines += [cut(f"  {'' if i else kind:<{width}}  {row}") for i, row in enumerate(rows[: shown[kind]])]
    more = sum(len(rows) - shown[kind] for kind, rows in groups.items())
    lines += [f"  … and {more:,} more kinds of findings; --json lists all"] if more else []
    return [*map(cut, head), *lines, *map(cut, last)]


def cut(line: str) -> str:
    """Shorten a line to ``WIDTH`` columns at its end."""
    return line if len(line) <= WIDTH else line[: WIDTH - 1] + "…"


def digits(low: float, high: float) -> int:
    """Number of digits that show numbers from low to high to a thousandth of their range, 4 to 12."""
    # halves, because the range of float64 numbers may be infinite
    largest, spread = max(abs(low), abs(high)) / 2, high / 2 - low / 2
    return min(12, 4 + max(0, int(np.log10(largest / spread)))) if spread > 0 else 4


def by_class(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Name the largest classes, with their shapes by split, in one line; no line without classes."""
    splits = [name for name in SPLITS if any(row.get(name) for row in counts.values())]
    rows = sorted(((n, row) for n, row in counts.items() if n), key=lambda item: -sum(item[1].values()))
    parts = [f"{printable(name)} {' + '.join(str(row.get(split, 0)) for split in splits)}" for name, row in rows]
    return [f"  {' + '.join(splits)}: {', '.join(parts)}"] if rows else []


def unheld(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Name the classes without a held-out shape, if anything is held out."""
    if not any(row.get(split) for row in counts.values() for split in ("val", "test")):
        return []
    return [name for name, row in counts.items() if name and not (row.get("val") or row.get("test"))]


def _grouped(items: Sequence[tuple[str, str]]) -> list[str]:
    """Format findings whose reasons differ in numbers only as one: its first, and the number of others."""
    alike: dict[str, list[tuple[str, str]]] = {}
    for id, reason in items:
        alike.setdefault(re.sub(r"\d[\d.,e+-]*|'[^']*'", "#", reason), []).append((id, reason))
    rows = []
    for group in alike.values():
        id, reason = group[0]
        more = f" and {len(group) - 1:,} more" if len(group) > 1 else ""
        # the end of a path says most
        name = printable(id)
        rows.append(f"{name if len(name) <= 24 else '…' + name[-23:]}{more}: {printable(reason)}".removesuffix(": "))
    return rows
