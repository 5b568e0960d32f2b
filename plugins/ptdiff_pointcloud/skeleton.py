"""What denoisers of points have in common: all but the middle.

    c <- noise level and class,   f <- features of every point,   f <- body(f),   y <- head(f)

x: (b, n, k) points; f: (b, n, d) a feature per point; c: (b, e) noise level and class, already activated.  The head
begins at zero.  Where clouds are given (ptdiff_pointcloud.tokens) n counts their points too, until the head.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ptdiff.data import Condition
from ptdiff.embedding import LevelEmbedding
from ptdiff_pointcloud.layers import Modulation, fourier, modulate, zero_linear
from ptdiff_pointcloud.tokens import Flags, Points, joined


class Skeleton(nn.Module, ABC):
    """``forward(x, angle, cond)``: points (b, n, channels) of unit variance to a prediction of that shape.

    Permuting the points permutes the prediction; n may differ from call to call.
    width: of the features; embedding: of c, else as the features; given: names of clouds that may be given.
    """

    def __init__(
        self,
        channels: int,
        classes: int,
        width: int,
        *,
        embedding: int | None = None,
        octaves: int = 6,
        given: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.octaves = octaves
        self.embed = LevelEmbedding(embedding or width, classes)
        self.lift = nn.Linear(channels * (1 + 2 * octaves), width)
        self.last = Modulation(embedding or width, 2, width)
        self.head = zero_linear(width, channels)
        self.flags = Flags(given, width)

    @abstractmethod
    def body(self, f: Tensor, c: Tensor, points: Points) -> Tensor:
        """Features f (b, n, d) of ``points`` to those that the head reads."""

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """x (b, n, channels), angle (b,) to y of the shape of x."""
        with torch.autocast(x.device.type, enabled=False):
            c = F.silu(self.embed(angle, cond))
            points = joined(x.float(), cond, self.flags.names)
            features = fourier(points.x, self.octaves)
        f = self.body(self.flags(self.lift(features), points), c, points)
        shift, scale = self.last(c)
        y: Tensor = self.head(modulate(f[:, : x.shape[1]], shift, scale))
        return y.to(x.dtype)
