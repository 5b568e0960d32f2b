"""Given samples, and what all edits share: batches, messages, results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ptdiff.denoiser.network import Denoiser
from ptdiff.modality.data import Condition
from ptdiff.modality.offsets import without_origin
from ptdiff.modality.ragged import is_ragged
from ptdiff.modality.types import Progress
from ptdiff.model.arguments import Label
from ptdiff.model.loaded import Model, Say
from ptdiff.sampling.batches import batch_size, in_batches
from ptdiff.sampling.files import Stored
from ptdiff.sampling.frame import Frame, returned
from ptdiff.sampling.sampler import Plan, prepared
from ptdiff.sampling.samples import Samples

Given = str | Path | Samples | Tensor | Any
"""Samples in world units: a path, Samples, or a tensor or array (n, *shape)."""


def given_to(model: Model, given: Given) -> Samples:
    """Convert ``given`` to Samples of the model's modality; DataError for a file without valid samples."""
    origin = model.data.origin
    if isinstance(given, (str, Path)):
        given = Samples.read(given, model.modality)
    if isinstance(given, Samples):
        if is_ragged(given.stored.samples):
            raise ValueError("the given sets have different sizes, and an edit takes sets of one size")
        # data without an origin lies near zero: a frame brings a file there that lies far away
        return replace(given, stored=given.stored.moved(origin)) if origin else given
    x = given.detach().cpu().numpy() if isinstance(given, Tensor) else np.asarray(given)
    x = without_origin(x, origin).astype(np.float32, copy=False)
    return Samples(Stored(x, np.full(len(x), -1), model.data.classes, origin=origin), model.modality)


@dataclass(frozen=True)
class Work:
    """One edit: how a model makes samples, in batches, and whom it informs.

    ``plan``: of sampling.  ``batch``: samples at a time, None to choose it from their size.
    ``progress``: called with (done, total).  ``say``: called with a line about the work.
    """

    model: Model
    plan: Plan
    batch: int | None = None
    progress: Progress | None = None
    say: Say | None = None

    @cached_property
    def denoiser(self) -> Denoiser:
        """The denoiser of the model, with guidance and threshold of the plan."""
        return prepared(self.model.denoiser, self.plan, self.model.data)

    def tell(self, line: str) -> None:
        """Call ``say`` with a line, if there is one to call."""
        if self.say is not None:
            self.say(line)

    def classes(self, names: list[str], label: Label | None) -> Tensor | None:
        """The class number of each sample: from ``label`` if given, else by its name; None without classes."""
        if label is not None:
            return self.model.labels(len(names), label)
        if not self.model.data.classes:
            return None
        known = {name: i for i, name in enumerate(self.model.data.classes)}
        return torch.tensor([known.get(name, -1) for name in names])

    def make(
        self, count: int, shape: tuple[int, ...], labels: Tensor | None, step: Callable[[Tensor, Condition], Tensor]
    ) -> Tensor:
        """Concatenate the results of ``step`` for samples 0 … count - 1 of ``shape``, in model units, on the CPU.

        ``step``: called with ids (b,) on the model's device, and the condition that their ``labels`` give.
        """

        def one(ids: Tensor) -> Tensor:
            return step(ids, {} if labels is None else {"label": labels.to(ids.device)[ids]})

        return in_batches(count, batch_size(count, shape, self.batch), self.model.device, one, self.progress)

    def samples(self, x: Tensor, labels: Tensor | None, frame: Frame | None, given: Samples | None) -> Samples:
        """Samples from x (n, *shape) in model units, postprocessed, in the units of the frame, placed as ``given``."""
        model = self.model
        world = model.modality.postprocess(model.data.world(x), model.data)
        stored = model.stored(torch.from_numpy(returned(world.numpy().astype(np.float32), frame)), labels)
        placed = stored if given is None else replace(stored, origin=given.stored.origin)
        return Samples(placed, model.modality, self.plan)
