"""Samples a batch at a time, by their ids."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ptdiff.modality.types import Progress

NUMBERS = 2**18
"""The numbers in a batch: they keep the largest activation of a network of width 64 near 64 MiB."""


def batch_size(count: int, shape: tuple[int, ...], batch: int | None = None) -> int:
    """Samples at a time: ``batch`` if it is given, else as many as NUMBERS numbers make, at least one."""
    if count < 1:
        raise ValueError(f"the number of samples must be at least 1, not {count}")
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    return batch or max(1, min(count, NUMBERS // max(1, math.prod(shape))))


def batches(count: int, size: int, where: torch.device) -> Iterator[Tensor]:
    """The ids 0 … count - 1 in order, ``size`` at a time."""
    for first in range(0, count, size):
        yield torch.arange(first, min(first + size, count), device=where)


def in_batches(
    count: int, size: int, where: torch.device, make: Callable[[Tensor], Tensor], progress: Progress | None = None
) -> Tensor:
    """The results of ``make`` on a device for the ids 0 … count - 1, on the CPU.

    progress: called with (done, total) after each batch.
    """
    out: list[Tensor] = []
    for ids in batches(count, size, where):
        out.append(make(ids).cpu())
        if progress is not None:
            progress(int(ids[-1]) + 1, count)
    return torch.cat(out)
