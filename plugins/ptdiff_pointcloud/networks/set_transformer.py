"""A set transformer with inducing points: a denoiser of unordered points, linear in their number.

x: (b, n, 3) points; f: (b, n, d) a feature per point; z: (b, m, d) the m inducers, learned and carried from block to
block; c: (b, d) noise level and class. One block (Lee et al. 2019, "Set Transformer", ISAB; with the inducers carried
along as in Jabri et al. 2022, "RIN", and Huang et al. 2024, "PointInfinity"):

    z <- z + gather(f)        every inducer attends to all points
    z <- z + transformer(z)   inducers attend to each other, then an MLP
    f <- f + spread(z)        every point attends to all inducers
    f <- f + mlp(f)

Norms are modulated and branches gated by c, with gates that start at zero (adaLN-zero, Peebles and Xie 2023). Attention
between points and inducers has heads of full width, all projected on the side of the few inducers, so that the many
points take only two matrix products and a softmax. This is the same family of functions as with projected points,
q W_q (f W_k)^T = (q W_q W_k^T) f^T, and gives most of the speed on a CPU. Softmax, norms and the embedding of c are
computed in float32 under autocast too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.modality.data import Condition
from ptdiff_pointcloud.networks.layers import Modulation, fourier, mlp, modulate, norm, zero_linear
from ptdiff_pointcloud.networks.tokens import Flags, joined


class SetTransformer(nn.Module):
    """``forward(x, angle, cond)``: points (b, n, channels) of unit variance to a prediction of that shape.

    Permuting the points permutes the prediction; n may differ from call to call. The inducers read the first ``reads``
    points, as many as in training, and all given ones: the order matters only across that border.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 0,
        *,
        width: int = 96,
        layers: int = 4,
        inducers: int = 16,
        heads: int = 4,
        octaves: int = 6,
        given: Sequence[str] = (),
        reads: int | None = None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is not a multiple of heads {heads}")
        self.octaves, self.reads = octaves, reads
        self.embed = LevelEmbedding(width, classes)
        self.lift = nn.Linear(channels * (1 + 2 * octaves), width)
        self.inducers = nn.Parameter(torch.randn(inducers, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.last = Modulation(width, 2)
        self.head = zero_linear(width, channels)
        self.flags = Flags(given, width)

    def forward(self, x: Tensor, angle: Tensor, cond: Condition) -> Tensor:
        """Map x (b, n, channels), angle (b,) to y of the shape of x."""
        with torch.autocast(x.device.type, enabled=False):
            c = F.silu(self.embed(angle, cond))
            points = joined(x.float(), cond, self.flags.names)
            features = fourier(points.x, self.octaves)
        f = self.flags(self.lift(features), points)
        z = self.inducers.to(f.dtype).expand(x.shape[0], -1, -1)
        some = points.read(self.reads)
        present = points.present if points.present is None or some is None else points.present[:, some]
        for block in self.blocks:
            f, z = block(f, z, c, present, some)
        shift, scale = self.last(c)
        y: Tensor = self.head(modulate(f[:, : x.shape[1]], shift, scale))
        return y.to(x.dtype)


class Block(nn.Module):
    """Gather, transform, spread, and an MLP on every point."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.points, self.latent = Modulation(width, 6), Modulation(width, 6)
        self.query, self.gathered = nn.Linear(width, heads * width), nn.Linear(heads * width, width)
        self.qkv, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.key, self.value = nn.Linear(width, heads * width), nn.Linear(width, heads * width)
        self.latent_mlp, self.point_mlp = mlp(width, 4), mlp(width, 2)

    def forward(
        self, f: Tensor, z: Tensor, c: Tensor, present: Tensor | None = None, some: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map f (b, n, d) and z (b, m, d) to the same shapes.

        some: indices of the points that are read, (k,), None for all. present: which of those are points, bool (b, k).
        """
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.points(c)
        y = modulate(f, shift, scale)
        z = self.transform(z + self.gather(norm(z), y if some is None else y[:, some], present), c)
        f = f + self.spread(y, norm(z), gate)
        return torch.addcmul(f, mlp_gate, self.point_mlp(modulate(f, mlp_shift, mlp_scale))), z

    def gather(self, z: Tensor, y: Tensor, present: Tensor | None) -> Tensor:
        """Return what the inducers z (b, m, d) read from the points y (b, n, d): (b, m, d)."""
        b, m, d = z.shape
        query = self.query(z).view(b, m * self.heads, d) / math.sqrt(d)
        logits = query @ y.mT
        if present is not None:
            logits = logits.masked_fill(~present[:, None], -torch.inf)
        read = softmax(logits) @ y
        out: Tensor = self.gathered(read.view(b, m, self.heads * d))
        return out

    def transform(self, z: Tensor, c: Tensor) -> Tensor:
        """Apply one transformer layer to the inducers z (b, m, d)."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.latent(c)
        qkv = self.qkv(modulate(z, shift, scale))
        q, k, v = qkv.view(*z.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        # written out: a fused kernel is many times slower on sets as small as these
        read = softmax(q @ k.mT / math.sqrt(q.shape[-1])) @ v
        z = torch.addcmul(z, gate, self.mixed(read.transpose(1, 2).reshape(z.shape)))
        return torch.addcmul(z, mlp_gate, self.latent_mlp(modulate(z, mlp_shift, mlp_scale)))

    def spread(self, y: Tensor, z: Tensor, gate: Tensor) -> Tensor:
        """Return what the points y (b, n, d) read from the inducers z (b, m, d), gated: (b, n, d)."""
        (b, n, d), m, heads = y.shape, z.shape[1], self.heads
        key = self.key(z).view(b, m, heads, d).transpose(1, 2).reshape(b, heads * m, d) / math.sqrt(d)
        value = self.value(z).view(b, m, heads, d).transpose(1, 2).reshape(b, heads * m, d) * gate
        weight = softmax((y @ key.mT).view(b, n, heads, m)).view(b, n, heads * m)
        out: Tensor = weight @ value
        return out


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the last axis, in float32: on a CPU also three times faster than in bfloat16."""
    return logits.softmax(-1, dtype=torch.float32).to(logits.dtype)
