"""A density without its noisiest levels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ptdiff.density.form import Density, inverse
from ptdiff.process import Level, Process


@dataclass(frozen=True)
class Truncated:
    """The base density, conditioned on an angle of at most ``most``, which has the probability ``share``, in (0, 1]."""

    base: Density
    most: float
    share: float

    @staticmethod
    def of(base: Density, process: Process, most: float) -> Truncated:
        """Truncate ``base`` at an angle; ValueError if it has almost no probability below."""
        angle = torch.tensor([most], dtype=torch.float64)
        share = float(inverse(lambda u: base.levels(u, process).angle, angle))
        if share < 1e-6:
            raise ValueError(f"this density has no levels with sigma / alpha below {math.tan(most):.4g}")
        return Truncated(base, most, share)

    def levels(self, u: Tensor, process: Process) -> Level:
        """Levels of the base at quantiles u share."""
        return self.base.levels(u * self.share, process)

    def log_density(self, half_log_snr: Tensor, process: Process) -> Tensor:
        """Log density of the base minus log share; minus infinity above the limit."""
        inside = self.base.log_density(half_log_snr, process) - math.log(self.share)
        return torch.where(torch.atan(torch.exp(-half_log_snr.double())) <= self.most, inside, -torch.inf)
