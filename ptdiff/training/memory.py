"""How many samples of a batch fit into memory at a time: what backward keeps, measured on a few of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff import host

if TYPE_CHECKING:
    from ptdiff.training.module import DiffusionModule

SHARE = 0.5
"""The part of the memory at hand that activations may take; backward needs the rest for its own, and so do others."""
FEW = 4
"""Samples that are measured."""


def fitting_rows(module: DiffusionModule, batch: int) -> int:
    """How many of ``batch`` samples a step can work on at a time, 1 to batch; batch where all of them fit.

    ``module`` is on its device.  Two and four samples of the first batch go through the network and the loss, without
    backward; what is kept for it beyond weights and data grows with the samples.  Nothing of the module changes.
    """
    free, few = available(module.device), min(batch, FEW)
    if free is None or few < 2:
        return batch
    less, more = (kept_bytes(module, rows) for rows in (few // 2, few))
    each = max(1.0, (more - less) / (few - few // 2))
    shared = max(0.0, more - few * each)
    most = max(1, min(batch, int((SHARE * free - shared) / each)))
    # as few parts as that, and all of about one size
    return -(-batch // -(-batch // most))


def kept_bytes(module: DiffusionModule, rows: int) -> int:
    """Bytes that backward of the loss of so many samples of the first batch keeps, weights not counted."""
    seen = _storages([*module.parameters(), *module.buffers()])
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        # the tensor is held until the end, so that no other one can have its address
        if (place := tensor.untyped_storage().data_ptr()) not in seen:
            kept[place] = tensor
        return tensor

    devices = [module.device] if module.device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        random = next(module.randomness(range(1)))
        x, cond = module.batch(0, random.hidden)
        some = slice(0, rows)
        losses = module.losses_of(x[some], {key: value[some] for key, value in cond.items()}, random.part(some))
    del losses
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _storages(tensors: Iterable[Tensor]) -> set[int]:
    return {tensor.untyped_storage().data_ptr() for tensor in tensors}


def available(device: torch.device) -> int | None:
    """Bytes that can be had now on a device; None where the system does not say."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return host.memory()


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory does not suffice, on whatever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in ("out of memory", "can't allocate memory", "not enough memory")
    )
