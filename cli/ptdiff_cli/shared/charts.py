"""Inline SVG for pages: lines over the noise level, and the interval and floor of a score.

Colors and widths come from the style sheet of the page, by class, so that a strict content policy allows them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 260, 64, 40


def lines(series: Mapping[str, Sequence[float | None]], across: str, ends: tuple[str, str]) -> str:
    """An SVG figure with one line for each name, over bands of equal width.

    ``across``: label of the horizontal axis.  ``ends``: labels of its two ends.  The vertical axis is logarithmic if
    all values are positive.  None and non-finite values leave gaps.
    """
    values = [v for line in series.values() for v in line if v is not None and math.isfinite(v)]
    if not values:
        return "<p>No losses were recorded.</p>"
    log = min(values) > 0

    def height(value: float) -> float:
        return math.log10(value) if log else value

    low, high = height(min(values)), height(max(values))
    span = high - low or 1.0
    low, span = low - 0.05 * span, 1.1 * span

    def at(place: float, value: float) -> str:
        x = _LEFT + place * (_WIDTH - _LEFT - 10)
        return f"{x:.1f},{10 + (1 - (height(value) - low) / span) * (_HEIGHT - 10 - _BOTTOM):.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(across)}">']
    for k in range(5):
        level = low + span * (0.05 + 0.9 * k / 4) / 1.0
        y = 10 + (1 - (level - low) / span) * (_HEIGHT - 10 - _BOTTOM)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{y:.1f}" y2="{y:.1f}"/>')
        label = f"{10**level if log else level:.3g}"
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for number, line in enumerate(series.values()):
        for run in _runs(line):
            points = " ".join(at((i + 0.5) / len(line), v) for i, v in run)
            parts.append(f'<polyline class="s{number % 4}" points="{points}"/>')
            parts += [
                f'<circle class="s{number % 4}" cx="{x}" cy="{y}" r="2.5"/>'
                for x, y in (p.split(",") for p in points.split())
            ]
    base = _HEIGHT - 22
    parts.append(f'<text x="{_LEFT}" y="{base}">{escape(ends[0])}</text>')
    parts.append(f'<text x="{_WIDTH - 10}" y="{base}" text-anchor="end">{escape(ends[1])}</text>')
    parts.append(
        f'<text x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(across)}</text></svg>'
    )
    names = "".join(f'<span class="key k{i % 4}">{escape(name)}</span>' for i, name in enumerate(series))
    return f"<figure>{''.join(parts)}<figcaption>{names}</figcaption></figure>"


def _runs(line: Sequence[float | None]) -> list[list[tuple[int, float]]]:
    """The segments of a line between gaps, as (index, value) pairs."""
    found: list[list[tuple[int, float]]] = [[]]
    for i, value in enumerate(line):
        if value is not None and math.isfinite(value):
            found[-1].append((i, value))
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


def interval(value: float, low: float, high: float, floor: float) -> str:
    """An SVG of a value as a dot, its interval as a bar and its floor as a tick."""
    ends = [v for v in (value, low, high, floor) if math.isfinite(v)]
    left, span = min(ends, default=0.0), (max(ends, default=0.0) - min(ends, default=0.0)) or 1.0

    def at(v: float) -> str:
        return f"{8 + 144 * (v - left) / span:.1f}" if math.isfinite(v) else "8"

    return (
        '<svg class="mini" viewBox="0 0 160 20" role="img">'
        f'<line class="range" x1="{at(low)}" x2="{at(high)}" y1="10" y2="10"/>'
        f'<line class="floor" x1="{at(floor)}" x2="{at(floor)}" y1="2" y2="18"/>'
        f'<circle class="dot" cx="{at(value)}" cy="10" r="4"/></svg>'
    )
