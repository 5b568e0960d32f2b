"""A PointNet from torch-geometric's parts: it looks at neighborhoods and at the whole of an unordered cloud.

x: (b, n, 3) points; f: (b n, d) a feature per point, all clouds in one long list as torch-geometric has it;
c: (b, d) noise level and class.  One block, its branches modulated and gated by c, gates zero at first:

    f <- f + max over the k nearest points j of local([f_j, x_j - x_i])   PointNet++ (Qi et al. 2017b)
    f <- f + mlp([f, max over the cloud of f])                            PointNet (Qi et al. 2017a)

The neighbors are those of the noisy points: at high noise they mean little, which the gates learn from c.
The graph is computed here, because torch-geometric's own needs a compiled extension.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import MLP, PointNetConv, global_max_pool

from ptdiff.data import Condition
from ptdiff.embedding import LevelEmbedding
from ptdiff_pointcloud.layers import Modulation, fourier, modulate, zero_linear

_DISTANCES = 2**25  # at once, when neighbors are sought


class PointNet(nn.Module):
    """``forward(x, angle, cond)``: points (b, n, channels) of unit variance to a prediction of that shape.

    Permuting the points permutes the prediction; n may differ from call to call.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 0,
        *,
        width: int = 96,
        layers: int = 4,
        neighbors: int = 8,
        octaves: int = 6,
    ) -> None:
        super().__init__()
        self.neighbors, self.octaves = neighbors, octaves
        self.embed = LevelEmbedding(width, classes)
        self.lift = nn.Linear(channels * (1 + 2 * octaves), width)
        self.blocks = nn.ModuleList(Block(channels, width) for _ in range(layers))
        self.last = Modulation(width, 2)
        self.head = zero_linear(width, channels)

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """x (b, n, channels), angle (b,) to y of the shape of x."""
        b, n, channels = x.shape
        with torch.autocast(x.device.type, enabled=False):
            c = F.silu(self.embed(angle, cond))
            edges = nearest(x.float(), self.neighbors)
            features = fourier(x.float(), self.octaves)
        batch = torch.arange(b, device=x.device).repeat_interleave(n)
        f = self.lift(features).view(b * n, -1)
        for block in self.blocks:
            f = block(f, c, x.reshape(b * n, channels), batch, edges)
        shift, scale = self.last(c)
        y: Tensor = self.head(modulate(f.view(b, n, -1), shift, scale))
        return y.to(x.dtype)


class Block(nn.Module):
    """The neighborhood of every point, then the point and the whole cloud."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        # the neighborhood is computed for every edge, several to a point: half the channels must do
        half = max(1, width // 2)
        self.modulation = Modulation(width, 6)
        self.narrow = nn.Linear(width, half)
        self.near = PointNetConv(
            local_nn=MLP([half + channels, half, half], norm=None, act="relu"),
            global_nn=nn.Linear(half, width),
            add_self_loops=False,
        )
        self.whole = MLP([2 * width, 2 * width, width], norm=None, act="gelu")

    def forward(self, f: Tensor, c: Tensor, x: Tensor, batch: Tensor, edges: Tensor) -> Tensor:
        """f (b n, d) one block further; ``batch`` (b n,) says to which cloud each of the points x belongs."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(c)
        clouds = (len(c), -1, f.shape[-1])
        y = modulate(f.view(clouds), shift, scale).view(f.shape)
        f = torch.addcmul(f.view(clouds), gate, self.near(self.narrow(y), x, edges).view(clouds))
        y = modulate(f, mlp_shift, mlp_scale).view(len(batch), -1)
        y = torch.cat([y, global_max_pool(y, batch, size=len(c))[batch]], dim=-1)
        return torch.addcmul(f, mlp_gate, self.whole(y).view(clouds)).view(len(batch), -1)


@torch.no_grad()
def nearest(x: Tensor, k: int) -> Tensor:
    """Edges (2, b n k) to each point of x (b, n, 3) from its k nearest, itself among them.

    Points are numbered through all clouds.  Fewer than k where a cloud has fewer points.
    """
    b, n, _ = x.shape
    k = min(k, n)
    # differences, not matrix products: their rounding does not depend on the place of a point in its cloud
    found = [
        torch.cdist(rows, part, compute_mode="donot_use_mm_for_euclid_dist").topk(k, largest=False).indices
        for part in torch.split(x, max(1, _DISTANCES // n**2))
        for rows in torch.split(part, max(1, _DISTANCES // n), dim=1)
    ]
    source = (
        torch.cat([indices.reshape(-1, k) for indices in found]).view(b, n, k)
        + n * torch.arange(b, device=x.device)[:, None, None]
    )
    target = torch.arange(b * n, device=x.device).repeat_interleave(k)
    return torch.stack([source.flatten(), target])
