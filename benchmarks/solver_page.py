"""Writes docs/solvers.md from what was measured.

    ptdiff certify --out benchmarks/results/certificates.json
    PYTHONPATH=.:cli .venv/peers/bin/python benchmarks/peers/measure.py
    python benchmarks/solver_page.py

A test fails when the page does not say what the files and the catalog say.
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

Made by `python benchmarks/solver_page.py` from what `ptdiff certify --out` measured; do not edit. All figures are for
exact denoisers in float64, so they tell solvers apart and nothing else: a network has errors of its own, and below
those a better solver changes nothing.
"""
COLUMNS = {
    "calls a step": "denoiser calls for one more step",
    "order": "what is declared; **measured** is the slope nearest to failing, of all processes and problems",
    "from pure noise": "whether it can start at alpha = 0 (flow, cosine and TrigFlow processes)",
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
    """Two significant digits; a dash for what there is no figure of."""
    return "–" if value is None else f"{value:.2g}" if value < 100 else f"{value:.0f}"


def table(heads: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(["| " + " | ".join(row) + " |" for row in [heads, ["---"] * len(heads), *rows]])


def catalog(result: dict[str, Any]) -> str:
    """One row a solver: cost, orders, options."""
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
    heads = ["solver", "calls a step", "order", "measured", "from pure noise", "options", "what it is"]
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
    """The solvers with the smallest error at so many calls, by the product of the errors under both processes."""
    kind = "moment error" if stochastic else "flow error"
    score = {
        f["name"]: f[f"{kind}, flow"][calls] * f[f"{kind}, ve"][calls]
        for f in result["solvers"]
        if f["stochastic"] == stochastic and f[f"{kind}, flow"][calls] and f[f"{kind}, ve"][calls]
    }
    return sorted(score, key=lambda name: score[name])[:count]


def advice(result: dict[str, Any]) -> str:
    """Recommendations, read off the figures."""

    def names(calls: str, stochastic: bool = False) -> str:
        return ", ".join(f"`{name}`" for name in best(result, calls, stochastic))

    return "\n".join(
        [
            f"- **About 10 calls:** {names('10')}.",
            f"- **About 20 calls:** {names('20')}.",
            f"- **40 calls and more:** {names('40')}. With more calls the order decides: take a high one.",
            f"- **Samples with fresh noise:** {names('20', True)} at 20 calls, {names('40', True)} at 40. The noise "
            "washes out earlier errors, also those of a network, and takes more calls for it.",
            "- **An error that you choose instead of a number of steps:** "
            + ", ".join(f"`{name}`" for name in ADAPTIVE)
            + "; every sample has its own step size.",
            "- **Likelihoods and inversion** follow the probability flow: a deterministic solver of high order, or "
            "`ptdiff likelihood`, which chooses one.",
            "- **A trained network:** compare two or three of these: `ptdiff eval RUN --solver NAME --steps N`.",
        ]
    )


def agreement(peers: dict[str, Any]) -> str:
    """Which samplers of other libraries do the same."""
    rows = []
    for found in peers["agreement"]:
        peer, theirs, ours = found["subject"].split(", ", 2)
        rows.append([peer, f"`{theirs}`", f"`{ours}`", number(found["measured"])])
    return table(["library", "sampler", "ptdiff", "greatest difference"], rows)


def orders(peers: dict[str, Any]) -> str:
    """What other libraries' samplers reach where their name or documentation gives an order."""
    rows = [
        [o["peer"], o["sampler"], str(o["claimed"]) + (" weak" if o["stochastic"] else ""), f"{o['measured']:.2f}"]
        for o in peers["orders"]
    ]
    return table(["library", "sampler", "order by its name", "measured"], rows)


def page() -> str:
    """The whole page."""
    result = json.loads((RESULTS / "certificates.json").read_text(encoding="utf-8"))
    peers = json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))
    adaptive = [[f"`{name}`", options(cls), summary(cls)] for name, cls in ADAPTIVE.items()]
    finite = {row["order"]: row["finite"] for row in peers["duplicated sigma_min"]}
    versions = ", ".join(f"{name} {version}" for name, version in peers["versions"].items())
    columns = "\n".join(f"- **{name}**: {text}" for name, text in COLUMNS.items())
    return f"""{HEAD}
{advice(result)}

"Best" is the smallest product of the errors under `flow` and `ve` in the tables of errors below.

## The solvers

{columns}

{catalog(result)}

Adaptive solvers choose their steps themselves:

{table(["solver", "options", "what it is"], adaptive)}

## Errors by calls: solvers that follow the probability flow

Root mean square distance to the exact end of the flow, data from a mixture of three normal distributions in the plane,
of about unit variance; from the noisiest level to the clean one in equal steps of the process's own time, as many steps
as the calls allow.

{errors(result, stochastic=False)}

## Errors by calls: solvers that add noise

How far mean and standard deviation of the samples are from those of the data, in standard deviations of the data, from
exact moments, over two normal distributions; a dash where not even one step is possible. A single error may be small by
accident: look at the whole row.

{errors(result, stochastic=True)}

## Other libraries

The same denoiser on the same levels, in float64 ({versions}). The difference is relative to the greatest entry of the
state; diffusers casts the state to float32 within some steps.

{agreement(peers)}

Orders, measured with the same code and problems as ours. Multistep methods that start with steps of order 1 reach 2,
whatever their name says; ptdiff starts them with Runge-Kutta steps where `start=rk`.

{orders(peers)}

What stands out: azula's `REABSampler` is of order 1 (it mixes two levels under one root); k-diffusion's
`sample_dpmpp_sde` loses an order when its two draws of a step are independent instead of one path; diffusers'
`sde-dpmsolver++` of order 3 is of order 1, and `DPMSolverMultistepScheduler` with Karras levels ending at sigma_min,
which names that level twice, returns {100 * finite[2]:.0f} % finite numbers at order 2 and {100 * finite[3]:.0f} % at
order 3.
"""


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
