"""Options and arguments that several commands share; those of training are in session.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ptdiff_cli.shared.target import writable, writable_either


def _there(name: str) -> str:
    """Return the name unchanged; raise ValueError if this machine lacks the device, before a command does any work."""
    if name != "auto":
        from ptdiff.machine import host

        host.device(name)
    return name


RunOrModel = Annotated[Path, typer.Argument(help="Run folder or model name.")]

# how samples are generated
Solver = Annotated[str | None, typer.Option(help="Solver (see 'ptdiff solvers'); default: the run's.")]
NoiselessSolver = Annotated[
    str | None, typer.Option(help="Deterministic solver (see 'ptdiff solvers'); default: the run's.")
]
Steps = Annotated[int | None, typer.Option(min=1, help="Number of solver steps; default: the run's.")]
Process = Annotated[str | None, typer.Option(help="Process (see 'ptdiff processes'); default: the run's.")]
Spacing = Annotated[
    str | None, typer.Option(help="Time grid (see 'ptdiff list spacing') or .yaml file; default: the run's.")
]
Guidance = Annotated[float | None, typer.Option(min=0, help="Guidance scale, 1 for none; default: the run's.")]
Weights = Annotated[
    str | None, typer.Option(help="Weights: raw, ema, ema-1, best or a relative width; default: best, else ema.")
]
Precision = Annotated[
    Literal["auto", "32", "bf16"] | None,
    typer.Option(help="Network precision; auto: the faster one here; default: the run's."),
]
SamplingSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Sampling setting, section.key=value; repeatable."),
]
Seed = Annotated[int, typer.Option(min=0, help="Random seed.")]
Batch = Annotated[int | None, typer.Option(min=1, help="Samples per batch; default: chosen from their size.")]
Device = Annotated[
    str,
    typer.Option(help="Device: auto (GPU if available), cpu, cuda, cuda:1 or mps.", metavar="NAME", callback=_there),
]
"""The name of a device, for :func:`ptdiff.machine.host.device`."""
Workers = Annotated[
    int | None, typer.Option(min=1, help="Number of workers, one thread each; a repeated command continues.")
]
Engine = Annotated[str, typer.Option(help="Engine of the workers: processes, ray or a plugin's.")]
"""The name of an engine, in :data:`ptdiff.machine.engines.ENGINES`."""
Raw = Annotated[
    bool, typer.Option("--raw", help="Keep the raw values; do not round or clip them to those of the data.")
]

# what is generated
Count = Annotated[int, typer.Option("-n", "--count", min=1, help="Number of samples.")]
Points = Annotated[int | None, typer.Option(help="Points per cloud; default: the run's.")]
PointsOrRange = Annotated[
    str | None,
    typer.Option("--points", metavar="N", help="Points per cloud, or a range such as 100..300; default: the run's."),
]
PointsOfRun = Annotated[int | None, typer.Option(help="Runs only: points per cloud; default: the run's.")]
LabelOfFile = Annotated[str | None, typer.Option(help="Class name or number, or none; default: the file's.")]
InverseMethod = Annotated[
    str | None,
    typer.Option(help="replacement, pigdm or mmps; default: conditioning if trained for it, and replacement."),
]

# what is read and written
ModalityOfFile = Annotated[str, typer.Option("-m", "--modality", help="Kind of data, if the file does not say.")]
Split = Annotated[str, typer.Option(help="Split of the data: val or train.")]
SamplesOut = Annotated[
    Path | None,
    typer.Option(
        callback=writable_either, help="Output file (.npz or a format of the data); default: in the run folder."
    ),
]
ResultsOut = Annotated[Path | None, typer.Option(callback=writable, help="Output file (.json) for the results.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print the cost; compute and write nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

# a configuration
Modality = Annotated[str | None, typer.Option("-m", "--modality", help="Kind of data (see 'ptdiff modalities').")]
ModalityOptions = Annotated[
    list[str] | None,
    typer.Option("-o", "--option", metavar="KEY=VALUE", help="Modality option, key=value; repeatable."),
]
ConfigSettings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Configuration setting, section.key=value; repeatable."),
]
