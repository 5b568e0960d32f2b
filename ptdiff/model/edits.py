"""Edit samples: make variations, interpolate, complete and upsample.

Each function takes a :class:`ptdiff.model.Model` and samples in world units, and returns :class:`Samples`.  Samples are
given as a path, Samples, or a tensor or array (n, *shape); a user's file of one sample keeps its own units.  The
functions of :mod:`ptdiff.sampling.editing` do the same for tensors in model units, with any denoiser.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from torch import Tensor

from ptdiff.choices import unknown
from ptdiff.denoiser.latent_code import drawn, read
from ptdiff.denoiser.network import Denoiser
from ptdiff.inverse import METHODS
from ptdiff.modality.data import Condition, Data
from ptdiff.modality.offsets import without_origin
from ptdiff.modality.types import Progress
from ptdiff.model.arguments import Label
from ptdiff.model.loaded import Model, Say
from ptdiff.noise import Stream, uniform
from ptdiff.sampling import editing
from ptdiff.sampling.batches import batch_size, in_batches
from ptdiff.sampling.files import Stored
from ptdiff.sampling.frame import Frame, fitting, frame_of, returned
from ptdiff.sampling.options import Options
from ptdiff.sampling.sampler import Plan, prepared, start
from ptdiff.sampling.samples import Samples
from ptdiff.solvers import Adaptive

Given = str | Path | Samples | Tensor | Any
"""Samples in world units: a path, Samples, or a tensor or array (n, *shape)."""

COMPLETING = ("replacement", "pigdm", "mmps")
"""The methods of :mod:`ptdiff.inverse` that keep a part of a sample fixed."""

FAR = 4.0
"""Larger than any coordinate of a centered and scaled shape: 0.5 for diagonal 1, a few for unit variance."""


def given_to(model: Model, given: Given) -> Samples:
    """Convert ``given`` to Samples of the model's modality; DataError for a file without valid samples."""
    origin = model.data.origin
    if isinstance(given, (str, Path)):
        given = Samples.read(given, model.modality)
    if isinstance(given, Samples):
        # data without an origin lies near zero: a frame brings a file there that lies far away
        return replace(given, stored=given.stored.moved(origin)) if origin else given
    x = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    x = without_origin(x, origin).astype(np.float32, copy=False)
    return Samples(Stored(x, np.full(len(x), -1), model.data.classes, origin=origin), model.modality)


