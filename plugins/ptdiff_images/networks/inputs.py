"""What the networks of images are told, and how images of any size become a grid.

x (b, colors, h, w); patch: the side in pixels of a square that is folded into channels.
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
    """The smallest patch that leaves at most ``finest`` of them along either side."""
    return -(-max(shape[1:]) // finest)


def padded(x: Tensor, step: int) -> Tensor:
    """x with sides that ``step`` divides, its last row and column repeated: zero is no color in particular."""
    height, width = x.shape[-2:]
    return functional.pad(x, (0, -width % step, 0, -height % step), mode="replicate")


def with_estimate(x: Tensor, cond: Condition) -> Tensor:
    """x and beside it, as further channels, the estimate of x_0 that ``cond`` holds, or zeros."""
    estimate = cond.get("estimate")
    return torch.cat([x, torch.zeros_like(x) if estimate is None else estimate.to(x.dtype)], dim=1)


class Told(nn.Module):
    """Noise level, class and augmentation as one vector (b, width), activated.

    augment: how many numbers ``cond["augment"]`` has for each sample; zeros, like none, mean an image as it is.
    """

    def __init__(self, width: int, classes: int, augment: int, frequencies: Frequencies = "positional") -> None:
        super().__init__()
        self.level = LevelEmbedding(width, classes, frequencies=frequencies)
        # without a bias: an image as it is adds nothing (Karras et al. 2022, appendix F.2)
        self.augment = nn.Linear(augment, width, bias=False) if augment else None

    def forward(self, angle: Tensor, cond: Condition) -> Tensor:
        """angle (b,) to (b, width)."""
        c: Tensor = self.level(angle, cond)
        labels = cond.get("augment")
        if self.augment is not None and labels is not None:
            c = c + self.augment(labels.to(c.dtype))
        return functional.silu(c)
