"""Training from Python in one call: the equivalent of ``ptdiff train`` for notebooks and scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.machine import host
from ptdiff.modality import registry
from ptdiff.run.config import defaults, merged, validate
from ptdiff.run.folder import Run
from ptdiff.run.start import begun, inherited
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
    """Create a run in the folder ``out`` and train it to its end.

    ``values``: nested as in config.yaml, with a ``modality``; everything else defaults to the modality's recipe and the
    general defaults.  The values of a named recipe are ``ptdiff.run.recipes.recipe(name).values()``;
    ``ptdiff.run.config.merged`` overrides some of them.
    ``device``: auto, cpu, cuda, cuda:1 or mps, see :func:`ptdiff.machine.host.device`.
    ``start``: a run, or the name of a shipped model (``ptdiff.run.models``), whose averaged weights initialize the new
    run.  Its modality and configuration then replace modality and recipe (``ptdiff.run.start``), and ``values`` must
    contain ``training.steps`` or ``training.minutes``.

    Raises ValueError for invalid values, OSError or ValueError for data that cannot be read, and RunError if the folder
    already contains a run.
    """
    host.device(device)  # raises for an unknown name
    source = None if start is None else Run.open(start)
    options = values.get("options", {})
    base = {} if source is None else inherited(source, options)
    name = values.get("modality", base.get("modality")) if base else values["modality"]
    if source is not None and name != source.config.modality:
        raise ValueError(f"{source.path.name} is a model of {source.config.modality}, not of {name}")
    kind = registry.load(name, merged(base.get("options", {}), options))
    base = base or merged(defaults(name), kind.recipe())
    config = validate(merged(base, {**values, "options": dataclasses.asdict(kind)}))
    data = kind.dataset()
    weights = None
    if source is not None:
        weights = begun(source, config, NetworkDenoiser(kind.backbone(data), config.prediction), data)
    run = Run.create(Path(out), config, data, weights)
    fit(run, kind, data, hardware=Hardware(device=device), observer=observer)
    # with the configuration settled for this machine
    return dataclasses.replace(run, config=Run.open(run.path).config)
