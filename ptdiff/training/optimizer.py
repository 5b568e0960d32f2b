"""The optimiser: AdamW (Loshchilov and Hutter 2019), fused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from ptdiff.config import Training


def adamw(parameters: Iterable[nn.Parameter], plan: Training) -> torch.optim.AdamW:
    """AdamW with the numbers of ``plan``; gains, biases and embeddings of one axis are not shrunk."""
    found = list(parameters)
    matrices, others = [p for p in found if p.ndim >= 2], [p for p in found if p.ndim < 2]
    groups: list[dict[str, Any]] = [{"params": matrices}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=plan.lr,
        betas=plan.betas,
        weight_decay=plan.weight_decay,
        fused=True,
    )
