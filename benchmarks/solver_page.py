"""Write docs/solvers.md from the measurements.

    ptdiff certify --out benchmarks/results/certificates.json
    PYTHONPATH=.:cli .venv/peers/bin/python benchmarks/peers/measure.py
    python benchmarks/solver_page.py

A test fails if the page does not agree with the files and the catalog.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from ptdiff.solvers import ADAPTIVE, SOLVERS

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "solvers.md"
BUDGETS = ("10", "20", "40")
HEAD = """# Which solver should I use?

This page shows you which solver to use for your number of network calls, and how accurate each solver is.

`python benchmarks/solver_page.py` generates it from the measurements of `ptdiff certify --out`; do not edit it by hand.

All errors are for exact denoisers in float64, so they only compare solvers. A network has its own errors; below those,
a better solver makes no difference.

## Recommendations
"""
COLUMNS = {
    "calls per step": "denoiser calls for each additional step",
    "order": "declared order; **measured** is the slope closest to failing, over all processes and problems",
    "from pure noise": "yes if the solver can start at alpha = 0 (flow, cosine and TrigFlow processes)",
}


def summary(cls: type[Any]) -> str:
    """The first line of the docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0].rstrip(":.")


def options(cls: type[Any]) -> str:
    """The options with their defaults."""
    made = cls()
    shown = []
    for field in dataclasses.fields(cls):
        value = getattr(made, field.name)
        names = [name for name, known in SOLVERS.items() if type(value) is known]
        shown.append(f"{field.name}={names[0] if names else plain(value)}")
    return ", ".join(shown) or "none"


def plain(value: Any) -> str:
    """Numbers to four digits, also inside tuples."""
    if isinstance(value, tuple):
        return "(" + ", ".join(plain(part) for part in value) + ")"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def number(value: float | None) -> str:
    """Two significant digits; a dash for a missing value."""
    return "–" if value is None else f"{value:.2g}" if value < 100 else f"{value:.0f}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(["| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]])


def catalog(result: dict[str, Any]) -> str:
    """One row per solver: cost, orders, options."""
    worst = {(c["kind"], c["subject"].split(", ")[0]): c for c in result["worst"]}
    rows = []
    for figures in result["solvers"]:
        name = figures["name"]
        kind = "weak order" if figures["stochastic"] else "order"
        found = worst.get((kind, name))
        measured = "–" if found is None or found["measured"] is None else f"{found['measured']:.2f}"
        rows.append(
            [
                f"`{name}`",
                f"{figures['calls a step']:g}",
                "none" if not figures["order"] else f"{figures['order']}{' weak' if figures['stochastic'] else ''}",
                measured,
                "no" if ("refuses pure noise", name) in worst else "yes",
                options(SOLVERS[name]),
                summary(SOLVERS[name]),
            ]
        )
    heads = ["solver", "calls per step", "order", "measured", "from pure noise", "options", "description"]
    return table(heads, rows)


def errors(result: dict[str, Any], stochastic: bool) -> str:
    """Errors by calls under two processes."""
    kind = "moment error" if stochastic else "flow error"
    heads = ["solver", *(f"{process}, {calls} calls" for process in ("flow", "ve") for calls in BUDGETS)]
    rows = [
        [f"`{f['name']}`", *(number(f[f"{kind}, {process}"][calls]) for process in ("flow", "ve") for calls in BUDGETS)]
        for f in result["solvers"]
        if f["stochastic"] == stochastic
    ]
    return table(heads, rows)


def best(result: dict[str, Any], calls: str, stochastic: bool, count: int = 3) -> list[str]:
    """Solvers with the smallest product of the errors under both processes, for a number of calls."""
    kind = "moment error" if stochastic else "flow error"
    score = {
        f["name"]: f[f"{kind}, flow"][calls] * f[f"{kind}, ve"][calls]
        for f in result["solvers"]
        if f["stochastic"] == stochastic and f[f"{kind}, flow"][calls] and f[f"{kind}, ve"][calls]
    }
    return sorted(score, key=lambda name: score[name])[:count]