def edit(
    model: Model,
    given: Given,
    strength: float = 0.5,
    *,
    variants: int = 1,
    label: Label | None = None,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
    **options: Unpack[Options],
) -> Samples:
    """Make variations of samples: add noise and denoise again (SDEdit; Meng et al. 2022).

    ``strength``: in [0, 1]; 0 changes nothing, 1 makes new samples.  The noise angle, as a share of the largest.
    ``variants``: number of variations of each sample, adjacent in the result.
    ``label``: see :data:`ptdiff.model.arguments.Label`; default: the class of each sample.
    ``seed``: of the noise.  ``batch``: samples at a time.
    ``progress``: called with (done, total).  ``say``: called with a line about the work.
    ``options``: see :class:`ptdiff.sampling.options.Options`; of ``steps``, only those below the noise level are used.

    Raises DataError for a file without valid samples, and UnknownName and ValueError for wrong options.
    """
    plan, before = model.planned(seed, **options), given_to(model, given)
    frame = frame_of(model.modality, model.data, before)
    x0 = fitting(model.data, before, frame).repeat_interleave(variants, dim=0)
    labels = _classes(model, before.stored.names, label)
    if labels is not None:
        labels = labels.repeat_interleave(variants)
    denoiser = prepared(model.denoiser, plan, model.data)

    def make(ids: Tensor) -> Tensor:
        return editing.edit(denoiser, plan, x0.to(ids.device)[ids], strength, ids, _told(labels, ids))

    after = _made(model, len(x0), tuple(x0.shape[1:]), batch, make, progress)
    made = _samples(model, plan, after, labels, frame, before)
    if say is not None:
        moved = made.numpy() - before.numpy().repeat(variants, axis=0)
        say(f"moved by {float(np.sqrt(np.square(moved, dtype=np.float64).mean())):.4g} (rms, units of the file)")
    return made


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
    plan, before = model.planned(seed, **options), given_to(model, part).first(1)
    around = _frame(model, before, frame)
    whole = fitting(model.data, before, around)[0]
    shape = model.shape(points)
    kept = _some(whole, min(held or max(1, shape[0] // 2), shape[0], len(whole)), seed)
    labels = _classes(model, before.stored.names * n, label)
    if say is not None:
        say(f"keeping {len(kept)} of {len(whole)} given points fixed among {shape[0]}")
    after = _filled(model, plan, whole, kept, shape, n, labels, method, batch, progress, say)
    return _samples(model, plan, after, labels, around, before)


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
    plan, before = model.planned(seed, **options), given_to(model, cloud).first(1)
    frame = frame_of(model.modality, model.data, before)
    few = fitting(model.data, before, frame)[0]
    if len(few) >= points:
        raise ValueError(f"points {points}: {before.source or 'the cloud'} already has {len(few)} points")
    labels = _classes(model, before.stored.names * n, label)
    after = _filled(model, plan, few, few, model.shape(points), n, labels, method, batch, progress, say)
    return _samples(model, plan, after, labels, frame, before)


def interpolate(
    model: Model,
    first: int | Given,
    second: int | Given,
    frames: int = 8,
    *,
    points: int | None = None,
    label: Label | None = None,
    seed: int = 0,
    batch: int | None = None,
    progress: Progress | None = None,
    say: Say | None = None,
    **options: Unpack[Options],
) -> Samples:
    """Interpolate between two samples through their noise: ``frames`` samples, both ends included.

    ``first``, ``second``: either two numbers of samples of ``model.sample``, or two given samples.  Of given ones the
    first sample is used, and its noise is found by following the probability flow backwards; about 50 steps in spacing
    "log-snr" suit that.  The noise is interpolated along a great circle; points of sets are matched first.
    ``points``: of each sample, only for numbers.  ``label``: default: that of the nearer end.
    ``seed``, ``batch``, ``progress``, ``say``, ``options``: see :func:`edit`.

    Raises ValueError for a solver that adds noise.
    """
    if points is not None and not (isinstance(first, int) and isinstance(second, int)):
        raise ValueError("points is for new samples; leave it out for given ones")
    plan = model.planned(seed, **options)
    check_way_back(plan)
    denoiser = prepared(model.denoiser, plan, model.data)
    if isinstance(first, int) and isinstance(second, int):
        given: list[Tensor] = []
        frame, place = None, None
        ends, labels, codes = _numbered(model, plan, denoiser, (first, second), label, points)
    else:
        given, names, frame, place = _two(model, first, second, frames, say)
        labels = _classes(model, names, label)
        ends, codes = _encoded(model, plan, denoiser, torch.cat(given), labels)
    start_, end = ends
    if model.data.unordered:
        end = editing.matched(start_, end)
    path = editing.between(start_, end, frames)
    # the class of the nearer end, so it changes in the middle
    known = None if labels is None else labels[(torch.arange(frames) >= (frames + 1) // 2).long()]

    def make(ids: Tensor) -> Tensor:
        cond = dict(_told(known, ids))
        if codes is not None:
            share = (ids / (frames - 1))[:, None].to(codes)
            cond["code"] = codes[0] * (1 - share) + codes[1] * share
        return editing.denoised(denoiser, plan, path.to(ids.device)[ids], plan.levels(), ids, cond)

    after = _made(model, frames, tuple(path.shape[1:]), batch, make, progress)
    if say is not None and given:
        gaps = [_gap(model, x[0], end) for x, end in zip(given, (after[0], after[-1]), strict=True)]
        say(
            f"the ends differ from the files by {gaps[0]:.2g} and {gaps[1]:.2g} (rms, in data standard deviations); "
            "more steps reduce this"
        )
    return _samples(model, plan, after, known, frame, place)


def _numbered(
    model: Model, plan: Plan, denoiser: Denoiser, numbers: tuple[int, int], label: Label | None, points: int | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The noises of two samples by number, their classes, and their codes if the network takes codes."""
    ids = torch.tensor(numbers)
    if label is None:
        every = model.labels(max(numbers) + 1)
        labels = None if every is None else every[ids]
    else:
        labels = model.labels(2, label)
    where = ids.to(model.device)
    codes = drawn(denoiser, {} if labels is None else {"label": labels.to(model.device)}, plan.seed, where)
    return start(plan, ids, model.shape(points)), labels, codes.get("code")


def _two(
    model: Model, first: Given, second: Given, frames: int, say: Say | None
) -> tuple[list[Tensor], list[str], Frame | None, Samples]:
    """The first samples of two files, (1, *shape) each in model units, and the names of their classes.

    With them the frames of ``frames`` samples from one to the other, around the origin of the first, which follows.
    """
    both = [given_to(model, one).first(1) for one in (first, second)]
    around = [frame_of(model.modality, model.data, one) for one in both]
    x0 = [fitting(model.data, one, frame) for one, frame in zip(both, around, strict=True)]
    if x0[0].shape != x0[1].shape:
        sizes = [len(x[0]) for x in x0]
        if say is not None:
            say(f"the clouds have {sizes[0]} and {sizes[1]} points: using the first {min(sizes)} of each")
        x0 = [x[:, : min(sizes)] for x in x0]
    return x0, [one.stored.names[0] for one in both], _between(both, around, frames), both[0]


def _between(both: list[Samples], around: list[Frame | None], frames: int) -> Frame | None:
    """The frames (frames, 1, c) and (frames, 1, 1) on the way from one frame to another; None without them."""
    first, last = around
    if first is None or last is None:
        return None
    share = np.linspace(0, 1, frames)[:, None, None]
    apart = np.array(both[1].stored.origin or 0.0) - np.array(both[0].stored.origin or 0.0)
    return (1 - share) * first[0] + share * (last[0] + apart), (1 - share) * first[1] + share * last[1]


def _encoded(
    model: Model, plan: Plan, denoiser: Denoiser, x0: Tensor, labels: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """The noises of x0 (2, *shape), and their codes if the model has them."""
    clean = x0.to(model.device)
    cond = read(denoiser, clean, {} if labels is None else {"label": labels.to(model.device)})
    return editing.encode(denoiser, plan, clean, cond), cond.get("code")


def _gap(model: Model, given: Tensor, end: Tensor) -> float:
    """Root mean square difference of an end from the given sample, in any order of points for sets."""
    gap = end - (editing.matched(end, given) if model.data.unordered else given)
    return float(gap.square().mean().sqrt())


def check_sets(data: Data, method: str | None = None) -> None:
    """Raise ValueError if the data is not a set, and UnknownName if ``method`` is not one of COMPLETING."""
    if not data.unordered:
        raise ValueError(f"only sets of points can be completed or upsampled, not samples of shape {data.shape}")
    if method is not None and method not in COMPLETING:
        raise unknown("method", method, COMPLETING)


def check_way_back(plan: Plan) -> None:
    """Raise ValueError for a solver that adds noise, because it cannot be inverted."""
    if not isinstance(plan.solver, Adaptive) and plan.table().stochastic:
        raise ValueError("a solver that adds noise cannot be inverted: choose heun, ddim, dpm++2m …")


def _filled(
    model: Model,
    plan: Plan,
    part: Tensor,
    kept: Tensor,
    shape: tuple[int, ...],
    count: int,
    labels: Tensor | None,
    method: str | None,
    batch: int | None,
    progress: Progress | None,
    say: Say | None,
) -> Tensor:
    """``count`` sets of ``shape`` in model units that begin with ``kept``; a model trained for it sees ``part`` too."""
    condition = None
    if method is None:
        condition = model.modality.given(model.data, model.data.world(part), count)
    name = method or "replacement"
    if say is not None:
        say(f"method: {name}" if condition is None else "method: conditioning on the given points")
    denoiser = prepared(model.denoiser, plan, model.data)

    def make(ids: Tensor) -> Tensor:
        cond = {key: value.to(ids.device)[ids] for key, value in (condition or {}).items()} | dict(_told(labels, ids))
        return editing.complete(denoiser, plan, METHODS[name](), kept.to(ids.device), shape[0], ids, cond)

    return _made(model, count, shape, batch, make, progress)


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


def _classes(model: Model, names: list[str], label: Label | None) -> Tensor | None:
    """The class number of each sample: from ``label`` if given, else by its name; None without classes."""
    if label is not None:
        return model.labels(len(names), label)
    if not model.data.classes:
        return None
    known = {name: i for i, name in enumerate(model.data.classes)}
    return torch.tensor([known.get(name, -1) for name in names])


def _told(labels: Tensor | None, ids: Tensor) -> Condition:
    return {} if labels is None else {"label": labels.to(ids.device)[ids]}


def _made(
    model: Model, count: int, shape: tuple[int, ...], batch: int | None, make: Any, progress: Progress | None
) -> Tensor:
    return in_batches(count, batch_size(count, shape, batch), model.device, make, progress)


def _samples(
    model: Model, plan: Plan, x: Tensor, labels: Tensor | None, frame: Frame | None, given: Samples | None = None
) -> Samples:
    """Samples from x (n, *shape) in model units, postprocessed, in the units of the frame and at the place of given."""
    world = model.modality.postprocess(model.data.world(x), model.data)
    stored = model.stored(torch.from_numpy(returned(world.numpy().astype(np.float32), frame)), labels)
    return Samples(stored if given is None else replace(stored, origin=given.stored.origin), model.modality, plan)
