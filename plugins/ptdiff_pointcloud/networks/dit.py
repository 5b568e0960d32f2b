"""A plain transformer whose tokens are the points: every point attends to every other.

Point-E (Nichol et al. 2022) without its images, with the blocks of Peebles and Xie 2023 (DiT, adaLN-zero). Only the
coordinates encode positions, so that it is a function of a set. Quadratic in the number of points.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from ptdiff_pointcloud.networks.attention import TransformerLayer
from ptdiff_pointcloud.networks.skeleton import Skeleton
from ptdiff_pointcloud.networks.tokens import Points


class DiT(Skeleton):
    """``layers`` transformer layers on the points."""

    def __init__(
        self,
        channels: int = 3,
        classes: int = 0,
        *,
        width: int = 96,
        layers: int = 6,
        heads: int = 4,
        given: Sequence[str] = (),
    ) -> None:
        super().__init__(channels, classes, width, given=given)
        self.blocks = nn.ModuleList(TransformerLayer(width, heads) for _ in range(layers))

    def body(self, f: Tensor, c: Tensor, points: Points) -> Tensor:
        """Map features f (b, n, d) through all layers."""
        for block in self.blocks:
            f = block(f, c, points.present)
        return f
