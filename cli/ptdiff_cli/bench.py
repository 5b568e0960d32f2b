"""``ptdiff bench``: the speed of parts of ptdiff on this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ptdiff_cli.bench_train import train
from ptdiff_cli.shared import options
from ptdiff_cli.shared.terminal import say, show_json, show_table

YARDSTICK = "k-diffusion sample_dpmpp_2m"

bench = typer.Typer(help="Measure the speed of solvers and of training on this machine.", no_args_is_help=True)


@bench.callback()
def group() -> None:
    """Measure the speed of solvers and of training on this machine."""


bench.command("train", short_help="measure the speed of training")(train)


@bench.command("solvers", short_help="measure the speed of solvers")
def solvers(
    peers: Annotated[bool, typer.Option(help="Also time other installed libraries.")] = True,
    rounds: Annotated[int, typer.Option(min=1, help="Number of runs, of which the median is reported.")] = 15,
    out: options.ResultsOut = None,
    as_json: options.Json = False,
) -> None:
    """Time the overhead of solvers: ptdiff bench solvers.

    Measured per call with a denoiser that costs nothing, 50 steps, one thread.
    """
    from json import dumps

    import torch

    from ptdiff.certify.overhead import SHAPES, overheads
    from ptdiff.documents.atomic import write_atomic

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        rows = [row for shape in SHAPES for row in _rows(overheads(shape, rounds, peers))]
    finally:
        torch.set_num_threads(threads)
    if out is not None:
        write_atomic(out, "[\n" + ",\n".join(dumps(row) for row in rows) + "\n]\n")
    if as_json:
        show_json(rows)
        return
    ratios = [["-" if row["ratio"] is None else f"{row['ratio']:.2f}"] for row in rows]
    shown = [
        [
            row["solver"],
            "x".join(map(str, row["shape"])),
            str(row["calls"]),
            f"{row['median']:.1f}",
            f"{row['least']:.1f}",
        ]
        for row in rows
    ]
    show_table(
        ["solver", "shape", "calls", "µs per call", "min", "ratio"],
        [[*a, *b] for a, b in zip(shown, ratios, strict=True)],
    )
    say(f"ratio: relative to {YARDSTICK}" if ratios[0] != ["-"] else f"no ratios: {YARDSTICK} is not installed")


def _rows(found: list[Any]) -> list[dict[str, Any]]:
    yardstick = next((item.median for item in found if item.solver == YARDSTICK), None)
    return [
        {
            "solver": item.solver,
            "shape": list(item.shape),
            "calls": item.calls,
            "median": round(item.median, 2),
            "least": round(item.least, 2),
            "ratio": None if yardstick is None else round(item.median / yardstick, 3),
        }
        for item in found
    ]
