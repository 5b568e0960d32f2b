"""``ptdiff resume``: go on with a run that was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.terminal import BAD_DATA, Failure
from ptdiff_cli.train import (
    Compile,
    Devices,
    Logger,
    Nodes,
    Strategy,
    Threads,
    execute,
    make_hardware,
    read_data,
    use_threads,
)


def resume(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    devices: Devices = 1,
    nodes: Nodes = 1,
    strategy: Strategy = "auto",
    compile_: Compile = False,
    logger: Logger = None,
    threads: Threads = None,
) -> None:
    """Go on with a run from its last checkpoint, to the end of its configuration."""
    from ptdiff.run import Run, process_rank
    from ptdiff.training.loggers import check_loggers, make_loggers

    found = Run.open(run)
    check_loggers(logger or [])
    use_threads(threads)
    hardware = make_hardware(devices, nodes, strategy, compile_, found.config.training.batch)
    kind = found.modality()
    data = read_data(kind)
    change = found.change(data)
    if change is not None:
        raise Failure(f"the data has changed since {run} began: {change}", BAD_DATA)
    loggers = make_loggers(logger or [], run) if process_rank() == 0 else []
    # the scale is the run's own: the model must see the world as it did before
    execute(found, kind, replace(data, mean=found.data.mean, scale=found.data.scale), hardware, loggers)
