"""Sampling in batches, by the ids of samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ptdiff.modality.types import Progress

NUMBERS = 2**18
"""Count of numbers in a batch, for which the largest activation of a network of width 64 has about 64 MiB."""


def batch_size(count: int, shape: tuple[int, ...], batch: int | None = None) -> int:
    """Samples per batch: ``batch`` if given, else NUMBERS over the size of a sample, at least 1.

    Raises ValueError for a count or batch below 1.
    """
    if count < 1:
        raise ValueError(f"the number of samples must be at least 1, not {count}")
    if batch is not None and batch < 1:
        raise ValueError(f"batch must be at least 1, not {batch}")
    return batch or max(1, min(count, NUMBERS // max(1, math.prod(shape))))


def batches(count: int, size: int, where: torch.device) -> Iterator[Tensor]:
    """Yield the ids 0 … count - 1 in order, ``size`` at a time, on device ``where``."""
    for first in range(0, count, size):
        yield torch.arange(first, min(first + size, count), device=where)


def in_batches(
    count: int, size: int, where: torch.device, make: Callable[[Tensor], Tensor], progress: Progress | None = None
) -> Tensor:
    """Concatenate the results of ``make`` for the ids 0 … count - 1, computed in batches on device ``where``.

    The result is on the CPU.  ``progress``: called with (done, total) after each batch.
    """
    out: list[Tensor] = []
    for ids in batches(count, size, where):
        out.append(make(ids).cpu())
        if progress is not None:
            progress(int(ids[-1]) + 1, count)
    return torch.cat(out)
