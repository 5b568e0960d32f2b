"""The gradient-noise scale: the batch size up to which larger batches pay off (McCandlish et al. 2018, appendix A.1).

    E |g_b|^2 = |G|^2 + S / b        for the mean gradient g_b of b samples

G: true gradient.   S: trace of the covariance of one sample's gradient.   B_simple = S / |G|^2.

The parts of a batch, on threads (ptdiff.training.shards) or ranks (ptdiff.training.ranks), and their mean have two
values of b, which gives unbiased estimates of S and |G|^2.  Both are noisy and averaged over the steps before they are
divided.  Noise levels are spread evenly over a batch and over each of its parts, and S is the remaining variance.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ptdiff.machine.host import double

EVERY = 8
"""Number of steps between two measurements."""


def squared_norm(gradients: Sequence[Tensor]) -> Tensor:
    """|g|^2 of one gradient in several tensors, float64."""
    norms: tuple[Tensor, ...] = torch._foreach_norm(list(gradients))
    return double(torch.stack(norms)).square().sum()


class NoiseScale:
    """Running means of S and |G|^2, with exponential ``decay``."""

    def __init__(self, decay: float = 0.99) -> None:
        self.decay = decay
        # sums of S and |G|^2, and their weight
        self.sums = torch.zeros(3, dtype=torch.float64)

    def see(self, parts: Sequence[Tensor], sizes: Sequence[int], whole: Tensor) -> None:
        """Record |g|^2 of the mean gradients of parts of these sizes, and of the batch that they make up."""
        small, least = torch.stack(list(parts)).mean(), sum(1 / size for size in sizes) / len(sizes)
        noise = (small - whole) / (least - 1 / sum(sizes))
        found = torch.stack([noise, whole - noise / sum(sizes), torch.ones_like(noise)])
        # moved to the device of the gradients at the first measurement
        self.sums = self.sums.to(found.device)
        # ignore non-finite gradients
        kept = torch.isfinite(found).all()
        self.sums = torch.where(
            kept, self.decay * self.sums + (1 - self.decay) * torch.where(kept, found, 0), self.sums
        )

    @property
    def value(self) -> float | None:
        """B_simple in samples; None before the first measurement, and if noise hides the gradient."""
        noise, signal, weight = self.sums.tolist()
        return noise / signal if weight > 0 and signal > 0 else None
