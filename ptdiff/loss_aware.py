"""A density of noise levels that learns from the losses (ptdiff.training.loss_history keeps them)."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ptdiff.density import Density, LogitNormal
from ptdiff.process import Level, Process


@dataclass(frozen=True)
class LossAware:
    """The base density with more levels where losses are large, each counting less (Nichol and Dhariwal 2021).

    The objective stays that of the base.  ``bins`` parts of equal probability are told apart; losses are forgotten by
    ``decay`` a step; ``floor`` is the share of levels that is drawn from the base whatever the losses are.  Where no
    losses are kept this is its base.
    """

    base: Density = field(default_factory=LogitNormal)
    bins: int = 32
    decay: float = 0.99
    floor: float = 0.05

    def __post_init__(self) -> None:
        if self.bins < 2 or not 0 <= self.decay < 1 or not 0 < self.floor <= 1:
            raise ValueError("bins must be at least 2, decay in [0, 1) and floor in (0, 1]")
        if isinstance(self.base, LossAware):
            raise ValueError("the base of a density that learns must not learn itself")

    def levels(self, u: Tensor, process: Process) -> Level:
        return self.base.levels(u, process)

    def log_density(self, half_log_snr: Tensor, process: Process) -> Tensor:
        return self.base.log_density(half_log_snr, process)
