"""Given clouds as clean tokens beside the noisy points.

A condition named ``partial`` (observed points) or ``coarse`` (a cloud of lower resolution) is a cloud (b, m, k) in
model
units: the units of x, ``data.normalize`` of world units. Its points enter a denoiser as further points with a flag, a
learned vector for each kind of condition; nothing is predicted at them. PVD (Zhou et al. 2021) and Point-E (Nichol et
al. 2022) condition in this way.

``partial_mask`` (b, m), int64, is 1 for a point and 0 or -1 for none, so that the clouds of a batch may have different
numbers of points. A hidden row (all -1) is unconditional: bit for bit the same function as without the key. Without a
mask, all points are present.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ptdiff.modality.data import Condition


@dataclass(frozen=True)
class Points:
    """The points of a batch, noisy and given.

    x: (b, n + m, k), the n noisy ones first.
    present: bool (b, n + m), False for padding; None if all are points.
    kind: int64 (m,), the condition that each given point belongs to.
    """

    x: Tensor
    present: Tensor | None
    kind: Tensor

    def read(self, most: int | None) -> Tensor | None:
        """Return the indices (k,) of the first ``most`` noisy points and of all given ones; None for all of them.

        A layer that reads a cloud as a whole has seen clouds of ``most`` points in training. The noise of a larger one
        averages out more, so it would pass for a cleaner cloud. Therefore it reads as many as it knows, and the others
        are generated given what it read.
        """
        total, given = self.x.shape[1], len(self.kind)
        noisy = total - given
        if most is None or noisy <= most:
            return None
        places = torch.arange(total, device=self.x.device)
        return torch.cat([places[:most], places[noisy:]])


def joined(x: Tensor, cond: Condition, names: Sequence[str]) -> Points:
    """Join noisy points x (b, n, k) with the clouds in ``cond`` under ``names``; ValueError for wrong shapes."""
    found = [(i, name) for i, name in enumerate(names) if name in cond]
    clouds = [cond[name].to(x.dtype) for _, name in found]
    for (_, name), cloud in zip(found, clouds, strict=True):
        if cloud.ndim != 3 or len(cloud) != len(x) or cloud.shape[2] != x.shape[2]:
            raise ValueError(f"{name} must be clouds ({len(x)}, m, {x.shape[2]}), not {tuple(cloud.shape)}")
    sizes = torch.tensor([cloud.shape[1] for cloud in clouds], dtype=torch.int64, device=x.device)
    kind = torch.tensor([i for i, _ in found], dtype=torch.int64, device=x.device).repeat_interleave(sizes)
    present = None
    if any(f"{name}_mask" in cond for _, name in found):
        masks = [_mask(cond, name, cloud) for (_, name), cloud in zip(found, clouds, strict=True)]
        present = torch.cat([torch.ones_like(x[..., 0], dtype=torch.bool), *masks], dim=1)
    return Points(torch.cat([x, *clouds], dim=1) if clouds else x, present, kind)


def _mask(cond: Condition, name: str, cloud: Tensor) -> Tensor:
    mask = cond.get(f"{name}_mask")
    if mask is None:
        return torch.ones_like(cloud[..., 0], dtype=torch.bool)
    if mask.shape != cloud.shape[:2]:
        raise ValueError(f"{name}_mask must be {tuple(cloud.shape[:2])}, not {tuple(mask.shape)}")
    return mask > 0


class Flags(nn.Module):
    """A learned vector for each kind of given cloud; no parameters if there is none."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__()
        self.names = tuple(names)
        self.flag = nn.Embedding(len(self.names), width) if self.names else None

    def forward(self, f: Tensor, points: Points) -> Tensor:
        """Add the flags to the features f (b, n + m, d) of the given points."""
        m = len(points.kind)
        if self.flag is None or m == 0:
            return f
        return torch.cat([f[:, :-m], f[:, -m:] + self.flag(points.kind)], dim=1)
