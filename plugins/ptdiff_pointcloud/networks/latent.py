"""A latent transformer: points are read into a few latents, which do the work, and written back.

f: (b, n, d / 2) points; z: (b, m, d) the latents, learned and carried from block to block. One block (Jabri et al.
2022, "RIN"; Huang et al. 2024, "PointInfinity"; they carry z from one noise level to the next, while this one may be
conditioned on its previous estimate of the points, as is usual for images):

    z <- z + read(f)                   every latent attends to all points, then an MLP
    z <- transformer(z), several times
    f <- f + write(z), f <- f + mlp(f) every point attends to all latents

Linear in the number of points, with most of the operations on latents: the larger the network, the better this pays.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ptdiff_pointcloud.networks.attention import Attention, TransformerLayer
from ptdiff_pointcloud.networks.layers import Modulation, mlp, modulate, norm
from ptdiff_pointcloud.networks.skeleton import Skeleton
from ptdiff_pointcloud.networks.tokens import Points


class Latent(Skeleton):
    """Blocks of read, compute and write; ``width`` is that of the latents, points have half of it.

    The latents read the first ``reads`` points, as many as in training, and all given ones.
    """

    def __init__(
        self,
        channels: int = 3,
        classes: int = 0,
        *,
        width: int = 128,
        layers: int = 3,
        latents: int = 32,
        heads: int = 4,
        compute: int = 2,
        given: Sequence[str] = (),
        reads: int | None = None,
        self_conditioning: bool = False,
    ) -> None:
        super().__init__(
            channels, classes, width // 2, embedding=width, given=given, self_conditioning=self_conditioning
        )
        self.reads = reads
        self.latents = nn.Parameter(torch.randn(latents, width))
        self.blocks = nn.ModuleList(Block(width, heads, compute) for _ in range(layers))

    def body(self, f: Tensor, c: Tensor, points: Points) -> Tensor:
        """Map features f (b, n, d / 2), with the latents, through all blocks."""
        z = self.latents.to(f.dtype).expand(f.shape[0], -1, -1)
        some = points.read(self.reads)
        present = points.present if points.present is None or some is None else points.present[:, some]
        for block in self.blocks:
            f, z = block(f, z, c, present, some)
        return f


class Block(nn.Module):
    """Read, compute, write, and an MLP on every point."""

    def __init__(self, width: int, heads: int, compute: int) -> None:
        super().__init__()
        half = width // 2
        self.points, self.latent = Modulation(width, 6, half), Modulation(width, 3)
        self.read, self.write = Attention(width, heads, half), Attention(half, heads, width)
        self.latent_mlp, self.point_mlp = mlp(width, 4), mlp(half, 4)
        self.compute = nn.ModuleList(TransformerLayer(width, heads) for _ in range(compute))

    def forward(
        self, f: Tensor, z: Tensor, c: Tensor, present: Tensor | None, some: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Map f (b, n, d / 2) and z (b, m, d) to the same shapes; ``some``: indices of the points that are read."""
        shift, scale, gate, mlp_shift, mlp_scale, mlp_gate = self.points(c)
        y = modulate(f, shift, scale)
        z = z + self.read(norm(z), y if some is None else y[:, some], present)
        latent_shift, latent_scale, latent_gate = self.latent(c)
        z = z + latent_gate * self.latent_mlp(modulate(z, latent_shift, latent_scale))
        for layer in self.compute:
            z = layer(z, c)
        f = f + gate * self.write(y, norm(z))
        return f + mlp_gate * self.point_mlp(modulate(f, mlp_shift, mlp_scale)), z
