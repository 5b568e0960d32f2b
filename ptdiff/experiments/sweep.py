"""Sweeps: a file lists the settings that vary, and a search proposes the trials.

    search: random             # grid (the default), random or optuna
    trials: 20
    metric: validation_loss    # the score to compare; a metric of 'ptdiff eval' is measured after each trial
    training.lr: {low: 1e-4, high: 1e-2, log: true}
    training.batch: {low: 16, high: 128, integer: true}
    options.width: [32, 64]
    process: [flow, {name: ve, sigma_max: 40}]

Every other key is the dotted key of a setting, with a list of values or a range.  A grid takes lists only.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from ptdiff.choices import Catalog, build, choose
from ptdiff.experiments.axes import Axis, Range, Settings
from ptdiff.experiments.optuna import Optuna
from ptdiff.run import config

MOST_TRIALS = 100_000
"""Largest number of trials: trials of a second would take a day, and all points of a grid are held in memory."""


class Proposals(Protocol):
    """The trials of a search, by number; the same number has the same settings, even after a restart."""

    def ask(self, trial: int) -> Settings:
        """The settings of trial 0, 1, …; all earlier trials must have been reported with :meth:`tell`."""
        ...

    def tell(self, trial: int, value: float | None) -> None:
        """Report the score of a trial, or None if it failed."""
        ...


class Search(Protocol):
    """A way to choose trials."""

    def open(self, folder: Path, axes: Mapping[str, Axis], minimize: bool) -> Proposals:
        """The trials for ``axes``.

        ``folder``: where the search may store its state.
        ``minimize``: True if lower scores are better.
        """
        ...


@dataclass(frozen=True)
class Grid:
    """Grid search: every combination of the listed values; the last key varies fastest."""

    def open(self, folder: Path, axes: Mapping[str, Axis], minimize: bool) -> Proposals:
        """The points of the grid, in order."""
        points = list(itertools.product(*(axis for axis in axes.values() if isinstance(axis, tuple))))
        return _Listed([dict(zip(axes, point, strict=True)) for point in points])


@dataclass(frozen=True)
class Random:
    """Random search: each setting is drawn independently of the others."""

    seed: int = 0

    def open(self, folder: Path, axes: Mapping[str, Axis], minimize: bool) -> Proposals:
        """Random points; the same number has the same settings for the same seed."""
        return _Drawn(self.seed, axes)


@dataclass(frozen=True)
class _Listed:
    points: Sequence[Settings]

    def ask(self, trial: int) -> Settings:
        return self.points[trial]

    def tell(self, trial: int, value: float | None) -> None: ...


@dataclass(frozen=True)
class _Drawn:
    seed: int
    axes: Mapping[str, Axis]

    def ask(self, trial: int) -> Settings:
        found = {}
        for key, axis in self.axes.items():
            # addressed by key, so that another axis does not change the existing ones
            share = random.Random(f"{self.seed} {trial} {key}").random()
            found[key] = axis[int(share * len(axis))] if isinstance(axis, tuple) else axis.at(share)
        return found

    def tell(self, trial: int, value: float | None) -> None: ...


SEARCHES: Catalog[type[Search]] = Catalog("search", {"grid": Grid, "random": Random, "optuna": Optuna})


@dataclass(frozen=True)
class Sweep:
    """A sweep.

    ``axes``: values by dotted keys.
    ``search``: the method that proposes trials.
    ``trials``: their number.
    ``metric``: the score to compare; None for the default.
    ``direction``: of improvement.
    """

    axes: Mapping[str, Axis]
    search: Search
    trials: int
    metric: str | None
    direction: Literal["minimize", "maximize"]

    def probes(self) -> list[Settings]:
        """Settings that contain every listed value and both ends of every range, to validate them before training."""
        ends = {key: axis if isinstance(axis, tuple) else (axis.at(0), axis.at(1)) for key, axis in self.axes.items()}
        first = {key: values[0] for key, values in ends.items()}
        return [first, *(first | {key: value} for key, values in ends.items() for value in values[1:])]


@dataclass(frozen=True)
class _Head:
    """The keys of a file other than axes."""

    trials: int | None = None
    metric: str | None = None
    direction: Literal["minimize", "maximize"] = "minimize"


def read(path: Path) -> Sweep:
    """Read a sweep from its file; raises ValueError, in one line, for invalid contents."""
    values = config.read(path)
    choice = values.pop("search", "grid")
    search = choose("search", SEARCHES, {"name": choice} if isinstance(choice, str) else choice)
    head = build(str(path), _Head, {key: values.pop(key) for key in ("trials", "metric", "direction") if key in values})
    axes = {key: _axis(key, value) for key, value in values.items()}
    if not axes:
        raise ValueError(f"{path}: no setting varies; add one, for example 'training.lr: [0.001, 0.002]'")
    trials = head.trials
    if isinstance(search, Grid):
        ranges = [key for key, axis in axes.items() if isinstance(axis, Range)]
        if ranges:
            raise ValueError(f"{path}: a grid takes lists, but {ranges[0]} is a range: use 'search: random'")
        whole = math.prod(len(axis) for axis in axes.values() if isinstance(axis, tuple))
        if whole > MOST_TRIALS:
            raise ValueError(f"{path}: a grid of {whole:,} trials, and at most {MOST_TRIALS:,} are run")
        trials = whole if trials is None else min(trials, whole)
    if trials is None or not 1 <= trials <= MOST_TRIALS:
        raise ValueError(f"{path}: trials must be a number from 1 to {MOST_TRIALS:,}, for example 'trials: 20'")
    return Sweep(axes, search, trials, head.metric, head.direction)


def _axis(key: str, value: object) -> Axis:
    if isinstance(value, list) and value:
        return tuple(map(_number, value))
    if isinstance(value, Mapping) and {"low", "high"} <= set(value):
        return build(f"range of {key}", Range, value)
    raise ValueError(
        f"{key} must be a list of values or a range such as {{low: 0.001, high: 0.1, log: true}}, not {value!r}"
    )


def _number(value: Any) -> Any:
    # YAML 1.1 reads 1e-3 as a string, which is never intended
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


def nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Nest values with dotted keys into sections; raises ValueError if a key is both a value and a section.

    >>> nested({"training.lr": 0.1, "training.batch": 8, "process": "ve"})
    {'training': {'lr': 0.1, 'batch': 8}, 'process': 've'}
    """
    result: dict[str, Any] = {}
    for key, value in settings.items():
        *path, name = key.split(".")
        inner = result
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ValueError(f"{key}: {part} is already a value, not a section")
        inner[name] = value
    return result
