"""``ptdiff resume``: go on with a run that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def resume(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    threads: Annotated[int | None, typer.Option(help="CPU threads; default all cores.")] = None,
) -> None:
    """Go on with a run from its last checkpoint, to the end of its configuration."""
    from ptdiff.run import Run
    from ptdiff_cli.train import execute, read_data, use_threads

    found = Run.open(run)
    use_threads(threads)
    kind = found.modality()
    # the scale is the run's own: the model must see the world as it did before
    data = read_data(kind)
    _same(found, data.shape, data.classes)
    from dataclasses import replace

    execute(found, kind, replace(data, mean=found.data.mean, scale=found.data.scale))


def _same(run: object, shape: tuple[int, ...], classes: tuple[str, ...]) -> None:
    from ptdiff.run import Run, RunError

    assert isinstance(run, Run)
    if (shape, classes) != (run.data.shape, run.data.classes):
        raise RunError(
            f"the data has changed since {run.path} began: it had samples of shape {run.data.shape} in "
            f"{len(run.data.classes)} classes and has now {shape} in {len(classes)}"
        )
