"""Every point on its own, given one vector that says which shape it is (after Luo and Hu 2021).

    layer    f <- (W f) sigmoid(G c) + B c      "concatsquash", width d, 2 d, 4 d, 2 d, d; f normed and activated
    code     z = [mean, max] over the cloud of a PointNet, put into c

In the paper z is drawn from a learned prior and stays the same through all noise levels; a denoiser is told x and the
noise level alone, so here z is read from the noisy cloud itself at each of them.  There is no interaction between
points but z, which makes it the cheapest for its width, and the coarsest.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ptdiff_pointcloud.layers import norm
from ptdiff_pointcloud.pooling import pooled
from ptdiff_pointcloud.skeleton import Skeleton
from ptdiff_pointcloud.tokens import Points


class Pointwise(Skeleton):
    """A code of the whole cloud, and four layers on every point under it."""

    def __init__(self, channels: int = 3, classes: int = 0, *, width: int = 64, given: Sequence[str] = ()) -> None:
        super().__init__(channels, classes, width, given=given)
        self.encoder = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, 4 * width))
        self.code = nn.Sequential(nn.SiLU(), nn.Linear(8 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        widths = [width, 2 * width, 4 * width, 2 * width, width]
        self.layers = nn.ModuleList(Squash(a, b, 2 * width) for a, b in pairwise(widths))

    def body(self, f: Tensor, c: Tensor, points: Points) -> Tensor:
        """f (b, n, d), each point under the code of its cloud."""
        code = self.code(torch.cat(pooled(self.encoder(f), points.present), dim=-1))
        c = torch.cat([c.to(code.dtype), code], dim=-1)
        for layer in self.layers:
            f = layer(nn.functional.silu(norm(f)), c)
        return f


class Squash(nn.Module):
    """(W f) sigmoid(G c) + B c."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.gate, self.shift = nn.Linear(condition, outputs), nn.Linear(condition, outputs, bias=False)

    def forward(self, f: Tensor, c: Tensor) -> Tensor:
        """f (b, n, inputs), c (b, condition) to (b, n, outputs)."""
        return torch.addcmul(self.shift(c)[:, None], self.linear(f), self.gate(c).sigmoid()[:, None])
