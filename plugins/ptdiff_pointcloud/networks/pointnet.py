"""A PointNet from torch-geometric's parts: it sees neighborhoods and the whole of an unordered cloud.

x: (b, n, 3) points; f: (b, n, d) a feature per point; c: (b, d) noise level and class. One block, its branches
modulated and gated by c, with gates that start at zero:

    f <- f + near(f, x) over the k nearest points
    f <- f + mlp([f, max over the cloud of f])                            PointNet (Qi et al. 2017a)

    near, pointnet:     max over neighbors j of local([f_j, x_j - x_i])   PointNet++ (Qi et al. 2017b)
    near, transformer:  sum over neighbors j of softmax(attend(q_i - k_j + p_ij)) (v_j + p_ij), p_ij = place(x_i - x_j),
                        a weight for every channel                        Point Transformer (Zhao et al. 2021)

The neighbors are those of the noisy points: at high noise they mean little, which the gates learn from c. The graph is
computed here, because torch-geometric's own needs a compiled extension.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.nn import MLP, PointNetConv, PointTransformerConv

from ptdiff_pointcloud.networks.layers import Modulation, modulate
from ptdiff_pointcloud.networks.pooling import pooled
from ptdiff_pointcloud.networks.skeleton import Skeleton
from ptdiff_pointcloud.networks.tokens import Points
from ptdiff_pointcloud.ops import knn

Near = Callable[[int], nn.Module]
"""From a width to a convolution of torch-geometric, ``(features, places, edges) -> features``, on half the width."""

_OUT_OF_REACH = 1e4  # standard deviations


def pointnet(width: int) -> nn.Module:
    """Return a convolution that takes the maximum over neighbors."""
    # computed for every edge, several per point: half the channels must suffice
    half = max(1, width // 2)
    local = MLP([half + 3, half, half], norm=None, act="relu")
    near: nn.Module = PointNetConv(local_nn=local, global_nn=nn.Linear(half, width), add_self_loops=False)
    return near


def transformer(width: int) -> nn.Module:
    """Return a convolution that attends to neighbors."""
    half = max(1, width // 2)
    place = nn.Sequential(nn.Linear(3, half), nn.ReLU(), nn.Linear(half, half))
    # a bias before a softmax changes nothing
    attend = nn.Sequential(nn.ReLU(), nn.Linear(half, half), nn.ReLU(), nn.Linear(half, half, bias=False))
    attention = PointTransformerConv(half, half, pos_nn=place, attn_nn=attend, add_self_loops=False)
    return Widened(attention, nn.Linear(half, width))


class Widened(nn.Module):
    """A convolution followed by a linear layer."""

    def __init__(self, conv: nn.Module, wide: nn.Linear) -> None:
        super().__init__()
        self.conv, self.wide = conv, wide

    def forward(self, f: Tensor, x: Tensor, edges: Tensor) -> Tensor:
        """Map features f (b n, d / 2) of points x (b n, 3) along edges (2, e) to (b n, d)."""
        out: Tensor = self.wide(self.conv(f, x, edges))
        return out


class PointNet(Skeleton):
    """``layers`` blocks on the ``neighbors`` nearest points, with the maximum over them."""

    near: ClassVar[Near] = staticmethod(pointnet)

    def __init__(
        self,
        channels: int = 3,
        classes: int = 0,
        *,
        width: int = 96,
        layers: int = 4,
        neighbors: int = 8,
        given: Sequence[str] = (),
    ) -> None:
        super().__init__(channels, classes, width, given=given)
        self.neighbors = neighbors
        self.blocks = nn.ModuleList(Block(width, type(self).near) for _ in range(layers))

    def body(self, f: Tensor, c: Tensor, points: Points) -> Tensor:
        """Map features f (b, n, d) through all blocks."""
        places = points.x[..., :3]
        if points.present is not None:
            places = torch.where(points.present[..., None], places, _OUT_OF_REACH)
        edges = nearest(places, self.neighbors, points.present)
        for block in self.blocks:
            f = block(f, c, places.flatten(0, 1), edges, points.present)
        return f


class PointTransformer(PointNet):
    """``layers`` blocks on the ``neighbors`` nearest points, with attention to them."""

    near: ClassVar[Near] = staticmethod(transformer)


class Block(nn.Module):
    """The neighborhood of every point, then the point and the whole cloud."""

    def __init__(self, width: int, near: Near) -> None:
        super().__init__()
        self.modulation = Modulation(width, 6)
        self.narrow = nn.Linear(width, max(1, width // 2))
        self.near = near(width)
        self.whole = MLP([2 * width, 2 * width, width], norm=None, act="gelu")

    def forward(self, f: Tensor, c: Tensor, places: Tensor, edges: Tensor, present: Tensor | None) -> Tensor:
        """Map f (b, n, d) to the same shape; ``places`` (b n, 3) are the points of all clouds in one list."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.modulation(c)
        y = self.narrow(modulate(f, shift, scale)).flatten(0, 1)
        f = torch.addcmul(f, gate, self.near(y, places, edges).view(f.shape))
        y = modulate(f, mlp_shift, mlp_scale)
        highest = pooled(y, present)[1][:, None].expand_as(y)
        whole: Tensor = self.whole(torch.cat([y, highest], dim=-1).flatten(0, 1)).view(f.shape)
        return torch.addcmul(f, mlp_gate, whole)


def nearest(x: Tensor, k: int, present: Tensor | None = None) -> Tensor:
    """Edges (2, b n k) to each point of x (b, n, 3) from its k nearest points, itself included.

    Points are numbered through all clouds. Clouds with fewer than k points have fewer edges; no edge starts at a point
    that is not ``present``.
    """
    b, n, _ = x.shape
    index = knn(x.detach(), x.detach(), min(k, n))[1]
    source = (index + n * torch.arange(b, device=x.device)[:, None, None]).flatten()
    target = torch.arange(b * n, device=x.device).repeat_interleave(min(k, n))
    edges = torch.stack([source, target])
    return edges if present is None else edges[:, present.flatten()[source]]
