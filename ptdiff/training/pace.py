"""How far a run gets in the minutes it has.

The rate is measured on this machine (ptdiff.training.trial), the score after so many steps is looked up in what a
benchmark has measured (ptdiff.expectations).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch

from ptdiff.config import Config, defaults, merged, validate
from ptdiff.data import Data
from ptdiff.expectations import Expectations
from ptdiff.modality import Modality
from ptdiff.training.trial import Settled, settle

WARM = 10
"""The warm-up takes at most one part in this many of a run."""

FREE = ("minutes", "steps", "precision", "threads", "shards", "micro_batch", "compile")
"""Settings of training that say how long and how quickly, and not what a step is."""


@dataclass(frozen=True)
class Paced:
    """A settled configuration, and lines for people: what was chosen, and what to expect of it."""

    settled: Settled
    lines: tuple[str, ...]

    @property
    def config(self) -> Config:
        return self.settled.config


def paced(config: Config, kind: Modality, data: Data, device: torch.device, ranks: int = 1) -> Paced:
    """``config`` settled for this machine and, where the clock ends the run, fitted to the steps it has time for.

    Where it is the modality's own recipe and the modality has measured what that reaches, a line says what to expect.
    ValueError where the table of expectations cannot be read.
    """
    found = _warmed(settle(config, kind, data, device, ranks))
    table = Expectations.of(type(kind)) if is_recipe(config, kind) else None
    if table is None or found.rate is None:
        return Paced(found, (found.line(),))
    return Paced(found, (found.line(), expected(table, found)))


def is_recipe(config: Config, kind: Modality) -> bool:
    """Whether a configuration is the modality's own recipe on its own data, for however long."""

    def essence(values: Config) -> dict[str, Any]:
        plain = values.model_dump(mode="json", exclude={"seed"})
        plain["training"] = {key: value for key, value in plain["training"].items() if key not in FREE}
        return plain

    own = type(kind)()
    recipe = merged(merged(defaults(config.modality), own.recipe()), {"options": dataclasses.asdict(own)})
    return essence(config) == essence(validate(recipe))


def _warmed(found: Settled) -> Settled:
    """The warm-up cut to its part of a run that the clock ends early."""
    plan = found.config.training
    if plan.minutes is None or found.steps is None:
        return found
    warmup = min(plan.warmup, max(1, found.steps // WARM))
    return dataclasses.replace(
        found, config=found.config.model_copy(update={"training": plan.model_copy(update={"warmup": warmup})})
    )


def expected(table: Expectations, found: Settled) -> str:
    """What to expect of a run of the recipe at the measured rate; the minutes that would do where it is too short."""
    value = table.value(found.steps or 1)
    line = (
        f"to expect, as measured on {table.data}: {table.look(value)}, "
        f"{table.metric} about {value:.0f} (floor {table.floor:.0f}, n = {table.n})"
    )
    if value <= table.enough:
        return line
    needed = table.steps(table.enough)
    if needed is None or found.rate is None:
        return f"{line}: that is too short"
    minutes = math.ceil(needed / found.rate / 60)
    return f"{line}: that is too short; {table.words[0][1]} take about {minutes} minutes at this rate"
