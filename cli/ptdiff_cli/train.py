"""``ptdiff train``: train a model on the data of a modality, into a run folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.configuration import overrides
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
from ptdiff_cli.shared.target import writable_folder
from ptdiff_cli.shared.terminal import say


def train(
    modality: options.Modality = None,
    data: Annotated[str | None, typer.Option(help="Folder, file or built-in data set; short for -o data=…")] = None,
    config: Annotated[
        list[str] | None,
        typer.Option("-c", "--config", metavar="FILE", help="YAML file or recipe name, repeatable; later ones win."),
    ] = None,
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Run or model to fine-tune (see 'ptdiff list model')."),
    ] = None,
    option: options.ModalityOptions = None,
    set_: options.ConfigSettings = None,
    sweep: Annotated[Path | None, typer.Option(help="YAML file of a sweep: train or resume its set of runs.")] = None,
    steps: Annotated[int | None, typer.Option(help="Number of training steps; default: from the recipe.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Training time in minutes; with --steps, whichever ends first.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(callback=writable_folder, help="Run folder; default: runs/<modality>-<number>.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed; default: 0.")] = None,
    process: Annotated[
        str | None, typer.Option(help="Process (see 'ptdiff processes'); default: from the recipe.")
    ] = None,
    prediction: Annotated[
        str | None, typer.Option(help="Network prediction: velocity, flow, x0 or eps; default: from the recipe.")
    ] = None,
    precision: Annotated[
        Literal["auto", "32", "bf16"] | None,
        typer.Option(help="Network precision; auto: the faster one here; default: from the recipe."),
    ] = None,
    devices: Devices = 1,
    nodes: Nodes = 1,
    strategy: Strategy = "auto",
    compile_: Compile = None,
    logger: Logger = None,
    threads: Threads = None,
    device: options.Device = "auto",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything and print the cost; write nothing.")
    ] = False,
) -> None:
    """Train a model: ptdiff train -m pointcloud --data FOLDER."""
    from ptdiff.run.config import merged
    from ptdiff.run.folder import Run
    from ptdiff.training.configuration import resolve

    source = None if from_ is None else Run.open(from_, say)
    if source is not None and steps is None and minutes is None:
        raise ValueError("--from needs the length of the training: add --minutes or --steps")
    named = {"seed": seed, "process": process, "prediction": prediction}
    over: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    training = {"steps": steps, "minutes": minutes, "precision": precision, "threads": threads, "compile": compile_}
    over["training"] = {key: value for key, value in training.items() if value is not None}
    if minutes is not None and steps is None:
        # the time limit ends the run, not the number of steps
        over["training"]["steps"] = None
    asked = partial(overrides, modality, data, config or [], option or [], set_ or [])
    if sweep is not None:
        from ptdiff_cli.sweep import run_sweep

        if devices * nodes > 1:
            raise ValueError("--sweep trains on one device: leave out --devices and --nodes")
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
