"""The loss by noise band: sums and counts that remain on the device until a report asks for them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ptdiff.process import Level

BANDS = 4
"""Number of equal bands of the angle, from almost clean to almost pure noise."""


class Bands:
    """Sums of finite losses and their number by band, for this rank."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        # not buffers of the module, because the first rank's buffers overwrite those of the others
        self.sums, self.counts = torch.zeros(BANDS, device=device), torch.zeros(BANDS, device=device)

    def add(self, losses: Tensor, level: Level) -> None:
        """Add losses (b,) at levels (b,)."""
        band = (level.angle * (2 * BANDS / math.pi)).long().clamp(max=BANDS - 1)
        finite = torch.isfinite(losses)
        self.sums.index_add_(0, band, torch.where(finite, losses, 0))
        self.counts.index_add_(0, band, finite.float())

    def take(self) -> Tensor:
        """Return sums and counts, (2, BANDS), and reset them."""
        totals = torch.stack([self.sums, self.counts])
        self.sums.zero_()
        self.counts.zero_()
        return totals
