"""How far a run gets in the minutes it has, and the variant of its recipe that gets furthest.

The rate is measured on this machine (ptdiff.training.trial), the score after so many steps is looked up in what a
benchmark has measured (ptdiff.expectations).
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch

from ptdiff import registry
from ptdiff.config import Config, merged, validate
from ptdiff.data import Data
from ptdiff.expectations import Expectations
from ptdiff.modality import Modality
from ptdiff.training.trial import Settled, settle

WARM = 10
"""The warm-up takes at most one of so many parts of a run."""


@dataclass(frozen=True)
class Paced:
    """A settled configuration, its modality, and lines for people: what was chosen, and what to expect of it."""

    settled: Settled
    kind: Modality
    lines: tuple[str, ...]

    @property
    def config(self) -> Config:
        return self.settled.config


def paced(config: Config, kind: Modality, data: Data, device: torch.device, *, plain: bool, ranks: int = 1) -> Paced:
    """``config`` settled for this machine and, where the clock ends the run, fitted to the steps that it has time for.

    plain: whether it is the modality's recipe as it stands.  Only then a variant of it may be taken, and something is
    known of what to expect; ValueError where the modality's table of expectations cannot be read.
    """
    found = settle(config, kind, data, device, ranks)
    minutes, table = config.training.minutes, Expectations.of(type(kind)) if plain else None
    if minutes is None or found.rate is None:
        return Paced(found, kind, (found.line(),))
    if table is None:
        return Paced(_warmed(found), kind, (found.line(),))
    reached = {"default": (found, kind)}
    for name in table.points:
        if name != "default":
            reached[name] = _variant(found, kind, data, device, ranks, table.variants[name])
    values = {name: table.value(name, tried.steps or 1) for name, (tried, _) in reached.items()}
    best = min(values, key=lambda name: values[name])
    chosen, kind = reached[best]
    lines = [chosen.line()]
    if best != "default":
        lines.append(f"the variant {best!r} of the recipe gets further in that time")
    lines.append(_expected(table, best, values[best], chosen))
    return Paced(_warmed(chosen), kind, tuple(lines))


def _variant(
    found: Settled, kind: Modality, data: Data, device: torch.device, ranks: int, over: dict[str, object] | object
) -> tuple[Settled, Modality]:
    """The recipe with ``over`` laid over it, timed by the way that was found for the recipe itself."""
    values = merged(found.config.model_dump(mode="json"), over)  # type: ignore[arg-type]
    other = registry.load(values["modality"], values["options"])
    values["options"] = dataclasses.asdict(other)
    return settle(validate(values), other, data if other == kind else other.dataset(), device, ranks), other


def _warmed(found: Settled) -> Settled:
    """The warm-up cut to its part of a short run."""
    plan = found.config.training
    warmup = min(plan.warmup, max(1, (found.steps or plan.warmup * WARM) // WARM))
    config = found.config.model_copy(update={"training": plan.model_copy(update={"warmup": warmup})})
    return dataclasses.replace(found, config=config)


def _expected(table: Expectations, variant: str, value: float, found: Settled) -> str:
    scale = f"{table.metric} about {value:.0f} (floor {table.floor:.0f}, n = {table.n})"
    line = f"to expect, as measured on {table.data}: {table.look(value)}, {scale}"
    if value <= table.enough or found.rate is None:
        return line
    needed = table.steps(variant, table.enough)
    more = (
        "" if needed is None else f": --minutes {-(-needed // (60 * found.rate)):.0f} would do for {table.words[0][1]}"
    )
    return f"{line}. That is too short{more}"
