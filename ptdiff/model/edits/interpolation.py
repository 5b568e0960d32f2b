"""Interpolation between two samples through their noise."""

from __future__ import annotations

from typing import Unpack

import numpy as np
import torch
from torch import Tensor

from ptdiff.denoiser.latent_code import drawn, read
from ptdiff.modality.data import Condition
from ptdiff.modality.types import Progress
from ptdiff.model.arguments import Label
from ptdiff.model.edits.work import Given, Work, given_to
from ptdiff.model.loaded import Model, Say
from ptdiff.sampling import editing
from ptdiff.sampling.frame import Frame, fitting, frame_of
from ptdiff.sampling.options import Options
from ptdiff.sampling.sampler import Plan, start
from ptdiff.sampling.samples import Samples
from ptdiff.solvers import Adaptive


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
    work = Work(model, model.planned(seed, **options), batch, progress, say)
    check_way_back(work.plan)
    if isinstance(first, int) and isinstance(second, int):
        given: list[Tensor] = []
        frame, place = None, None
        ends, labels, codes = _numbered(work, (first, second), label, points)
    else:
        given, names, frame, place = _two(work, first, second, frames)
        labels = work.classes(names, label)
        ends, codes = _encoded(work, torch.cat(given), labels)
    start_, end = ends
    if model.data.unordered:
        end = editing.matched(start_, end)
    path = editing.between(start_, end, frames)
    # the class of the nearer end, so it changes in the middle
    known = None if labels is None else labels[(torch.arange(frames) >= (frames + 1) // 2).long()]

    def step(ids: Tensor, cond: Condition) -> Tensor:
        if codes is not None:
            share = (ids / (frames - 1))[:, None].to(codes)
            cond = {**cond, "code": codes[0] * (1 - share) + codes[1] * share}
        return editing.denoised(work.denoiser, work.plan, path.to(ids.device)[ids], work.plan.levels(), ids, cond)

    after = work.make(frames, tuple(path.shape[1:]), known, step)
    if say is not None and given:
        gaps = [_gap(model, x[0], end) for x, end in zip(given, (after[0], after[-1]), strict=True)]
        say(
            f"the ends differ from the files by {gaps[0]:.2g} and {gaps[1]:.2g} (rms, in data standard deviations); "
            "more steps reduce this"
        )
    return work.samples(after, known, frame, place)


def _numbered(
    work: Work, numbers: tuple[int, int], label: Label | None, points: int | None
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The noises of two samples by number, their classes, and their codes if the network takes codes."""
    model = work.model
    ids = torch.tensor(numbers)
    if label is None:
        every = model.labels(max(numbers) + 1)
        labels = None if every is None else every[ids]
    else:
        labels = model.labels(2, label)
    where = ids.to(model.device)
    codes = drawn(work.denoiser, {} if labels is None else {"label": labels.to(model.device)}, work.plan.seed, where)
    return start(work.plan, ids, model.shape(points)), labels, codes.get("code")


def _two(work: Work, first: Given, second: Given, frames: int) -> tuple[list[Tensor], list[str], Frame | None, Samples]:
    """The first samples of two files, (1, *shape) each in model units, and the names of their classes.

    With them the frames of ``frames`` samples from one to the other, around the origin of the first, which follows.
    """
    model = work.model
    both = [given_to(model, one).first(1) for one in (first, second)]
    around = [frame_of(model.modality, model.data, one) for one in both]
    x0 = [fitting(model.data, one, frame) for one, frame in zip(both, around, strict=True)]
    if x0[0].shape != x0[1].shape:
        sizes = [len(x[0]) for x in x0]
        work.tell(f"the clouds have {sizes[0]} and {sizes[1]} points: using the first {min(sizes)} of each")
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


def _encoded(work: Work, x0: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """The noises of x0 (2, *shape), and their codes if the model has them."""
    clean = x0.to(work.model.device)
    cond = read(work.denoiser, clean, {} if labels is None else {"label": labels.to(clean.device)})
    return editing.encode(work.denoiser, work.plan, clean, cond), cond.get("code")


def _gap(model: Model, given: Tensor, end: Tensor) -> float:
    """Root mean square difference of an end from the given sample, in any order of points for sets."""
    gap = end - (editing.matched(end, given) if model.data.unordered else given)
    return float(gap.square().mean().sqrt())


def check_way_back(plan: Plan) -> None:
    """Raise ValueError for a solver that adds noise, because it cannot be inverted."""
    if not isinstance(plan.solver, Adaptive) and plan.table().stochastic:
        raise ValueError("a solver that adds noise cannot be inverted: choose heun, ddim, dpm++2m …")
