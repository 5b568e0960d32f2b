"""The draws of a step: samples, noise, hidden labels and noise levels, and the pairing of noise with samples.

Every number of step s is addressed by (seed, s, place in the global batch), so that a run stopped after step s resumes
bit for bit, on any number of ranks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ptdiff.denoiser.latent_code import in_training
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.self_conditioning import first_estimate
from ptdiff.density import LEAST, MOST, Density, stratified
from ptdiff.machine.host import double
from ptdiff.modality.conditions import hide
from ptdiff.modality.data import Condition, Data, Split
from ptdiff.modality.ragged import masked
from ptdiff.noise import Stream, mix, normal, uniform
from ptdiff.objective.corruption import Noise
from ptdiff.objective.coupling import Coupling, Independent, WithinSets
from ptdiff.process import Level, Process
from ptdiff.run.config import Config
from ptdiff.training.data_order import sample_ids
from ptdiff.training.loss_history import LossHistory

RARE = 1e-9


@dataclass(frozen=True)
class Randomness:
    """The draws of one step: noise (b, *shape), rows that lose their conditions, and levels, (b,) each.

    ``hidden``: bool (b,), or (b, c) for data that declares c > 1 conditions, a column for each.

    ``recall``: True if a network with self-conditioning receives an estimate.
    ``code``: random numbers for latent codes (b, k), if the network reads them.
    ``way``: uniform numbers (b, 3) for the ways of a flow map (:mod:`ptdiff.objective.flow_map`), if it is one.
    ``place``: quantile in (0, 1) of each level in a density that learns from the losses.
    ``importance``: factor that keeps the mean loss unbiased under that density.
    """

    eps: Tensor
    hidden: Tensor
    alpha: Tensor
    sigma: Tensor
    recall: bool
    code: Tensor | None = None
    way: Tensor | None = None
    place: Tensor | None = None
    importance: Tensor | None = None

    def to(self, where: torch.device) -> Randomness:
        """The draws on a device; ``place`` stays in float64 where it was drawn."""
        importance = None if self.importance is None else self.importance.to(where)
        eps, hidden, alpha, sigma = (each.to(where) for each in (self.eps, self.hidden, self.alpha, self.sigma))
        code, way = (None if each is None else each.to(where) for each in (self.code, self.way))
        return Randomness(eps, hidden, alpha, sigma, self.recall, code, way, self.place, importance)

    def part(self, rows: slice) -> Randomness:
        """The draws of some rows."""
        some = {key: value[rows].contiguous() for key, value in vars(self).items() if isinstance(value, Tensor)}
        return Randomness(**(vars(self) | some))

    def masked(self, mask: Tensor | None) -> Randomness:
        """The draws with noise only for the elements of ``mask`` (b, n)."""
        return self if mask is None else replace(self, eps=masked(self.eps, mask))

    @property
    def level(self) -> Level:
        """The levels, float32."""
        return Level(self.alpha, self.sigma)

    def condition(self, denoiser: NetworkDenoiser, x0: Tensor, cond: Condition) -> tuple[Condition, Tensor | float]:
        """``cond`` with the other inputs of the network in training, and what they add to the losses.

        These are its code of ``x0`` and, in a recall step, its own estimate from the noisy x.
        """
        cond, penalty = in_training(denoiser, x0, cond, self.code)
        if self.way is not None:
            cond = {**cond, "way": self.way}
        if not (self.recall and denoiser.self_conditioning):
            return cond, penalty
        wide = self.level.like(x0)
        x = wide.alpha * x0 + wide.sigma * self.eps
        return {**cond, "estimate": first_estimate(denoiser, x, self.level, cond)}, penalty


@dataclass(frozen=True)
class Draws:
    """The samples and random numbers of the steps of a run."""

    config: Config
    data: Data
    samples: Split
    process: Process
    density: Density
    noise: Noise
    history: LossHistory | None
    coupling: Coupling
    code: int = 0
    ways: bool = False

    def __post_init__(self) -> None:
        if self.data.sizes and not isinstance(self.coupling, Independent):
            raise ValueError("sets of different sizes need the coupling independent: their noise has different sizes")
        if isinstance(self.coupling, WithinSets) and not self.data.unordered:
            raise ValueError(
                "the coupling within-sets needs unordered point sets, but the elements of this data are ordered"
            )

    def randomness(self, steps: range, rows: Tensor) -> Iterator[Randomness]:
        """Yield the draws of each step at places ``rows`` of the global batch.

        Small ones are drawn for several steps at once.
        """
        seed, plan, shape = self.config.seed, self.config.training, self.data.shape
        together = max(1, 2**21 // (len(rows) * math.prod(shape)))
        for first in range(steps.start, steps.stop, together):
            block = torch.arange(first, min(first + together, steps.stop), device=rows.device)
            ids, at = rows.repeat(len(block)), block.repeat_interleave(len(rows))
            eps = self.noise.draw(seed, ids, at, shape).reshape(len(block), len(rows), *shape)
            hidden = self._hidden(seed, ids, at).reshape(len(block), len(rows), *self._each)
            offset = uniform(seed, Stream.TRAIN_LEVEL, torch.zeros_like(block), block)
            u = stratified(offset[:, None], plan.batch)[:, rows]
            recall = [mix(seed, int(Stream.ESTIMATE), step) % 2 == 1 for step in range(first, first + len(block))]
            code: Iterable[Tensor | None] = [None] * len(block)
            if self.code:
                code = normal(seed, Stream.CODE, ids, at, (self.code,)).reshape(len(block), len(rows), self.code)
            way: Iterable[Tensor | None] = [None] * len(block)
            if self.ways:
                way = uniform(seed, Stream.WAY, ids, at, (3,)).float().reshape(len(block), len(rows), 3)
            if self.history is None:
                level = self.density.levels(u, self.process)
                yield from map(Randomness, eps, hidden, level.alpha.float(), level.sigma.float(), recall, code, way)
            else:
                for each in zip(eps, hidden, u, recall, code, way, strict=True):
                    # one at a time, because the levels of a step depend on the losses of the steps before it
                    yield self._by_loss(self.history, *each)

    @property
    def _each(self) -> tuple[int, ...]:
        # one column for each condition, if there are several
        count = len(self.data.declared)
        return (count,) if count > 1 else ()

    def _hidden(self, seed: int, ids: Tensor, at: Tensor) -> Tensor:
        """Conditions to hide, bool (b,), or (b, c) for data that declares c > 1 conditions.

        With the probability ``condition_dropout`` all of them together; else each on its own with that probability, so
        that the network learns every combination.
        """
        rate = self.config.training.condition_dropout
        if not self._each:
            return uniform(seed, Stream.CONDITION_DROPOUT, ids, at) < rate
        drawn = uniform(seed, Stream.CONDITION_DROPOUT, ids, at, (1 + self._each[0],)) < rate
        return drawn[:, :1] | drawn[:, 1:]

    def _by_loss(
        self,
        history: LossHistory,
        eps: Tensor,
        hidden: Tensor,
        u: Tensor,
        recall: bool,
        code: Tensor | None,
        way: Tensor | None,
    ) -> Randomness:
        place, importance = history.aim(u)
        level = self.density.levels(place, self.process)
        return Randomness(
            eps, hidden, level.alpha.float(), level.sigma.float(), recall, code, way, place, importance.float()
        )

    def extremes(self) -> Level:
        """The lowest and highest noise level that may be drawn, (2,), float32."""
        ends = torch.tensor([LEAST, MOST], dtype=torch.float64)
        level = self.density.levels(ends, self.process)
        return Level(level.alpha.float(), level.sigma.float())

    @cached_property
    def _common(self) -> tuple[float, float]:
        # clamp lambda to the quantiles RARE and 1 - RARE
        ends = torch.tensor([RARE, 1 - RARE], dtype=torch.float64)
        level = self.density.levels(ends, self.process)
        most, least = (torch.log(level.alpha) - torch.log(level.sigma)).tolist()
        return least, most

    def log_density(self, level: Level) -> Tensor:
        """log p(lambda) of the drawn levels, in the shape of ``level``, on a device with float64.

        Beyond the quantiles 1e-9 and 1 - 1e-9 it is that of the nearer quantile, because rounding moves levels onto or
        past the edge of the support.
        """
        half_log_snr = torch.log(double(level.alpha)) - torch.log(double(level.sigma))
        return self.density.log_density(half_log_snr.clamp(*self._common), self.process)

    def batch(self, step: int, hidden: Tensor, rows: Tensor) -> tuple[Tensor, Condition]:
        """The samples of a step at places ``rows``, in model units on the device of ``hidden``, and their conditions.

        The conditions of ``hidden`` rows are removed.
        """
        seed, plan, device = self.config.seed, self.config.training, hidden.device
        ids = sample_ids(seed, step, plan.batch, len(self.samples), plan.order)[rows]
        x, cond = self.samples.batch(ids, mix(seed, int(Stream.DATA), step))
        x = self.data.normalize(x.to(device, non_blocking=True))
        if (mask := cond.get("mask")) is not None:
            if not self.data.sizes:
                raise ValueError("the sizes of the sets are not known: use Data(...).measured()")
            x = masked(x, mask.to(device))
        return x, {key: self._hide(key, value.to(device, non_blocking=True), hidden) for key, value in cond.items()}

    def _hide(self, name: str, value: Tensor, rows: Tensor) -> Tensor:
        if name == "mask":
            return value
        names = list(self.data.declared)
        if rows.ndim > 1:
            rows = rows[:, names.index(name)] if name in names else rows.all(dim=1)
        # other continuous conditions carry their own masks
        return value if value.is_floating_point() and name not in names else hide(value, rows)

    def pair(self, step: int, x: Tensor, cond: Condition, random: Randomness, rows: Tensor) -> Randomness:
        """The draws of a step with the noise of this rank's rows rearranged among the samples ``x`` by the coupling.

        Samples with a hidden label form a class of their own, because their noise must also be normal as a whole.
        """
        if isinstance(self.coupling, Independent):
            return random
        u = uniform(self.config.seed, Stream.COUPLING, rows, step)
        return replace(random, eps=self.coupling.pair(x, random.eps, cond, u))
