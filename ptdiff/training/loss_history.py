"""Noise levels drawn by their loss: importance sampling of a density that preserves its objective.

    p_k proportional to sqrt(E[L^2 | bin k])        (Nichol and Dhariwal 2021, eq. 18)

The bins are equally probable under the base density: they are intervals of the angle between its quantiles, and the
inverse distribution function needs only that of the base.  L is the loss of a sample; its second moments are
exponentially decaying sums.  A level in bin k has the weight 1 / (bins p_k), so that the mean loss is that of the base
density.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ptdiff.density import LEAST, MOST, LossAware

PRIOR = 1.0
"""Number of pseudo-samples with the mean over all bins added to each bin: an unseen bin counts like the others."""


class LossHistory:
    """Sums of L^2 and of samples by bin, and the levels to draw from them; the same on all ranks."""

    def __init__(self, density: LossAware) -> None:
        self.density = density
        self.sums = torch.zeros(2, density.bins, dtype=torch.float64)

    def probabilities(self) -> Tensor:
        """p_k, (bins,), which sum to one."""
        bins, floor = self.density.bins, self.density.floor
        squares, counts = self.sums
        total = counts.sum()
        mean = torch.where(total > 0, squares.sum() / torch.where(total > 0, total, 1), 1.0)
        root = torch.sqrt((squares + PRIOR * mean) / (counts + PRIOR))
        whole = root.sum()
        share = torch.where(whole > 0, root / torch.where(whole > 0, whole, 1), 1 / bins)
        return floor / bins + (1 - floor) * share

    def aim(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """Map uniform numbers u in (0, 1), (b,), to quantiles of the base density, increasing in u, and importances."""
        self.sums = self.sums.to(u.device)
        p = self.probabilities()
        ends = p.cumsum(dim=0)
        k = torch.searchsorted(ends, u).clamp(max=len(p) - 1)
        inside = ((u - (ends - p)[k]) / p[k]).clamp(0, 1)
        place = (k + inside) / len(p)
        return place.clamp(LEAST, MOST), 1 / (len(p) * p[k])

    def measured(self, place: Tensor, losses: Tensor) -> Tensor:
        """Contribution of losses (b,) at quantiles ``place`` (b,) to the sums, (2, bins), without non-finite losses."""
        bins = self.density.bins
        k = (place * bins).long().clamp(max=bins - 1)
        losses = losses.to(place.device).double()
        finite = torch.isfinite(losses)
        # one column per bin and a plain sum, because an indexed sum has no fixed order on accelerators
        chosen = (k[:, None] == torch.arange(bins, device=k.device)) & finite[:, None]
        squares = torch.where(finite, losses, 0).square()
        return torch.stack([(chosen * squares[:, None]).sum(dim=0), chosen.double().sum(dim=0)])

    def learn(self, measured: Tensor) -> None:
        """Add the result of :meth:`measured` for a step, summed over the ranks, to the sums."""
        self.sums = self.density.decay * self.sums + measured
