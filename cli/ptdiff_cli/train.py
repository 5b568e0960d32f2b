"""``ptdiff train``: a modality and its data in, a run folder out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ptdiff_cli.terminal import DIVERGED, Failure, bad_data, say

if TYPE_CHECKING:
    from ptdiff.config import Config
    from ptdiff.data import Data
    from ptdiff.modality import Modality
    from ptdiff.run import Run


def train(
    modality: Annotated[
        str | None, typer.Option("-m", "--modality", help="Kind of data: see 'ptdiff modalities'.")
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="A folder, a file or a built-in data set; short for -o data=…")
    ] = None,
    config: Annotated[
        list[Path] | None, typer.Option("-c", "--config", help="YAML configuration; several are laid over each other.")
    ] = None,
    option: Annotated[list[str] | None, typer.Option("-o", "--option", help="Modality option, key=value.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Any configuration key, section.key=value.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for this long instead.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; default runs/<modality>-<number>.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything.")] = None,
    process: Annotated[str | None, typer.Option(help="Process to train under: see 'ptdiff processes'.")] = None,
    prediction: Annotated[str | None, typer.Option(help="velocity, flow, x0 or eps.")] = None,
    precision: Annotated[Literal["32", "bf16"] | None, typer.Option(help="Arithmetic of the network.")] = None,
    devices: Annotated[str, typer.Option(help="Number of devices, or auto.")] = "auto",
    nodes: Annotated[int, typer.Option(help="Number of machines.")] = 1,
    strategy: Annotated[Literal["auto", "ddp", "fsdp"], typer.Option(help="How devices share the work.")] = "auto",
    compile_: Annotated[bool, typer.Option("--compile", help="Compile the network (pays on GPUs).")] = False,
    logger: Annotated[
        list[str] | None, typer.Option(help="csv, tensorboard, mlflow or wandb, beside metrics.jsonl.")
    ] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads; default all cores.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Build everything, print what it costs, write nothing.")
    ] = False,
) -> None:
    """Train a model: ptdiff train -m pointcloud --data FOLDER."""
    named = {"seed": seed, "process": process, "prediction": prediction}
    over: dict[str, Any] = {key: value for key, value in named.items() if value is not None}
    training = {"steps": steps, "minutes": minutes, "precision": precision}
    over["training"] = {key: value for key, value in training.items() if value is not None}
    if minutes is not None and steps is None:
        # the clock ends the run, not the count
        over["training"]["steps"] = None
    resolved, kind = resolve(modality, data, config or [], option or [], set_ or [], over)
    use_threads(threads)
    read = read_data(kind)
    if dry_run:
        from ptdiff_cli.dry_run import dry_run as rehearse

        rehearse(resolved, kind, read)
        return
    from ptdiff.run import Run
    from ptdiff.training.loggers import make_loggers

    path = out or next_free(Path("runs"), resolved.modality)
    # made before the folder: a logger that is not installed must not leave an empty run behind
    loggers = make_loggers(logger or [], path)
    run = Run.create(path, resolved, read)
    execute(run, kind, read, devices=devices, nodes=nodes, strategy=strategy, compile=compile_, loggers=loggers)


def resolve(
    modality: str | None,
    data: str | None,
    files: list[Path],
    options: list[str],
    settings: list[str],
    named: dict[str, Any],
) -> tuple[Config, Modality]:
    """The complete configuration and its modality; see ptdiff.config for the precedence."""
    from ptdiff import registry
    from ptdiff.config import defaults, merged, read, validate
    from ptdiff.config import settings as parse

    over: dict[str, Any] = {}
    for file in files:
        over = merged(over, read(file))
    over = merged(over, parse(settings, "section.key=value"))
    over = merged(over, {"options": parse(options)})
    over = merged(over, named)
    if data is not None:
        over["options"]["data"] = data
    if modality is not None:
        over["modality"] = modality
    if "modality" not in over:
        raise ValueError("say what kind of data: -m pointcloud, points2d, images … ('ptdiff modalities' lists them)")
    place = over["options"].get("data")
    if isinstance(place, str) and Path(place).expanduser().exists():
        # a run is resumed from wherever one happens to stand
        over["options"]["data"] = str(Path(place).expanduser().resolve())
    kind = registry.load(over["modality"], over["options"])
    over["options"] = dataclasses.asdict(kind)
    config = validate(merged(merged(defaults(over["modality"]), kind.recipe()), over))
    _choices(config)
    return config, kind


def _choices(config: Config) -> None:
    """Every name and option of the configuration is right before anything is written."""
    import torch

    from ptdiff.denoiser import PREDICTIONS, check_prediction
    from ptdiff.grid import SPACINGS
    from ptdiff.names import choose, unknown
    from ptdiff.objective import DENSITIES
    from ptdiff.process import PROCESSES
    from ptdiff.solvers import SOLVERS

    process = choose("process", PROCESSES, config.process)
    choose("density", DENSITIES, config.density)
    choose("solver", SOLVERS, config.sampling.solver)
    if config.prediction not in PREDICTIONS:
        raise unknown("prediction", config.prediction, PREDICTIONS)
    if config.sampling.spacing not in SPACINGS:
        raise unknown("spacing", config.sampling.spacing, SPACINGS)
    check_prediction(config.prediction, process.level(torch.ones(1)))


def read_data(kind: Modality) -> Data:
    """The data of a modality, and a summary of what was read."""
    with bad_data("data"):
        data = kind.dataset()
    text = data.summary.get("text")
    if text:
        say(str(text))
    return data


def next_free(folder: Path, name: str) -> Path:
    """runs/<name>-001, or the first number that is free."""
    stem = name.replace(":", "-")
    return next(p for i in range(1, 10**6) if not (p := folder / f"{stem}-{i:03d}").exists())


def use_threads(threads: int | None) -> None:
    """Limit torch to so many CPU threads."""
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def execute(
    run: Run,
    kind: Modality,
    data: Data,
    *,
    devices: str = "auto",
    nodes: int = 1,
    strategy: str = "auto",
    compile: bool = False,
    loggers: list[Any] | None = None,
) -> None:
    """Train a run to its end with a progress bar, and say where it stands."""
    from ptdiff.training.fit import Hardware, fit
    from ptdiff.training.module import Diverged
    from ptdiff_cli.watch import Watch

    hardware = Hardware(int(devices) if devices.isdecimal() else devices, nodes, strategy, compile)
    with Watch(run.config) as watch:
        try:
            outcome = fit(run, kind, data, hardware=hardware, loggers=loggers, observer=watch)
        except Diverged as error:
            raise Failure(
                f"training diverged: {error}; the last good checkpoint is kept in {run.path}", DIVERGED
            ) from error
    if outcome.signal is not None:
        say(f"stopped after step {outcome.steps}; go on with: ptdiff resume {run.path}")
        raise typer.Exit(128 + outcome.signal)
    say(f"{outcome.steps} steps in {outcome.seconds / 60:.1f} min; the run is {run.path}")
    say(f"next: ptdiff sample {run.path} · ptdiff eval {run.path} · ptdiff render {run.path}")
