"""The number of samples that fit into memory at a time, from the memory that backward needs for a few of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ptdiff.machine import host

if TYPE_CHECKING:
    from ptdiff.training.module import DiffusionModule

SHARE = 0.5
"""Fraction of free memory that activations may use; backward and other programs need the rest."""
FEW = 4
"""The number of samples measured."""


def fitting_rows(module: DiffusionModule, batch: int, ranks: int = 1) -> int:
    """Number of samples out of ``batch`` that a step can process at a time, 1 to ``batch``.

    ``module`` is on its device and is not changed.  Two and four samples of the first batch go through the network and
    the loss, without backward; the memory kept for backward, beyond weights and data, grows linearly with the samples.
    ``ranks``: processes that share the memory of a CPU.
    """
    free, few = available(module.device), min(batch, FEW)
    if free is None or few < 2:
        return batch
    if module.device.type == "cpu":
        free //= ranks
    less, more = (kept_bytes(module, rows) for rows in (few // 2, few))
    each = max(1.0, (more - less) / (few - few // 2))
    shared = max(0.0, more - few * each)
    most = max(1, min(batch, int((SHARE * free - shared) / each)))
    # the same number of parts, with about equal sizes
    return -(-batch // -(-batch // most))


def kept_bytes(module: DiffusionModule, rows: int) -> int:
    """Bytes kept for backward of the loss of the first ``rows`` samples of the first batch, without the weights."""
    seen = _storages([*module.parameters(), *module.buffers()])
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        # held until the end, so that no other tensor can get its address
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
    """Bytes of available memory on a device; None if the system does not report it."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return host.memory()


def out_of_memory(error: BaseException) -> bool:
    """Return True if an error means that memory ran out, on any device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error).lower() for words in ("out of memory", "can't allocate memory", "not enough memory")
    )
