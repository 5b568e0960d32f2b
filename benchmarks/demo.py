"""Collect runs of ``make demo`` on several machines: results/demo.json, the scores in the README.

    python benchmarks/demo.py "AVX2, no bfloat16=runs/demo" "bfloat16=runs/other"

Run ``ptdiff eval RUN -n 400 --points 512`` for each run first; its eval.json names the machine.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ptdiff.documents.atomic import write_atomic

RESULTS = Path(__file__).parent / "results" / "demo.json"
SCORES = ("1nna_cd", "cov_cd", "mmd_cd")


def main() -> None:
    """Collect the results of the runs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="description=run folder")
    rows = [row(*given.rsplit("=", 1)) for given in parser.parse_args().runs]
    alike = {(row["n"], row["shape"][0], row["reference"]) for row in rows}
    if len(alike) > 1:
        raise SystemExit(f"the runs were measured differently: {alike}")
    write_atomic(RESULTS, json.dumps({"rows": rows}, indent=1) + "\n")


def row(words: str, folder: str) -> dict[str, Any]:
    """One run: the settings chosen for its machine, its number of steps, its scores."""
    found = json.loads((Path(folder) / "eval.json").read_text(encoding="utf-8"))
    environment = json.loads((Path(folder) / "env.json").read_text(encoding="utf-8"))
    return {
        "machine": words,
        "facts": found["machine"],
        "chosen": environment["trial"]["chosen"],
        "steps": found["step"],
        "n": found["n"],
        "shape": found["sampling"]["shape"],
        "reference": found["sets"]["sha256_drawn"]["reference"],
        "scores": {name: found["metrics"][name] for name in SCORES},
    }


if __name__ == "__main__":
    main()
