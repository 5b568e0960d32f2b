"""Arguments of sampling, checked against a run before its weights are read: plan, shape and labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ptdiff.choices import unknown
from ptdiff.objective.consistency import check_solver
from ptdiff.run.folder import Run
from ptdiff.sampling.options import changed
from ptdiff.sampling.sampler import Plan, spread_labels

Label = str | int | Sequence[str | int] | Tensor
"""A class by name or number, or a sequence with one for each sample; "none" or -1 means no class."""


def planned(run: Run, options: Mapping[str, Any] = {}, seed: int = 0) -> Plan:
    """The plan of a run's configuration, with ``options`` in place of its own.

    ``options``: see :func:`ptdiff.sampling.options.changed`; its errors are raised before the weights are read.
    """
    own = Plan.chosen(run.config.process, run.config.sampling)
    return checked(run, changed(own, options), seed)


def checked(run: Run, plan: Plan, seed: int) -> Plan:
    """The plan with ``seed``; ValueError if it is negative, or the solver needs means and the run has none."""
    if seed < 0:
        raise ValueError(f"seed must be at least 0, not {seed}")
    check_solver(run.config, plan.solver)
    return replace(plan, seed=seed)


def shape_of(run: Run, points: int | None) -> tuple[int, ...]:
    """The shape of one sample of a run, with ``points`` elements for sets; ValueError if the data is not a set."""
    if points is None:
        return run.data.shape
    if not run.data.unordered:
        raise ValueError(f"points is only for sets; samples of {run.config.modality} have the shape {run.data.shape}")
    if not isinstance(points, int) or points < 1:
        raise ValueError(f"points must be a whole number of at least 1, not {points!r}")
    return (points, *run.data.shape[1:])


def label_of(run: Run, label: str | int) -> int:
    """The number of a class, given by name or number; -1 for "none".  Raises UnknownName and ValueError."""
    if label in ("none", -1):
        return -1
    classes = run.data.classes
    if not classes:
        raise ValueError("label: this run was trained without classes")
    if label in classes:
        return classes.index(str(label))
    number = int(label) if isinstance(label, str) and label.isdecimal() else label
    if not isinstance(number, (str, int)) or isinstance(number, bool):
        raise ValueError(f"label must be a class name or number, not {label!r}")
    if isinstance(number, str) or not 0 <= number < len(classes):
        raise unknown("class", str(label), classes)
    return number


def labels_of(run: Run, count: int, label: Label | None) -> Tensor | None:
    """The classes (count,) int64 of ``count`` samples; see :meth:`ptdiff.model.Model.labels`."""
    if count < 1:
        raise ValueError(f"the number of samples must be at least 1, not {count}")
    if label is None:
        return spread_labels(torch.arange(count), len(run.data.classes)).get("label")
    plain = label.tolist() if hasattr(label, "tolist") else label
    if not isinstance(plain, Sequence) or isinstance(plain, str):
        number = label_of(run, plain)
        return None if number < 0 else torch.full((count,), number)
    chosen = [one.item() if hasattr(one, "item") else one for one in plain]
    if len(chosen) != count:
        raise ValueError(f"label: {len(chosen)} classes for {count} samples; give one for all, or one for each sample")
    return torch.tensor([label_of(run, one) for one in chosen])
