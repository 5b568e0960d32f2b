"""Compute the numbers behind the theory plots: the reverse variance study, and the solvers by number of steps.

    python benchmarks/gallery_figures.py

Writes benchmarks/results/gallery_figures.json, in under a minute on one core; it contains no timings.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ptdiff.gallery import resolution, solver_panel, variance_study
from ptdiff.machine.yardstick import yardstick

RESULT = Path(__file__).parent / "results" / "gallery_figures.json"


def variance() -> dict[str, Any]:
    """Effect of scaling the noise of every step: exact on normal data, measured on a mixture of six modes."""
    rows = []
    for scale in variance_study.SCALES:
        found = variance_study.spread(variance_study.samples(scale))
        exact = {str(steps): variance_study.gaussian_ratio(scale, steps) for steps in (10, 100, 1000)}
        rows.append({"scale": scale, "theory": scale**2, "normal_data": exact, **asdict(found)})
    data = variance_study.spread(variance_study.MODES.sample(1, torch.arange(2000)))
    return {"steps": variance_study.STEPS, "rows": rows, "exact_samples": asdict(data)}


def solvers() -> dict[str, Any]:
    """Distances to the data and calls, by solver and steps; the floor is the range of exact samples."""
    data = solver_panel.arms()
    exact = solver_panel.quantiles(data)
    rows = []
    for name, solver in solver_panel.COMPARED.items():
        for steps in solver_panel.STEPS:
            x, calls = solver_panel.drawn(data, solver, steps)
            distance = solver_panel.distance(x, exact)
            rows.append({"solver": name, "steps": steps, "calls": calls, "distance": distance})
    return {"n": solver_panel.COUNT, "floor": solver_panel.floor(data, exact), "rows": rows}


def noise_left() -> dict[str, float]:
    """Noise of unit standard deviation at each side, seen at the smallest."""
    return {str(side): resolution.left(resolution.noise(side)) for side in resolution.SIDES}


def main() -> None:
    """Measure and write the results."""
    found = {
        "variance_study": variance(),
        "solver_panel": solvers(),
        "resolution": noise_left(),
        "machine": yardstick(),
    }
    RESULT.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
