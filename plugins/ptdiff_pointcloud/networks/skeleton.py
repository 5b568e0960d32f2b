"""Common parts of the denoisers of points: all but the middle.

    c <- noise level and class,   f <- features of every point,   f <- body(f),   y <- head(f)

x: (b, n, k) points; f: (b, n, d) a feature per point; c: (b, e) noise level and class, already activated. The head
starts at zero. If clouds are given (module ``tokens``), n includes their points, until the head. A self-conditioned
network gets its previous estimate beside x, point by point.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.modality.data import Condition
from ptdiff_pointcloud.networks.layers import Modulation, fourier, modulate, zero_linear
from ptdiff_pointcloud.networks.tokens import Flags, Points, joined


class Skeleton(nn.Module, ABC):
    """``forward(x, angle, cond)``: points (b, n, channels) of unit variance to a prediction of that shape.

    Permuting the points permutes the prediction; n may differ from call to call.
    width: of the features. embedding: width of c, by default that of the features. given: names of clouds that may be
    given.
    self_conditioning: read ``cond["estimate"]`` (b, n, channels).
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
        self_conditioning: bool = False,
    ) -> None:
        super().__init__()
        self.octaves, self.self_conditioning = octaves, self_conditioning
        self.embed = LevelEmbedding(embedding or width, classes)
        features = channels * (1 + 2 * octaves)
        self.lift = nn.Linear(features, width)
        self.recall = nn.Linear(features, width, bias=False) if self_conditioning else None
        self.last = Modulation(embedding or width, 2, width)
        self.head = zero_linear(width, channels)
        self.flags = Flags(given, width)

    def context(self, c: Tensor, cond: Condition) -> Tensor:
        """Return what the body sees of the whole sample: c, and whatever a network adds."""
        return c

    @abstractmethod
    def body(self, f: Tensor, c: Tensor, points: Points) -> Tensor:
        """Map features f (b, n, d) of ``points`` to those that the head reads."""

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, n, channels), angle (b,) to y of the shape of x."""
        with torch.autocast(x.device.type, enabled=False):
            c = F.silu(self.embed(angle, cond))
            points = joined(x.float(), cond, self.flags.names)
            features = fourier(points.x, self.octaves)
        f = self.lift(features)
        if self.recall is not None:
            f = f + self._recalled(self.recall, x, cond, f.shape[1])
        f = self.body(self.flags(f, points), self.context(c, cond), points)
        shift, scale = self.last(c)
        y: Tensor = self.head(modulate(f[:, : x.shape[1]], shift, scale))
        return y.to(x.dtype)

    def _recalled(self, layer: nn.Linear, x: Tensor, cond: Condition, total: int) -> Tensor:
        """Contribution of the estimate to the features of ``total`` points, (b, total, d); zeros if there is none."""
        with torch.autocast(x.device.type, enabled=False):
            estimate = cond.get("estimate", torch.zeros_like(x)).float()
            # minus the features of zeros, which stand for no estimate
            code = fourier(estimate, self.octaves) - fourier(torch.zeros_like(estimate[:1, :1]), self.octaves)
        added: Tensor = layer(F.pad(code, (0, 0, 0, total - x.shape[1])))
        return added
