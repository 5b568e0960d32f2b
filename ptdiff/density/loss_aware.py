"""A density with importance sampling by the loss; training learns the sampling probabilities."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from ptdiff.density.form import Density
from ptdiff.density.of_time import Uniform
from ptdiff.process import Level, Process


@dataclass(frozen=True)
class LossAware:
    """Importance sampling of the base density: more samples where the loss is large (Nichol and Dhariwal 2021).

    The paper's eq. 18.
    ``base``: density of the objective.
    ``bins``: number of intervals, equally probable under the base, with a loss of their own; at least 1.
    ``floor``: fraction of the samples spread uniformly over all bins, in (0, 1].
    ``decay``: factor per step of the running sums of losses, in (0, 1].
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
        """Levels of the base, without importance sampling."""
        return self.base.levels(u, process)

    def log_density(self, half_log_snr: Tensor, process: Process) -> Tensor:
        """Density of the base: importance weights restore its mean loss."""
        return self.base.log_density(half_log_snr, process)
