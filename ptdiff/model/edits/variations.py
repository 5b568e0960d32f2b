"""Variations of samples: add noise and denoise again."""

from __future__ import annotations

from typing import Unpack

import numpy as np
from torch import Tensor

from ptdiff.modality.data import Condition
from ptdiff.modality.types import Progress
from ptdiff.model.arguments import Label
from ptdiff.model.edits.work import Given, Work, given_to
from ptdiff.model.loaded import Model, Say
from ptdiff.sampling import editing
from ptdiff.sampling.frame import fitting, frame_of
from ptdiff.sampling.options import Options
from ptdiff.sampling.samples import Samples


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
    work = Work(model, model.planned(seed, **options), batch, progress, say)
    before = given_to(model, given)
    frame = frame_of(model.modality, model.data, before)
    x0 = fitting(model.data, before, frame).repeat_interleave(variants, dim=0)
    labels = work.classes(before.stored.names, label)
    if labels is not None:
        labels = labels.repeat_interleave(variants)

    def step(ids: Tensor, cond: Condition) -> Tensor:
        return editing.edit(work.denoiser, work.plan, x0.to(ids.device)[ids], strength, ids, cond)

    made = work.samples(work.make(len(x0), tuple(x0.shape[1:]), labels, step), labels, frame, before)
    if say is not None:
        moved = made.numpy() - before.numpy().repeat(variants, axis=0)
        say(f"moved by {float(np.sqrt(np.square(moved, dtype=np.float64).mean())):.4g} (rms, units of the file)")
    return made
