"""``ptdiff resume``: go on with a run that was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.terminal import BAD_DATA, Failure, say
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
)

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.folder import Run
    from ptdiff.training.fit import Hardware


def resume(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    devices: Devices = 1,
    nodes: Nodes = 1,
    strategy: Strategy = "auto",
    compile_: Compile = None,
    logger: Logger = None,
    threads: Threads = None,
    device: Device = "auto",
) -> None:
    """Go on with a run from its last checkpoint, to the end of its configuration."""
    from ptdiff.run.folder import Run
    from ptdiff.training.trackers import check_loggers

    found = Run.open(run, say)
    found.refuse_model()
    check_loggers(logger or [])
    hardware = make_hardware(device, devices, nodes, strategy, found.config.training.batch)
    given = {key: value for key, value in {"threads": threads, "compile": compile_}.items() if value is not None}
    if given:
        # for this time only: config.yaml keeps what the run began with
        plan = found.config.training.model_copy(update=given)
        found = replace(found, config=found.config.model_copy(update={"training": plan}))
    kind = found.modality()
    go_on(found, kind, read_data(kind), hardware, logger or [])


def go_on(run: Run, kind: Modality, data: Data, hardware: Hardware, loggers: list[str]) -> None:
    """Train a run from its last checkpoint to its end; Failure where the data is not what it began with."""
    from ptdiff.run.folder import process_rank
    from ptdiff.training.trackers import make_loggers

    change = run.change(data)
    if change is not None:
        raise Failure(f"the data has changed since {run.path} began: {change}", BAD_DATA)
    made = make_loggers(loggers, run.path) if process_rank() == 0 else []
    # the scale is the run's own: the model must see the world as it did before
    execute(run, kind, replace(data, mean=run.data.mean, scale=run.data.scale), hardware, made)
