"""A normalizing flow of affine couplings (Dinh et al. 2017, "Real NVP"), the prior of shape codes.

u: (b, k) standard normal numbers; z: (b, k) codes. A coupling keeps one half a of its input and changes the other b:

    z_a = u_a,    z_b = u_b exp(s) + t,    (s, t) = mlp(u_a, class),    log |dz / du| = sum s

The halves swap from one coupling to the next; all couplings start as the identity.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ptdiff.modality.data import Condition
from ptdiff_pointcloud.networks.layers import zero_linear

STEEPEST = 2.0
"""Bound of |s|, so that no coupling explodes early in training."""


class CouplingFlow(nn.Module):
    """Map from u to z and back, conditioned on the class, if there are classes (-1 or no label: unconditional)."""

    def __init__(self, size: int, classes: int = 0, *, couplings: int = 8) -> None:
        super().__init__()
        if size < 2:
            raise ValueError(f"a code needs at least 2 numbers, not {size}")
        self.kept = size // 2
        self.label = nn.Embedding(classes + 1, size) if classes else None
        told, hidden = size if classes else 0, 2 * size
        sizes = [
            (self.kept, size - self.kept) if i % 2 == 0 else (size - self.kept, self.kept) for i in range(couplings)
        ]
        self.couplings = nn.ModuleList(
            nn.Sequential(nn.Linear(a + told, hidden), nn.SiLU(), zero_linear(hidden, 2 * b)) for a, b in sizes
        )

    def forward(self, u: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """Return z (b, k) and log |dz / du| (b,), float32."""
        with torch.autocast(u.device.type, enabled=False):
            z, total = u.float(), u.new_zeros(u.shape[0], dtype=torch.float32)
            for i, coupling in enumerate(self.couplings):
                a, b = self._halves(z, i)
                s, t = self._moves(coupling, a, cond)
                z, total = self._whole(a, b * torch.exp(s) + t, i), total + s.sum(dim=1)
        return z, total

    def log_density(self, z: Tensor, cond: Condition) -> Tensor:
        """Return log p(z) of codes z (b, k): (b,), float32."""
        with torch.autocast(z.device.type, enabled=False):
            u, total = z.float(), z.new_zeros(z.shape[0], dtype=torch.float32)
            for i in reversed(range(len(self.couplings))):
                a, b = self._halves(u, i)
                s, t = self._moves(self.couplings[i], a, cond)
                u, total = self._whole(a, (b - t) * torch.exp(-s), i), total + s.sum(dim=1)
        return -0.5 * (u.square() + math.log(2 * math.pi)).sum(dim=1) - total

    def _halves(self, z: Tensor, i: int) -> tuple[Tensor, Tensor]:
        first, second = z[:, : self.kept], z[:, self.kept :]
        return (first, second) if i % 2 == 0 else (second, first)

    def _whole(self, a: Tensor, b: Tensor, i: int) -> Tensor:
        return torch.cat([a, b] if i % 2 == 0 else [b, a], dim=1)

    def _moves(self, coupling: nn.Module, a: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        if self.label is not None:
            label = cond.get("label")
            given = torch.full((a.shape[0],), -1, device=a.device) if label is None else label
            a = torch.cat([a, self.label(given + 1)], dim=1)
        s, t = coupling(a).chunk(2, dim=1)
        return STEEPEST * torch.tanh(s / STEEPEST), t
