"""A density that is drawn from by the loss: what it is; training learns where to draw."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ptdiff.density.form import Density
from ptdiff.density.of_time import Uniform
from ptdiff.process import Level, Process


@dataclass(frozen=True)
class LossAware:
    """The base density, drawn more often where the loss is large and weighted back (Nichol and Dhariwal 2021, eq. 18).

    bins: intervals of equal probability under the base, whose losses are told apart.  floor: share of the draws that
    stays spread over all bins.  decay: what a step leaves of the sums of losses before it.
    """

    base: Density = field(default_factory=Uniform)
    bins: int = 32
    floor: float = 0.1
    decay: float = 0.999

    def __post_init__(self) -> None:
        if self.bins < 1:
            raise ValueError(f"bins must be at least 1, not {self.bins}")
        if not 0 < self.floor <= 1:
            raise ValueError(f"floor must lie in (0, 1], not {self.floor}")
        if not 0 < self.decay <= 1:
            raise ValueError(f"decay must lie in (0, 1], not {self.decay}")

    def levels(self, u: Tensor, process: Process) -> Level:
        return self.base.levels(u, process)

    def log_density(self, half_log_snr: Tensor, process: Process) -> Tensor:
        """The base's: importances bring the mean loss back to it."""
        return self.base.log_density(half_log_snr, process)
