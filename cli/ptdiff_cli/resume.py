"""``ptdiff resume``: continue a stopped run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.session import (
    Compile,
    Devices,
    Logger,
    Nodes,
    Strategy,
    Threads,
    continue_run,
    make_hardware,
    moved,
    read_data,
)
from ptdiff_cli.shared.terminal import say


def resume(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    steps: Annotated[
        int | None, typer.Option(min=1, help="New total number of training steps; default: as configured.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="New total training time in minutes; with --steps, whichever ends first.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="New path of the data, if it has moved; its content must be the same.")
    ] = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    strategy: Strategy = "auto",
    compile_: Compile = None,
    logger: Logger = None,
    threads: Threads = None,
    device: options.Device = "auto",
    from_scratch: Annotated[
        bool, typer.Option("--from-scratch", help="Train from step 0 if all checkpoints are damaged.")
    ] = False,
) -> None:
    """Continue a run from its last checkpoint, or train a finished one for longer: ptdiff resume RUN --steps 20000."""
    from ptdiff.run.folder import Run
    from ptdiff.training.length import lengthened
    from ptdiff.training.trackers import check_loggers

    found = Run.open(run, say)
    found.refuse_model()
    check_loggers(logger or [])
    hardware = make_hardware(device, devices, nodes, strategy, found.config.training.batch)
    if steps is not None or minutes is not None:
        found = lengthened(found, steps, minutes, say)
    given = {key: value for key, value in {"threads": threads, "compile": compile_}.items() if value is not None}
    read = None
    if data is not None:
        found, read = moved(found, data)
    if given:
        # for this session only: config.yaml keeps the original settings
        plan = found.config.training.model_copy(update=given)
        found = replace(found, config=found.config.model_copy(update={"training": plan}))
    kind = found.modality()
    continue_run(found, kind, read or read_data(kind), hardware, logger or [], from_scratch=from_scratch)
