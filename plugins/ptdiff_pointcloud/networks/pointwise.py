"""Independent points, given a shape code with a learned prior (Luo and Hu 2021).

    layer    f <- (W f) sigmoid(G c) + B c      "concatsquash", width d, 2 d, 4 d, 2 d, d; f normed and activated
    code     z ~ N(mean, variance) of a PointNet on the clean cloud in training, z = flow(u), u ~ N(0, I) in sampling;
             it is a part of c, the same at every noise level

Points interact only through z, which makes it the cheapest for its width, and the coarsest. Given clouds (module
``tokens``) enter as their mean and maximum, another part of c.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ptdiff.modality.data import Condition
from ptdiff_pointcloud.networks.coupling_flow import CouplingFlow
from ptdiff_pointcloud.networks.layers import fourier, norm, zero_linear
from ptdiff_pointcloud.networks.pooling import pooled
from ptdiff_pointcloud.networks.skeleton import Skeleton
from ptdiff_pointcloud.networks.tokens import Points


class Pointwise(Skeleton):
    """Four layers on every point given a code of ``code`` numbers, with its posterior and its prior."""

    def __init__(
        self, channels: int = 3, classes: int = 0, *, width: int = 64, code: int = 64, given: Sequence[str] = ()
    ) -> None:
        super().__init__(channels, classes, width, given=given)
        self.code = code
        features, hidden = channels * (1 + 2 * self.octaves), 4 * width
        self.encoder = nn.Sequential(nn.Linear(features, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.moments = nn.Sequential(nn.Linear(2 * hidden, hidden), nn.SiLU(), zero_linear(hidden, 2 * code))
        self.flow = CouplingFlow(code, classes)
        self.told = nn.Linear(code, width)
        self.read = nn.Sequential(nn.SiLU(), nn.Linear(width, hidden)) if given else None
        widths = [width, 2 * width, 4 * width, 2 * width, width]
        total = 2 * width + (2 * hidden if given else 0)
        self.layers = nn.ModuleList(Squash(a, b, total) for a, b in pairwise(widths))

    def posterior(self, x0: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """Return mean and log variance (b, code) of the code of clean clouds x0 (b, n, channels)."""
        with torch.autocast(x0.device.type, enabled=False):
            f = self.encoder(fourier(x0.float(), self.octaves))
            mean, log_variance = self.moments(torch.cat(pooled(f, None), dim=-1)).chunk(2, dim=-1)
        return mean, log_variance

    def prior(self, u: Tensor, cond: Condition) -> Tensor:
        """Return codes (b, code) from standard normal numbers u (b, code)."""
        code: Tensor = self.flow(u, cond)[0]
        return code

    def log_prior(self, code: Tensor, cond: Condition) -> Tensor:
        """Return the log density (b,) of codes (b, code)."""
        return self.flow.log_density(code, cond)

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, n, channels), angle (b,) and ``cond["code"]`` (b, code) to y of the shape of x."""
        if "code" not in cond:
            cond = {**cond, "code": self.prior(torch.zeros(x.shape[0], self.code, device=x.device), cond)}
        return super().forward(x, angle, cond)

    def context(self, c: Tensor, cond: Condition) -> Tensor:
        """Return noise level, class and code: (b, 2 d)."""
        return torch.cat([c, F.silu(self.told(cond["code"].to(c.dtype)))], dim=-1)

    def body(self, f: Tensor, c: Tensor, points: Points) -> Tensor:
        """Map features f (b, n, d), each point given the code of its cloud."""
        if self.read is not None:
            c = torch.cat([c.to(f.dtype), self._given(self.read, f, points).to(f.dtype)], dim=-1)
        for layer in self.layers:
            f = layer(F.silu(norm(f)), c)
        return f

    def _given(self, read: nn.Module, f: Tensor, points: Points) -> Tensor:
        """Mean and maximum of the given points, (b, 8 d); zeros if there are none."""
        m = len(points.kind)
        if m == 0:
            return f.new_zeros(len(f), 8 * f.shape[-1])
        if points.present is None:
            return torch.cat(pooled(read(f[:, -m:]), None), dim=-1)
        there = points.present[:, -m:]
        some = there.any(dim=1, keepdim=True)
        found = torch.cat(pooled(read(f[:, -m:]), there | ~some), dim=-1)
        return torch.where(some, found, 0)


class Squash(nn.Module):
    """Layer (W f) sigmoid(G c) + B c."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs)
        self.gate, self.shift = nn.Linear(condition, outputs), nn.Linear(condition, outputs, bias=False)

    def forward(self, f: Tensor, c: Tensor) -> Tensor:
        """Map f (b, n, inputs), c (b, condition) to (b, n, outputs)."""
        return torch.addcmul(self.shift(c)[:, None], self.linear(f), self.gate(c).sigmoid()[:, None])
