"""The smallest denoising U-Net: without level and class conditioning, and only its convolutions learn.

Three 5 x 5 convolutions on the way down and three on the way up, with 2 x 2 max pooling and nearest-neighbor upsampling
between them; skip connections are added. A first network to look at, with prediction x0: it must see the noise level in
the image itself.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from ptdiff.modality.data import Condition
from ptdiff_images.networks.inputs import Shape, padded


class Basic(nn.Module):
    """``forward(x, angle, cond) -> y`` for images x (b, *shape); angle and cond are ignored."""

    def __init__(self, shape: Shape, *, width: int = 32) -> None:
        super().__init__()
        down, up = (shape[0], width, 2 * width, 2 * width), (2 * width, 2 * width, width, shape[0])
        self.down, self.up = (
            nn.ModuleList(nn.Conv2d(a, b, 5, padding=2) for a, b in pairwise(sizes)) for sizes in (down, up)
        )

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, colors, height, width) to y of the same shape."""
        height, width = x.shape[-2:]
        first, second, third = self.down
        fine = functional.silu(first(padded(x, 4)))
        middle = functional.silu(second(functional.max_pool2d(fine, 2)))
        coarse = functional.silu(third(functional.max_pool2d(middle, 2)))
        first, second, third = self.up
        middle = middle + functional.interpolate(functional.silu(first(coarse)), scale_factor=2.0)
        fine = fine + functional.interpolate(functional.silu(second(middle)), scale_factor=2.0)
        y: Tensor = third(fine)
        return y[..., :height, :width]
