"""Pooling of a cloud to one vector."""

from __future__ import annotations

import torch
from torch import Tensor


def pooled(f: Tensor, present: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and maximum over the points of f (b, n, d), each (b, d); present: bool (b, n), None for all.

    At least one point of every cloud must be present.
    """
    if present is None:
        return f.mean(1), f.amax(1)
    there = present[..., None]
    count = there.sum(1).to(f.dtype)
    return torch.where(there, f, 0).sum(1) / count, torch.where(there, f, -torch.inf).amax(1)
