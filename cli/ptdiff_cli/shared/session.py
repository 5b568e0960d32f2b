"""Training sessions, from options to the end of a run, shared by ``train``, ``resume`` and ``sweep``."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff.errors import reading
from ptdiff_cli.shared.terminal import BAD_DATA, DIVERGED, Failure, doing, say

if TYPE_CHECKING:
    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data
    from ptdiff.run.config import Config
    from ptdiff.run.folder import Run, Start
    from ptdiff.training.fit import Outcome
    from ptdiff.training.hardware import Hardware


def _known_strategy(name: str) -> str:
    """Return the name unchanged; raise UnknownName for another than STRATEGIES, before a command does any work."""
    from ptdiff.choices import one_of
    from ptdiff.training.hardware import STRATEGIES

    return one_of("strategy", name, STRATEGIES)


Devices = Annotated[int, typer.Option(min=1, help="Number of devices.")]
Nodes = Annotated[int, typer.Option(min=1, help="Number of machines.")]
Strategy = Annotated[
    str,
    typer.Option(
        help="Strategy for several devices: ddp (a network on each), fsdp (a sharded network) or auto.",
        callback=_known_strategy,
    ),
]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="Compile the network; default: if it saves time."),
]
Logger = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Also log to tensorboard, mlflow, wandb, trackio or aim; repeatable."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Number of CPU threads; default: the fastest here.")]


def check_trainable(
    config: Config, kind: Modality, data: Data, loggers: list[str], source: Run | None = None
) -> Start | None:
    """Check everything that can be checked before a run folder exists.

    Returns the initial weights from ``source``, None without it.  Raises ValueError for a wrong combination.
    """
    from ptdiff.denoiser.building import TRAIN, built
    from ptdiff.run.fine_tuning import begun
    from ptdiff.training.module import DiffusionModule
    from ptdiff.training.trackers import check_loggers

    denoiser = built(kind, data, config.prediction, TRAIN, flow_map=config.is_flow_map)
    DiffusionModule(denoiser, data, config)
    check_loggers(loggers)
    if source is None:
        return None
    start = begun(source, config, denoiser, data)
    say(f"starting from the weights of {source.path.name} (step {start.origin['step']}){_news(start)}")
    return start


def _news(start: Start) -> str:
    new = start.origin["new"]
    return f"; new classes: {', '.join(new)}" if new else ""


def begin(
    path: Path,
    config: Config,
    kind: Modality,
    data: Data,
    hardware: Hardware,
    loggers: list[str],
    start: Start | None = None,
) -> None:
    """Create a run folder at ``path`` and train the run to its end."""
    from ptdiff.run.folder import Run, process_rank
    from ptdiff.training.trackers import make_loggers

    first = process_rank() == 0
    run = Run.create(path, config, data, start) if first else Run(path, config, data)
    execute(run, kind, data, hardware, make_loggers(loggers, path) if first else [])


def run_path(out: Path | None, name: str) -> Path:
    """The run folder: ``out``, or a new one in runs/.  Further ranks, started by Lightning, find that of the first."""
    from ptdiff.run.folder import process_rank

    if process_rank() == 0:
        os.environ["PTDIFF_RUN"] = str(out or next_free(Path("runs"), name))
    elif out is not None:
        # started by torchrun or SLURM, not by the first rank
        return out
    elif "PTDIFF_RUN" not in os.environ:
        raise ValueError("ranks that are started separately need the same --out")
    return Path(os.environ["PTDIFF_RUN"])


def make_hardware(device: str, devices: int, nodes: int, strategy: str, batch: int) -> Hardware:
    """The hardware for training; ValueError for more devices than available, or than samples in a batch."""
    from ptdiff.machine import host
    from ptdiff.training.hardware import Hardware

    there = host.count(device)
    if there is not None and devices > there:
        raise ValueError(f"--devices {devices}: --device {device} has only {there} here")
    if devices * nodes > batch:
        raise ValueError(
            f"a batch of {batch} cannot be shared by {devices * nodes} devices: use fewer, or a larger training.batch"
        )
    return Hardware(devices, nodes, strategy, device)


def read_data(kind: Modality) -> Data:
    """Read the data of a modality and print its summary; Failure if it cannot be read."""
    from ptdiff.run.folder import process_rank

    with reading("data"), doing("reading data") if process_rank() == 0 else nullcontext():
        data = kind.dataset()
    text = data.summary.get("text")
    if text and process_rank() == 0:
        say(str(text))
    return data


def next_free(folder: Path, name: str) -> Path:
    """The first free path <folder>/<name>-001, <folder>/<name>-002, …"""
    stem = name.replace(":", "-")
    return next(p for i in range(1, 10**6) if not (p := folder / f"{stem}-{i:03d}").exists())


def moved(run: Run, where: str) -> tuple[Run, Data]:
    """The run with its data at ``where``, as config.yaml says from now on, and that data.

    Raises Failure, and writes nothing, if the content is another than that which the run started with.
    """
    from ptdiff.run.folder import process_rank

    run = run.with_data(where)
    data = read_data(run.modality())
    different = run.other_content(data)
    if different is not None:
        raise Failure(f"--data {where}: not the data that {run.path} started with: {different}", BAD_DATA)
    if process_rank() == 0:
        with run.locked():
            run.rewritten(run.config)
    return run, data


def continue_run(
    run: Run, kind: Modality, data: Data, hardware: Hardware, loggers: list[str], *, from_scratch: bool = False
) -> None:
    """Train a run from its last checkpoint to its end; Failure if the data has changed since it started."""
    from ptdiff.run.folder import process_rank
    from ptdiff.training.trackers import make_loggers

    change = run.change(data)
    if change is not None:
        raise Failure(f"the data has changed since {run.path} started: {change}", BAD_DATA)
    if process_rank() == 0:
        # a run that another process trains is refused before its trackers are touched
        with run.locked():
            made = make_loggers(loggers, run.path)
    else:
        made = []
    # the run keeps its scale, so that the model sees the same units as before
    execute(run, kind, replace(data, mean=run.data.mean, scale=run.data.scale), hardware, made, from_scratch)


def execute(
    run: Run, kind: Modality, data: Data, hardware: Hardware, loggers: list[Any], from_scratch: bool = False
) -> None:
    """Train a run to its end with a progress bar, and print the next steps; Failure if training diverged."""
    from ptdiff.errors import Diverged
    from ptdiff.run.folder import process_rank
    from ptdiff.training.fit import fit
    from ptdiff.training.observer import Observer
    from ptdiff_cli.shared.watch import Watch

    first = process_rank() == 0
    try:
        if first:
            with Watch() as watch:
                outcome = fit(
                    run, kind, data, hardware=hardware, loggers=loggers, observer=watch, from_scratch=from_scratch
                )
        else:
            outcome = fit(run, kind, data, hardware=hardware, observer=Observer())
    except Diverged as error:
        raise Failure(f"training diverged: {error}", DIVERGED) from error
    if outcome.signal is not None:
        if first:
            say(f"stopped after step {outcome.steps}; continue with: ptdiff resume {run.path}")
        raise typer.Exit(128 + outcome.signal)
    if first:
        if (line := _off(run, outcome)) is not None:
            say(line)
        say(f"{outcome.steps} steps in {outcome.seconds / 60:.1f} min; the run is {run.path}")
        say(f"next: ptdiff sample {run.path} · ptdiff eval {run.path} · ptdiff render {run.path}")


def _off(run: Run, outcome: Outcome) -> str | None:
    """Compare the length of a run with the rate that its trial measured; None for short runs and without a trial."""
    from ptdiff.machine.cost import difference, duration, off
    from ptdiff_cli.shared.costs import LONG

    rate, plan = run.expected_rate, run.config.training
    if not rate or outcome.seconds < LONG:
        return None
    if plan.minutes is None or outcome.steps == plan.steps:
        return off(outcome.steps / rate, outcome.seconds)
    planned = plan.minutes * 60 * rate
    return (
        f"planned {planned:,.0f} steps in {duration(plan.minutes * 60)}, made {outcome.steps:,}: "
        f"{difference(planned, outcome.steps, 'more', 'fewer')}"
    )
