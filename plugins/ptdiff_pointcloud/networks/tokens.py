"""Clouds that are given, as clean tokens beside the noisy points.

A condition named ``partial`` (observed points) or ``coarse`` (a cloud of lower resolution) is a cloud (b, m, k) in
model units: the units of x, ``data.normalize`` of world units.  Its points take part in a denoiser as further points
with a flag, a learned vector for each kind of condition; nothing is predicted at them.  PVD (Zhou et al. 2021) and
Point-E (Nichol et al. 2022) condition so.

``partial_mask`` (b, m), int64, is 1 where there is a point and 0 or -1 where there is none, so that clouds of one
batch may hold different numbers, and a row that is hidden (all -1) is one without the condition: to the bit the same
function as with the key missing.  A missing mask means that all points are there.
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
    present: bool (b, n + m), False for what is no point; None where all are there.
    kind: int64 (m,), which condition each given point belongs to.
    """

    x: Tensor
    present: Tensor | None
    kind: Tensor

    def read(self, most: int | None) -> Tensor | None:
        """Places (k,) of the first ``most`` noisy points and of all given ones; None for all of them.

        What reads a cloud as a whole has seen clouds of so many points in training, and takes a larger one, whose noise
        averages out more, for a cleaner one: it reads as many as it knows, and the others are drawn given what it read.
        """
        total, given = self.x.shape[1], len(self.kind)
        noisy = total - given
        if most is None or noisy <= most:
            return None
        places = torch.arange(total, device=self.x.device)
        return torch.cat([places[:most], places[noisy:]])


def joined(x: Tensor, cond: Condition, names: Sequence[str]) -> Points:
    """Noisy points x (b, n, k) with the clouds that ``cond`` holds under ``names``."""
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
    """A learned vector for each kind of given cloud; no parameters where there is none."""

    def __init__(self, names: Sequence[str], width: int) -> None:
        super().__init__()
        self.names = tuple(names)
        self.flag = nn.Embedding(len(self.names), width) if self.names else None

    def forward(self, f: Tensor, points: Points) -> Tensor:
        """Features f (b, n + m, d), those of the given points flagged."""
        m = len(points.kind)
        if self.flag is None or m == 0:
            return f
        return torch.cat([f[:, :-m], f[:, -m:] + self.flag(points.kind)], dim=1)
