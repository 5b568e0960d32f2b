"""Arguments of sampling, checked against a run before its weights are read: plan, shape, labels and conditions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ptdiff.choices import unknown
from ptdiff.modality.conditions import Kind, Number, absent, is_given
from ptdiff.modality.data import Condition
from ptdiff.modality.ragged import mask_of
from ptdiff.objective.consistency import check_solver
from ptdiff.run.folder import Run
from ptdiff.sampling.options import changed
from ptdiff.sampling.sampler import Plan, drawn_sizes, spread_labels

Conditions = Mapping[str, Any]
"""Values of declared conditions by name: one for all samples, or a sequence or tensor with one for each sample.

"none", and NaN or -1, mean not given; see :mod:`ptdiff.modality.conditions`."""

Points = int | str | tuple[int, int]
"""Number of elements of a set, or the lowest and highest number, as "12..20" or (12, 20)."""

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


def shape_of(run: Run, points: Points | None) -> tuple[int, ...]:
    """The shape of one sample of a run, with ``points`` elements for sets, the largest number of a range.

    Raises ValueError if the data is not a set.
    """
    if points is None:
        return run.data.shape
    if not run.data.unordered:
        raise ValueError(f"points is only for sets; samples of {run.config.modality} have the shape {run.data.shape}")
    return (range_of(points)[1], *run.data.shape[1:])


def range_of(points: Points) -> tuple[int, int]:
    """The lowest and highest number of elements that ``points`` allows; ValueError if it is neither."""
    ends = points.split("..") if isinstance(points, str) else points if isinstance(points, tuple) else [points]
    numbers = [int(n) for n in ends if type(n) is int or (isinstance(n, str) and n.strip().isdecimal())]
    if not 0 < len(numbers) == len(ends) <= 2 or not 1 <= numbers[0] <= numbers[-1]:
        raise ValueError(f"points must be a whole number of at least 1, or a range such as 12..20, not {points!r}")
    return numbers[0], numbers[-1]


def mask_for(run: Run, count: int, points: Points | None, seed: int, given: Condition, first: int = 0) -> Tensor | None:
    """The elements, bool (count, n), of sets ``first`` … first + count - 1; None if all have the same number.

    Sizes are as in the training data, or each number in the range ``points`` is equally likely.  ``given``: the
    conditions of the sets, among them the number of elements if the data declares it and it is given.

    Raises ValueError if the number of elements is given twice.
    """
    asked = given.get(run.data.counted or "") if run.data.sizes else None
    if asked is not None and points is not None:
        raise ValueError(f"points: the number of elements is given twice, as points and as {run.data.counted}")
    low, high = (0, 0) if points is None else range_of(points)
    if low == high and (points is not None or not run.data.sizes):
        return None
    ids = torch.arange(first, first + count)
    sizes = drawn_sizes(run.data, ids, seed, None if points is None else (low, high), given.get("label"))
    if asked is not None:
        asked = asked.cpu()
        sizes = torch.where(is_given(asked), asked.nan_to_num(nan=1.0).long(), sizes)
    return mask_of(sizes, int(sizes.max()))


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


def conditions_of(
    run: Run,
    count: int,
    label: Label | None = None,
    conditions: Conditions | None = None,
    first: int = 0,
    say: Callable[[str], None] | None = None,
) -> dict[str, Tensor]:
    """The condition of samples ``first`` … first + count - 1: a tensor (count, …) for each that is given.

    ``label``: the class, see :func:`labels_of`.  ``conditions``: by name, the class among them as ``label``.
    ``say``: called with a line about a number beyond those of the training data.

    Raises UnknownName for a condition that the run does not declare, and ValueError for a wrong value, for the class
    given twice, and for a condition that is left out although the model was never trained without it.
    """
    values, declared = dict(conditions or {}), run.data.declared
    for name in values:
        if name not in declared:
            if not declared:
                raise ValueError(f"condition {name}: this run was trained without conditions")
            raise unknown("condition", name, declared)
    if "label" in values:
        if label is not None:
            raise ValueError("label: the class is given twice, as label and among the conditions")
        label = values.pop("label")
    # by default in turn from sample 0 on
    labels = labels_of(run, first + count, None) if label is None else labels_of(run, count, label)
    cond = {} if labels is None else {"label": labels[-count:]}
    for name, kind in run.data.conditions.items():
        if name in values:
            cond[name] = _all_of(name, kind, values[name], count)
            if say is not None and isinstance(kind, Number):
                _check_seen(name, kind, cond[name], say)
            if not bool(is_given(cond[name]).any()):
                del cond[name]
        elif run.config.training.condition_dropout == 0:
            raise ValueError(
                f"condition {name} must be given: the model was trained without leaving it out "
                "(training.condition_dropout=0)"
            )
    return cond


def _all_of(name: str, kind: Kind, value: Any, count: int) -> Tensor:
    """One value for all samples, or one for each, (count, *kind.shape)."""
    plain = value.tolist() if hasattr(value, "tolist") else value
    many = isinstance(plain, Sequence) and not isinstance(plain, str)
    if many and kind.shape:
        many = len(plain) > 0 and not isinstance(plain[0], (int, float))
    if many and len(plain) != count:
        raise ValueError(f"{name}: {len(plain)} values for {count} samples; give one for all, or one for each sample")
    each = [kind.parsed(name, one) for one in (plain if many else [plain])]
    return torch.tensor(each, dtype=absent(kind, 1).dtype).expand(count, *kind.shape).contiguous()


def _check_seen(name: str, kind: Number, values: Tensor, say: Callable[[str], None]) -> None:
    known = values[is_given(values)]
    if kind.seen is None or len(known) == 0:
        return
    low, high = kind.seen
    for number in (float(known.min()), float(known.max())):
        if not low <= number <= high:
            say(f"{name} = {number:g} lies outside the training data, {low:g} to {high:g}")
            return
