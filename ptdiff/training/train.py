"""Training from Python in one call: what ``ptdiff train`` does, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.machine import host
from ptdiff.run.folder import Run
from ptdiff.run.start import begun
from ptdiff.training.configuration import resolve
from ptdiff.training.fit import Hardware, fit
from ptdiff.training.observer import Observer


def train(
    out: Path | str,
    values: Mapping[str, Any],
    observer: Observer | None = None,
    device: str = "auto",
    *,
    start: Path | str | None = None,
) -> Run:
    """A new run in the folder ``out``, trained to its end.

    values: nested as in config.yaml, with a ``modality``; the rest is the modality's recipe and the defaults.  Those of
    a recipe by name are ``ptdiff.run.recipes.recipe(name).values()``; ``ptdiff.run.config.merged`` lays others over
    them.
    device: auto, cpu, cuda, cuda:1 or mps, see ``ptdiff.machine.host.device``.
    start: a run or the name of a model that ships (``ptdiff.run.models``) whose averaged weights the new one begins
    with. Its modality and configuration then stand for modality and recipe (``ptdiff.run.start``), and ``values`` must
    say ``training.steps`` or ``training.minutes``.

    Raises ValueError for what is wrong with the values, OSError or ValueError for data that cannot be read, and
    RunError where there is a run already.
    """
    host.device(device)  # a wrong name ends here
    source = None if start is None else Run.open(start)
    config, kind = resolve(values, source)
    data = kind.dataset()
    weights = None
    if source is not None:
        weights = begun(source, config, NetworkDenoiser(kind.backbone(data), config.prediction), data)
    run = Run.create(Path(out), config, data, weights)
    fit(run, kind, data, hardware=Hardware(device=device), observer=observer)
    # as it was settled for this machine
    return dataclasses.replace(run, config=Run.open(run.path).config)
