"""``ptdiff train``: a modality and its data in, a run folder out."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ptdiff_cli.shared.configuration import overrides
from ptdiff_cli.shared.device import Device
from ptdiff_cli.shared.session import (
    Compile,
    Devices,
    Logger,
    Nodes,
    Strategy,
    Threads,
    begin,
    check_trainable,
    make_hardware,
    read_data,
    run_path,
)
from ptdiff_cli.shared.terminal import say


def train(
    modality: Annotated[
        str | None, typer.Option("-m", "--modality", help="Kind of data: see 'ptdiff modalities'.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A folder, a file or a built-in data set; short for -o data=…")
    ] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("-c", "--config", help="YAML file or name of a recipe; later ones override earlier ones."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Fine-tune: start from the weights of this run or model ('ptdiff list model')."),
    ] = None,
    option: Annotated[list[str] | None, typer.Option("-o", "--option", help="Modality option, key=value.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any configuration key, section.key=value.")] = None,
    sweep: Annotated[
        Path | None, typer.Option(help="YAML file of settings that vary: trains a set of runs, or resumes it.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for this long instead.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<modality>-<number>.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to train under: see 'ptdiff processes'.")] = None,
    prediction: Annotated[str | None, typer.Option(help="velocity, flow, x0 or eps.")] = None,
    precision: Annotated[
        Literal["auto", "32", "bf16"] | None, typer.Option(help="Precision of the network; auto: the faster one here.")
    ] = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    strategy: Strategy = "auto",
    compile_: Compile = None,
    logger: Logger = None,
    threads: Threads = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything, print what it costs, write nothing.")
    ] = False,
) -> None:
    """Train a model: ptdiff train -m pointcloud --data FOLDER."""
    from ptdiff.run.config import merged
    from ptdiff.run.folder import Run
    from ptdiff.training.configuration import resolve

    source = None if from_ is None else Run.open(from_, say)
    if source is not None and steps is None and minutes is None:
        raise ValueError("--from: say how long to go on, with --minutes or --steps")
    named = {"seed": seed, "process": process, "prediction": prediction}
    over: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    training = {"steps": steps, "minutes": minutes, "precision": precision, "threads": threads, "compile": compile_}
    over["training"] = {key: value for key, value in training.items() if value is not None}
    if minutes is not None and steps is None:
        # the clock ends the run, not the count
        over["training"]["steps"] = None
    asked = partial(overrides, modality, data, config or [], option or [], set_ or [])
    if sweep is not None:
        from ptdiff_cli.sweep import run_sweep

        if devices * nodes > 1:
            raise ValueError("--sweep trains one run after the other, each on one device")
        if source is not None:
            raise ValueError("--sweep trains every run from scratch: leave out --from")
        trials = partial(run_sweep, sweep, out, lambda settings: resolve(asked(merged(over, settings))))
        trials(device, logger or [], dry_run)
        return
    resolved, kind = resolve(asked(over), source)
    read = read_data(kind)
    start = check_trainable(resolved, kind, read, logger or [], source)
    if dry_run:
        from ptdiff_cli.shared.dry_run import dry_run as rehearse

        rehearse(resolved, kind, read, device)
        return
    hardware = make_hardware(device, devices, nodes, strategy, resolved.training.batch)
    begin(run_path(out, resolved.modality), resolved, kind, read, hardware, logger or [], start)
