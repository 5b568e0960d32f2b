"""``ptdiff bench train``: the training speed of the default recipes on this machine, and its profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff.errors import reading
from ptdiff_cli.shared import options
from ptdiff_cli.shared.terminal import say, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.training.speed import Speed, TrainingSetup

MODALITIES = ("pointcloud", "images", "points2d")


def train(
    modality: Annotated[
        list[str] | None,
        typer.Option(
            "-m", "--modality", metavar="NAME", help="Kind of data, repeatable; default: all that ship with ptdiff."
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.05, max=3600, help="Length of each measurement in seconds.")] = 4.0,
    threads: Annotated[
        list[int] | None, typer.Option(min=1, metavar="N", help="CPU threads, repeatable; default: 1 and all cores.")
    ] = None,
    device: options.Device = "auto",
    profile: Annotated[bool, typer.Option("--profile", help="Show the time of a step by kind of operation.")] = False,
    out: options.ResultsOut = None,
    as_json: options.Json = False,
) -> None:
    """Time training and a bare training loop: ptdiff bench train -m images.

    Each default recipe runs in both precisions, on one thread and on all cores.
    """
    import os
    from json import dumps

    # silences the start message of torch's profiler on stderr
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")

    from ptdiff.documents.atomic import write_atomic
    from ptdiff.machine.yardstick import yardstick
    from ptdiff.training.speed import OVERHEAD_GOAL, PEAK_GOAL

    names = list(dict.fromkeys(modality or MODALITIES))
    subjects = {name: _subject(name) for name in names}
    found = {name: _speeds(name, subject, threads, seconds, device) for name, subject in subjects.items()}
    profiles = {name: _profile(name, subject) for name, subject in subjects.items()} if profile else {}
    result = {
        "machine": yardstick(),
        "goals": {"share of peak, float32": PEAK_GOAL, "over a bare loop": OVERHEAD_GOAL},
        "speeds": [_plain(name, speed) for name, speeds in found.items() for speed in speeds],
        **({"profile": profiles} if profile else {}),
    }
    if out is not None:
        write_atomic(out, dumps(result, indent=1) + "\n")
    if as_json:
        show_json(result)
        return
    show_table(
        ["kind", "precision", "threads", "steps/s", "samples/s", "peak", "x bare"],
        [_row(name, speed) for name, speeds in found.items() for speed in speeds],
    )
    flops = ", ".join(f"{name} {subject.gflop:.3g}" for name, subject in subjects.items())
    say(f"GFLOP per step, forward and backward: {flops}")
    say(f"goals: {PEAK_GOAL:.0%} of peak for pointcloud in float32; at most {OVERHEAD_GOAL}x the time of the bare loop")
    if any(speed.seconds is None for speeds in found.values() for speed in speeds):
        say("*: too slow to repeat; one step of the bare loop was timed, not training")
    for name, shares in profiles.items():
        show_table([f"{name}, float32, one thread", "share"], [[kind, f"{part:.1%}"] for kind, part in shares.items()])


def _subject(name: str) -> TrainingSetup:
    from ptdiff.modality import registry
    from ptdiff.training.configuration import resolve
    from ptdiff.training.speed import TrainingSetup

    registry.trust(name)
    config, kind = resolve({"modality": name})
    with reading("data"):
        return TrainingSetup(kind, kind.dataset(), config)


def _speeds(name: str, subject: TrainingSetup, threads: list[int] | None, seconds: float, device: str) -> list[Speed]:
    import torch

    from ptdiff.machine import host
    from ptdiff.training.speed import PRECISIONS, speed

    # CPU threads matter little when a GPU trains
    usual = sorted({1, host.cores()}) if host.device(device).type == "cpu" else [torch.get_num_threads()]
    found = []
    for precision in PRECISIONS:
        for count in threads or usual:
            found.append(speed(subject, precision, count, seconds, device))
            say(f"{name}, {_precision(precision)}, {_threads(found[-1])}: {found[-1].steps:.3g} steps/s")
    return found


def _profile(name: str, subject: TrainingSetup) -> dict[str, float]:
    from ptdiff.training.profile import where_time_goes

    say(f"{name}: profiling")
    return where_time_goes(subject.with_training(precision="32"))


def _precision(name: str) -> str:
    return "float32" if name == "32" else name


def _threads(speed: Speed) -> str:
    return f"{speed.threads} threads" if speed.threads > 1 else "1 thread"


def _row(name: str, speed: Speed) -> list[str]:
    mark = "*" if speed.seconds is None else ""
    return [
        name,
        _precision(speed.precision),
        f"{speed.threads}, one shard each" if speed.shards > 1 else str(speed.threads),
        f"{speed.steps:.3g}{mark}",
        f"{speed.samples:.0f}{mark}",
        # above 1 the peak is wrong: emulated products are timed on small matrices only
        f"{speed.share:.0%}{mark}" if speed.share <= 1 else "-",
        "-" if speed.overhead is None else f"{speed.overhead:.2f}",
    ]


def _plain(name: str, speed: Speed) -> dict[str, Any]:
    def short(value: float | None) -> float | None:
        return None if value is None else float(f"{value:.4g}")

    return {
        "modality": name,
        "precision": _precision(speed.precision),
        "threads": speed.threads,
        "shards": speed.shards,
        "batch": speed.batch,
        "measured": "bare loop, one step" if speed.seconds is None else "training",
        "steps a second": short(speed.steps),
        "samples a second": short(speed.samples),
        "GFLOP a step": short(speed.gflop),
        "GEMM peak, GFLOP/s": short(speed.peak),
        "share of peak": short(speed.share),
        "over a bare loop": short(speed.overhead),
    }
