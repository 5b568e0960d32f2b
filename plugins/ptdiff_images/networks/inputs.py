"""Conditioning of the image networks, and padding of images of any size to a grid.

x (b, colors, h, w); patch: side in pixels of a square that is folded into channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ptdiff.denoiser.embedding import Frequencies, LevelEmbedding
from ptdiff.modality.data import Condition

Shape = tuple[int, int, int]
"""Colors, height, width."""


def patch_of(shape: Shape, finest: int) -> int:
    """Return the smallest patch that leaves at most ``finest`` patches along either side."""
    return -(-max(shape[1:]) // finest)


def padded(x: Tensor, step: int) -> Tensor:
    """Pad x to sides divisible by ``step``, repeating the last row and column: zero is not a neutral color."""
    height, width = x.shape[-2:]
    return functional.pad(x, (0, -width % step, 0, -height % step), mode="replicate")


def with_estimate(x: Tensor, cond: Condition) -> Tensor:
    """Append the estimate of x_0 in ``cond``, or zeros, to x as further channels."""
    estimate = cond.get("estimate")
    return torch.cat([x, torch.zeros_like(x) if estimate is None else estimate.to(x.dtype)], dim=1)


class Told(nn.Module):
    """Noise level, class and augmentation as one vector (b, width), activated.

    augment: number of values of ``cond["augment"]`` per sample; zeros, or no values, mean an unchanged image.
    """

    def __init__(self, width: int, classes: int, augment: int, frequencies: Frequencies = "positional") -> None:
        super().__init__()
        self.level = LevelEmbedding(width, classes, frequencies=frequencies)
        # without a bias: an unchanged image adds nothing (Karras et al. 2022, appendix F.2)
        self.augment = nn.Linear(augment, width, bias=False) if augment else None

    def forward(self, angle: Tensor, cond: Condition) -> Tensor:
        """Map angle (b,) and the condition to (b, width)."""
        c: Tensor = self.level(angle, cond)
        labels = cond.get("augment")
        if self.augment is not None and labels is not None:
            c = c + self.augment(labels.to(c.dtype))
        return functional.silu(c)