def advice(result: dict[str, Any]) -> str:
    """Recommendations, derived from the measured errors."""

    def names(calls: str, stochastic: bool = False) -> str:
        return ", ".join(f"`{name}`" for name in best(result, calls, stochastic))

    return "\n".join(
        [
            f"- **About 10 calls:** {names('10')}.",
            f"- **About 20 calls:** {names('20')}.",
            f"- **40 calls and more:** {names('40')}. With more calls, a high order pays off.",
            f"- **Stochastic sampling:** {names('20', True)} at 20 calls; {names('40', True)} at 40. The added noise "
            "reduces earlier errors, including those of the network, but needs more calls.",
            "- **A tolerance instead of a number of steps:** "
            + ", ".join(f"`{name}`" for name in ADAPTIVE)
            + "; every sample has its own step size.",
            "- **Likelihoods and inversion** follow the probability flow: use a deterministic solver of high order, or "
            "`ptdiff likelihood`, which chooses one.",
            "- **A trained network:** compare two or three of these with `ptdiff eval RUN --solver NAME --steps N`.",
        ]
    )


def agreement(peers: dict[str, Any]) -> str:
    """Samplers of other libraries that give the same result."""
    rows = []
    for found in peers["agreement"]:
        peer, theirs, ours = found["subject"].split(", ", 2)
        rows.append([peer, f"`{theirs}`", f"`{ours}`", number(found["measured"])])
    return table(["library", "sampler", "ptdiff", "largest difference"], rows)


def orders(peers: dict[str, Any]) -> str:
    """Measured orders of other libraries' samplers whose name or documentation gives an order."""
    rows = [
        [o["peer"], o["sampler"], str(o["claimed"]) + (" weak" if o["stochastic"] else ""), f"{o['measured']:.2f}"]
        for o in peers["orders"]
    ]
    return table(["library", "sampler", "stated order", "measured"], rows)


def page() -> str:
    """The complete page."""
    result = json.loads((RESULTS / "certificates.json").read_text(encoding="utf-8"))
    peers = json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))
    adaptive = [[f"`{name}`", options(cls), summary(cls)] for name, cls in ADAPTIVE.items()]
    finite = {row["order"]: row["finite"] for row in peers["duplicated sigma_min"]}
    versions = ", ".join(f"{name} {version}" for name, version in peers["versions"].items())
    columns = "\n".join(f"- **{name}**: {text}" for name, text in COLUMNS.items())
    return f"""{HEAD}
{advice(result)}

The recommended solvers have the smallest product of the errors under `flow` and `ve` in the tables below.

## The solvers

{columns}

{catalog(result)}

Adaptive solvers choose their own steps:

{table(["solver", "options", "description"], adaptive)}

## Errors of deterministic solvers

Each value is the root mean square distance to the exact endpoint of the probability flow. The data is a mixture of
three normal distributions in the plane, of about unit variance. The solver goes from the noisiest level to the clean
one in equal steps of the process's own time, with as many steps as the calls allow.

{errors(result, stochastic=False)}

## Errors of stochastic solvers

Each value is the error of the mean and the standard deviation of the samples, in standard deviations of the data. It is
computed from exact moments, over two normal distributions. A dash means that the calls do not allow even one step. A
single error may be small by chance, so look at the whole row.

{errors(result, stochastic=True)}

## Agreement with other libraries

Both columns use the same denoiser on the same levels, in float64 ({versions}).
The difference is relative to the largest entry of the state. diffusers casts the state to float32 within some steps.

{agreement(peers)}

## Measured orders of other libraries

These orders were measured with the same code and problems as those of ptdiff. Multistep methods that start with steps
of order 1 reach only order 2, whatever their name says. With `start=rk`, ptdiff starts them with Runge-Kutta steps.

{orders(peers)}

The main findings:

- azula's `REABSampler` has order 1: it mixes two levels under one root.
- k-diffusion's `sample_dpmpp_sde` loses an order if the two draws of a step are independent instead of on one path.
- diffusers' `sde-dpmsolver++` of order 3 has order 1.
- diffusers' `DPMSolverMultistepScheduler` with Karras levels that end at sigma_min, and so contain that level twice,
  returns {100 * finite[2]:.0f} % finite numbers at order 2 and {100 * finite[3]:.0f} % at order 3.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
