"""The scene of the pictures of a run: its model, and the way they are drawn.

x_t = alpha x_0 + sigma eps in model units; pictures show world units, with noisy states scaled to unit variance first
(:func:`ptdiff.sampling.sampler.shown`), so that every process gives the same picture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.errors import Unsupported
from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Condition, Data, Split
from ptdiff.modality.ragged import masked, sets_of
from ptdiff.modality.visualizer import Visualizer
from ptdiff.model import Model
from ptdiff.noise import mix
from ptdiff.run.folder import Run
from ptdiff.sampling.sampler import Plan, usual
from ptdiff.solvers import State

if TYPE_CHECKING:
    from ptdiff.modality.types import Image

AT = (0.0, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Times of a strip: steps 0, 20, 50, 100, 200, 500 and 1000 of a chain of 1000."""

TOGETHER = 64
"""A visualizer that shows more samples than this draws them as points in one picture."""

FEW = 4
"""Samples in a strip, each in its own row."""

SMALL, LARGE = 128, 200
"""Side in pixels of the picture of one sample, and of a picture of many points."""


@dataclass(frozen=True)
class Scene:
    """A model, and the way its pictures are drawn.

    ``count``: number of samples in a picture; None leaves it to the picture.
    ``at``: times of strips in [0, 1], 0 = data.
    """

    model: Model
    count: int | None = None
    at: tuple[float, ...] = AT

    def __post_init__(self) -> None:
        if not self.at or not all(0 <= t <= 1 for t in self.at):
            raise ValueError(f"times of a strip must lie in [0, 1], not {', '.join(map(str, self.at)) or 'none'}")
        if self.count is not None and self.count < 1:
            raise ValueError(f"count must be at least 1, not {self.count}")

    @staticmethod
    def of(
        run: Run,
        plan: Plan,
        *,
        count: int | None = None,
        at: tuple[float, ...] | None = None,
        weights: str | float | None = None,
        device: str = "auto",
        say: Callable[[str], None],
    ) -> Scene:
        """The scene of a run, with its data if it can be read; ``say`` is called with a line if not.

        ``at``: default: AT.  ``weights``, ``device``: see :func:`ptdiff.model.load`.

        Raises ValueError if ``count`` or ``at`` is wrong.
        """
        try:
            data = run.modality().dataset()
        except (OSError, ValueError) as error:
            # most images need no data
            say(f"the data cannot be read, so images that need it are skipped: {error}")
            data = None
        return Scene(
            Model.of(run, plan, data=data, weights=weights, device=device, warn=say), count, AT if at is None else at
        )

    @property
    def modality(self) -> Modality:
        """The modality, with the options of the run."""
        return self.model.modality

    @property
    def data(self) -> Data:
        """The data as the model knows it, with samples if they could be read."""
        return self.model.data

    @property
    def denoiser(self) -> NetworkDenoiser:
        """The trained denoiser, in evaluation mode."""
        return self.model.denoiser

    @property
    def plan(self) -> Plan:
        """The way samples are drawn, unless a picture varies it."""
        return self.model.plan

    @property
    def seed(self) -> int:
        """Seed of samples and noise."""
        return self.plan.seed

    @property
    def device(self) -> torch.device:
        """Device of the denoiser."""
        return self.model.device

    @cached_property
    def visualizer(self) -> Visualizer:
        """The visualizer of the modality."""
        return self.modality.visualizer()

    @property
    def together(self) -> bool:
        """True if all samples make one picture (points in the plane), False if each has its own (images, clouds)."""
        return self.visualizer.many > TOGETHER

    def many(self, most: int = FEW) -> int:
        """Number of samples to show: ``count``, or as many points as fill a picture, or at most ``most`` pictures."""
        return self.count or (self.visualizer.many if self.together else min(most, self.visualizer.many))

    def ids(self, count: int) -> Tensor:
        """Ids of the first ``count`` samples, (count,) int64."""
        return torch.arange(count, device=self.device)

    def labels(self, ids: Tensor) -> Condition:
        """Labels of samples, cycling through the classes, and the sizes of sets if they differ; may be empty."""
        return usual(self.data, ids, self.seed)

    def needs_means(self) -> None:
        """Raise Unsupported if the denoiser's estimates are samples and not means."""
        if not self.model.means:
            raise Unsupported("a network trained for consistency does not estimate E[x0 | x]")

    def training(self, count: int) -> tuple[Tensor, Condition]:
        """Up to ``count`` training samples selected by the seed, in model units (n, *shape), and their conditions.

        Raises Unsupported if the training data is not available.
        """
        return self._drawn(self.data.train, count)

    def held_out(self, count: int) -> tuple[Tensor, Condition]:
        """Up to ``count`` held-out samples in model units, and their conditions; see :meth:`training`."""
        return self._drawn(self.data.val, count)

    def _drawn(self, samples: Split | None, count: int) -> tuple[Tensor, Condition]:
        if samples is None:
            raise Unsupported(f"this plot needs the data of {self.model.run.path}, which could not be read")
        generator = torch.Generator().manual_seed(mix(self.seed, 1))
        chosen = torch.randperm(len(samples), generator=generator)[:count]
        x, cond = samples.batch(chosen, self.seed)
        cond = {key: value.to(self.device) for key, value in cond.items()}
        return masked(self.data.normalize(x.to(self.device)), cond.get("mask")), cond

    def states(
        self, ids: Tensor, cond: Condition, plan: Plan | None = None, shape: tuple[int, ...] | None = None
    ) -> Iterator[State]:
        """States of samples ``ids`` from noise to data, in model units; ``shape`` gives point sets another size."""
        if shape is not None and shape != self.data.shape:
            cond = {name: value for name, value in cond.items() if name != "mask"}
        return self.model.walk(ids, cond, plan, shape)

    def samples(
        self, ids: Tensor, cond: Condition, plan: Plan | None = None, shape: tuple[int, ...] | None = None
    ) -> Tensor:
        """Samples ``ids`` (b, *shape) in world units."""
        *_, last = self.states(ids, cond, plan, shape)
        return self.model.finish(last)

    def titles(self, cond: Condition) -> list[str]:
        """Class of each sample; empty without classes."""
        labels: Sequence[int] = cond["label"].tolist() if "label" in cond and self.data.classes else ()
        return [self.data.classes[i] if i >= 0 else "" for i in labels]

    def tile(self, x: Tensor, cond: Condition, side: int) -> Image:
        """One small picture of samples ``x`` (n, *shape) in world units."""
        return self.visualizer.tile(sets_of(x.float().cpu().numpy()), self.titles(cond), side)

    def cells(self, x: Tensor, cond: Condition) -> list[Image]:
        """Small pictures of samples ``x`` (n, *shape) in world units: one of all points, or one per sample."""
        if self.together:
            return [self.tile(x, cond, LARGE)]
        return [self.tile(one[None], {}, SMALL) for one in x]

    def moment(self, t: float) -> str:
        """Title of a column of a strip: the step of a chain, or the time."""
        steps = self.plan.process.chain_steps
        return f"t = {round(t, 4):.2g}" if steps is None else f"step {round(t * steps)}"
