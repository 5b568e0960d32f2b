"""The quality to expect of a run in the available minutes.

The rate is measured on this machine (ptdiff.training.autotune); the score after that many steps is looked up in a
benchmark table (ptdiff.training.expectations).
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch

from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.run.config import Config, defaults, merged, validate
from ptdiff.training.autotune import Settled, settle
from ptdiff.training.expectations import Expectations

WARM = 10
"""The warm-up takes at most 1 / ``WARM`` of a run."""

FREE = ("minutes", "steps", "precision", "threads", "shards", "micro_batch", "compile")
"""Training settings that affect duration and speed, but not the steps themselves."""


@dataclass(frozen=True)
class Paced:
    """A settled configuration, with lines for people: the choice, and the quality to expect."""

    settled: Settled
    lines: tuple[str, ...]

    @property
    def config(self) -> Config:
        """The settled configuration."""
        return self.settled.config


def paced(config: Config, kind: Modality, data: Data, device: torch.device, ranks: int = 1) -> Paced:
    """Settle ``config`` for this machine and, if the clock ends the run, fit its warm-up to the available steps.

    If it is the modality's own recipe and the modality ships a table of expectations, a line reports the expected
    quality.  Raises ValueError if that table cannot be read.
    """
    found = _warmed(settle(config, kind, data, device, ranks))
    table = Expectations.of(type(kind))
    if table is None or found.rate is None or not is_recipe(config, kind):
        return Paced(found, (found.line(),))
    return Paced(found, (found.line(), expected(table, found)))


def is_recipe(config: Config, kind: Modality) -> bool:
    """Return True if a configuration is the modality's own recipe on its own data, for any duration."""

    def essence(values: Config) -> dict[str, Any]:
        plain = values.model_dump(mode="json", exclude={"seed"})
        plain["training"] = {key: value for key, value in plain["training"].items() if key not in FREE}
        return plain

    try:
        own = type(kind)()
    except TypeError:
        # an option has no default, so there is no recipe to compare with
        return False
    recipe = merged(merged(defaults(config.modality), own.recipe()), {"options": dataclasses.asdict(own)})
    return essence(config) == essence(validate(recipe))


def _warmed(found: Settled) -> Settled:
    """``found`` with the warm-up limited to its fraction of a run that the clock ends."""
    plan = found.config.training
    if plan.minutes is None or found.steps is None:
        return found
    warmup = min(plan.warmup, max(1, found.steps // WARM))
    return dataclasses.replace(
        found, config=found.config.model_copy(update={"training": plan.model_copy(update={"warmup": warmup})})
    )


def expected(table: Expectations, found: Settled) -> str:
    """Describe the expected quality at the measured rate, and the minutes needed if the run is too short."""
    value = table.value(found.steps or 1)
    line = (
        f"expect, as measured on {table.data}: {table.look(value)}, "
        f"{table.metric} about {value:.0f} (floor {table.floor:.0f}, n = {table.n})"
    )
    if value <= table.enough:
        return line
    needed = table.steps(table.enough)
    if needed is None or found.rate is None:
        return f"{line}: that is too short"
    minutes = math.ceil(needed / found.rate / 60)
    return f"{line}: that is too short; {table.words[0][1]} take about {minutes} minutes at this rate"
