"""Completions: sets that begin with the given points."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from ptdiff.choices import unknown
from ptdiff.inverse import METHODS
from ptdiff.modality.data import Condition, Data
from ptdiff.modality.types import Progress
from ptdiff.model.arguments import Label
from ptdiff.model.edits.work import Given, Work, given_to
from ptdiff.model.loaded import Model, Say
from ptdiff.noise import Stream, uniform
from ptdiff.sampling import editing
from ptdiff.sampling.frame import Frame, fitting, frame_of
from ptdiff.sampling.options import Options
from ptdiff.sampling.samples import Samples

COMPLETING = ("replacement", "pigdm", "mmps")
"""The methods of :mod:`ptdiff.inverse` that keep a part of a sample fixed."""

FAR = 4.0
"""Larger than any coordinate of a centered and scaled shape: 0.5 for diagonal 1, a few for unit variance."""


def complete(
    model: Model,
    part: Given,
    n: int = 4,
    *,
    points: int | None = None,
    held: int | None = None,
    method: str | None = None,
    frame: Frame | None = None,
    label: Label | None = None,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
    **options: Unpack[Options],
) -> Samples:
    """Complete the first sample of ``part`` to ``n`` whole sets; the given points come first in each.

    ``points``: of each completion, including the given ones.
    ``held``: number of random points of the part to keep fixed; default: all, at most half of ``points``.
    ``method``: one of COMPLETING; default: conditioning, if the model was trained for completion, and replacement.
    ``frame``: center (x, y, z) and size of the whole shape in the units of the part, for runs trained on shapes that
    were each centered and scaled.
    ``label``, ``seed``, ``batch``, ``progress``, ``say``, ``options``: see :func:`edit`.

    Raises ValueError if the data is not a set or needs a ``frame``, DataError for a file without valid samples, and
    UnknownName for an unknown method or option.
    """
    check_sets(model.data, method)
    work = Work(model, model.planned(seed, **options), batch, progress, say)
    before = given_to(model, part).first(1)
    around = _frame(model, before, frame)
    whole = fitting(model.data, before, around)[0]
    shape = model.shape(points)
    kept = _some(whole, min(held or max(1, shape[0] // 2), shape[0], len(whole)), seed)
    labels = work.classes(before.stored.names * n, label)
    work.tell(f"keeping {len(kept)} of {len(whole)} given points fixed among {shape[0]}")
    return work.samples(_filled(work, whole, kept, shape, n, labels, method), labels, around, before)


def upsample(
    model: Model,
    cloud: Given,
    points: int,
    n: int = 1,
    *,
    method: str | None = None,
    label: Label | None = None,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
    **options: Unpack[Options],
) -> Samples:
    """Add points to the first sample of ``cloud``: ``n`` sets of ``points`` points that begin with the given ones.

    Any model works, by keeping the given points fixed; one trained with task=upsample is also conditioned on them.
    ``method`` and the others: see :func:`complete`.  Raises ValueError if the cloud already has ``points`` points.
    """
    check_sets(model.data, method)
    work = Work(model, model.planned(seed, **options), batch, progress, say)
    before = given_to(model, cloud).first(1)
    frame = frame_of(model.modality, model.data, before)
    few = fitting(model.data, before, frame)[0]
    if len(few) >= points:
        raise ValueError(f"points {points}: {before.source or 'the cloud'} already has {len(few)} points")
    labels = work.classes(before.stored.names * n, label)
    return work.samples(_filled(work, few, few, model.shape(points), n, labels, method), labels, frame, before)


def check_sets(data: Data, method: str | None = None) -> None:
    """Raise ValueError if the data is not a set, and UnknownName if ``method`` is not one of COMPLETING."""
    if not data.unordered:
        raise ValueError(f"only sets of points can be completed or upsampled, not samples of shape {data.shape}")
    if method is not None and method not in COMPLETING:
        raise unknown("method", method, COMPLETING)


def _filled(
    work: Work,
    part: Tensor,
    kept: Tensor,
    shape: tuple[int, ...],
    count: int,
    labels: Tensor | None,
    method: str | None,
) -> Tensor:
    """``count`` sets of ``shape`` in model units that begin with ``kept``; a model trained for it sees ``part`` too."""
    model = work.model
    condition = None
    if method is None:
        condition = model.modality.given(model.data, model.data.world(part), count)
    name = method or "replacement"
    work.tell(f"method: {name}" if condition is None else "method: conditioning on the given points")

    def step(ids: Tensor, cond: Condition) -> Tensor:
        seen = {key: value.to(ids.device)[ids] for key, value in (condition or {}).items()} | dict(cond)
        return editing.complete(work.denoiser, work.plan, METHODS[name](), kept.to(ids.device), shape[0], ids, seen)

    return work.make(count, shape, labels, step)


def _frame(model: Model, before: Samples, frame: Frame | None) -> Frame | None:
    """The frame of a whole shape; ValueError if it is needed and not given, as it cannot be found from a part."""
    x = before.numpy()
    if frame is not None:
        center = np.zeros(x.shape[-1])
        center[:3] = frame[0] - np.array(before.stored.origin or np.zeros(3))[:3]
        return center, frame[1]
    reach = float(np.abs(x[..., :3]).max())
    if frame_of(model.modality, model.data, before) is not None and reach > FAR:
        raise ValueError(
            f"{before.source} has coordinates up to {reach:.4g}, but {model.run.path} was trained on centered and "
            f"scaled shapes ({model.data.summary['normalize']}): give the whole shape's --frame x,y,z,size"
        )
    return None


def _some(part: Tensor, count: int, seed: int) -> Tensor:
    """Up to ``count`` random elements of a set (m, …), in their original order."""
    order = uniform(seed, Stream.ORDER, torch.zeros(1, dtype=torch.int64), 0, (len(part),))[0].argsort()
    return part[order[:count].sort().values]
