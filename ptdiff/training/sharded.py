"""Tensors that are sharded over the ranks (FSDP2), and functions that treat them like whole ones.

A sharded tensor is a DTensor: every rank stores some of its rows, perhaps none.  Whole tensors pass through all of
these functions unchanged, so that the rest of training is the same for every strategy.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch.distributed as dist
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def local(tensor: Tensor) -> Tensor:
    """The rows on this rank, which share memory with ``tensor``."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor, on every rank; all ranks must call this together."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(value: Tensor, other: Tensor) -> Tensor:
    """A whole ``value``, the same on every rank, sharded like ``other`` if that has its shape."""
    if not isinstance(other, DTensor) or value.shape != other.shape:
        return value
    placed = value.to(other.device)
    return distribute_tensor(placed, other.device_mesh, other.placements, src_data_rank=None)


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The whole tensors on the first rank, those that were sharded on the CPU; all ranks must call this together.

    Other ranks return no sharded tensors, because the whole of them may not fit into the memory of a device.
    """
    found = {}
    for name, tensor in tensors.items():
        full = whole(tensor)
        if full is tensor:
            found[name] = tensor
        elif dist.get_rank() == 0:
            found[name] = full.cpu()
    return found


def spread(tensors: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Whole tensors, sharded like those in ``others`` that have the same names."""
    return {name: like(value, others[name]) if name in others else value for name, value in tensors.items()}
