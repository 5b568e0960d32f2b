"""Puts the figures of results/*.json into the documents, between the markers that name them.

    python benchmarks/figures.py

A test fails when a document does not say what the files say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
NAMES = {"1nna_cd": "1-NNA-CD, %", "cov_cd": "COV-CD, %", "mmd_cd": "MMD-CD"}


def demo(result: dict[str, Any]) -> str:
    """The figures of ``make demo``."""
    rows = ["| figure | value | 95 % interval | floor |", "|---|---|---|---|"]
    for key, name in NAMES.items():
        score = result["metrics"][key]
        rows.append(
            f"| {name} | {score['value']:.4g} | {score['low']:.4g} to {score['high']:.4g} | {score['floor']:.4g} |"
        )
    sampling = result["sampling"]
    rows.append("")
    rows.append(
        f"n = {result['n']} held-out shapes of {sampling['shape'][0]} points, {result['step']} training steps, "
        f"{sampling['solver']['name']} with {sampling['calls']:g} calls of the network."
    )
    return "\n".join(rows)


def processes_and_solvers(result: dict[str, Any]) -> str:
    """1-NNA by process and solver."""
    processes = list(dict.fromkeys(row["process"] for row in result["rows"]))
    solvers = list(dict.fromkeys(row["solver"] for row in result["rows"]))
    value = {(row["process"], row["solver"]): row for row in result["rows"]}
    rows = [f"| solver (calls) | {' | '.join(processes)} |", "|---" * (len(processes) + 1) + "|"]
    for solver in solvers:
        cells = [f"{value[p, solver]['1nna_cd']['value']:.1f}" for p in processes]
        rows.append(f"| {solver} ({value[processes[0], solver]['calls']}) | {' | '.join(cells)} |")
    first = result["rows"][0]["1nna_cd"]
    widest = max(row["1nna_cd"]["high"] - row["1nna_cd"]["low"] for row in result["rows"]) / 2
    rows.append("")
    rows.append(
        f"n = {result['n']}, {result['shape'][0]} points; floor {first['floor']:.1f}; "
        f"95 % intervals reach up to ±{widest:.1f}."
    )
    return "\n".join(rows)


PLACES: dict[str, tuple[Path, Callable[[dict[str, Any]], str]]] = {
    "demo": (ROOT / "README.md", demo),
    "processes_and_solvers": (ROOT / "docs" / "processes-and-solvers.md", processes_and_solvers),
}


def filled(name: str) -> tuple[Path, str]:
    """A document with the figures of ``results/<name>.json`` in their place."""
    page, table = PLACES[name]
    result = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    pattern = rf"(<!-- figures: {name} -->\n).*?(<!-- end -->)"
    text, count = re.subn(
        pattern, lambda m: f"{m[1]}\n{table(result)}\n\n{m[2]}", page.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    if count != 1:
        raise ValueError(f"{page} has {count} places for the figures of {name}")
    return page, text


def main() -> None:
    """Fill all documents."""
    for name in PLACES:
        page, text = filled(name)
        page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
