"""Training from Python in one call: what ``ptdiff train`` does, for notebooks and scripts."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptdiff import host, registry
from ptdiff.config import defaults, merged, validate
from ptdiff.run import Run
from ptdiff.training.fit import Hardware, fit
from ptdiff.training.observer import Observer
from ptdiff.training.pace import paced


def train(out: Path | str, values: Mapping[str, Any], observer: Observer | None = None, device: str = "auto") -> Run:
    """A new run in the folder ``out``, trained to its end.

    values: nested as in config.yaml, with a ``modality``; the rest is the modality's recipe and the defaults.  Those of
    a recipe by name are ``ptdiff.recipes.recipe(name).values()``; ``ptdiff.config.merged`` lays others over them.
    device: auto, cpu, cuda, cuda:1 or mps, see ``ptdiff.host.device``.

    Raises ValueError for what is wrong with the values, OSError or ValueError for data that cannot be read, and
    RunError where there is a run already.
    """
    name, where = values["modality"], host.device(device)
    kind = registry.load(name, values.get("options", {}))
    config = validate(merged(merged(defaults(name), kind.recipe()), {**values, "options": dataclasses.asdict(kind)}))
    data = kind.dataset()
    observer, run = observer or Observer(), Run.create(Path(out), config, data)
    chosen = paced(config, kind, data, where)
    for line in chosen.lines:
        observer.say(line)
    run = run.settled(chosen.config, chosen.settled.facts())
    fit(run, kind, data, hardware=Hardware(device=device), observer=observer)
    return run
