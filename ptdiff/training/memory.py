"""The number of samples that fit into memory at a time, from the memory that backward needs for a few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ptdiff.machine import host

SHARE = 0.5
"""Fraction of free memory that activations may use; backward and other programs need the rest."""
FEW = 4
"""The number of samples measured."""


def fitting_rows(network: nn.Module, losses_of: Callable[[int], Tensor], batch: int, ranks: int = 1) -> int:
    """Number of samples out of ``batch`` that a step can process at a time, 1 to ``batch``.

    ``network`` is on its device and is not changed.  Two and four samples go through the network and the loss, without
    backward; the memory kept for backward, beyond weights and data, grows linearly with the samples.
    losses_of: a number of samples to their losses, (n,).
    ranks: processes that share the memory of a CPU.
    """
    device, few = next(network.parameters()).device, min(batch, FEW)
    free = available(device)
    if free is None or few < 2:
        return batch
    if device.type == "cpu":
        free //= ranks
    less, more = (kept_bytes(network, losses_of, rows) for rows in (few // 2, few))
    each = max(1.0, (more - less) / (few - few // 2))
    shared = max(0.0, more - few * each)
    most = max(1, min(batch, int((SHARE * free - shared) / each)))
    # the same number of parts, with about equal sizes
    return -(-batch // -(-batch // most))


def kept_bytes(network: nn.Module, losses_of: Callable[[int], Tensor], rows: int) -> int:
    """Bytes kept for backward of the losses of ``rows`` samples, without the weights."""
    seen = _storages([*network.parameters(), *network.buffers()])
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        try:
            place = tensor.untyped_storage().data_ptr()
        except RuntimeError:
            # tangents of forward derivatives that are zero have no storage
            return tensor
        # held until the end, so that no other tensor can get its address
        if place not in seen:
            kept[place] = tensor
        return tensor

    device = next(network.parameters()).device
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        losses = losses_of(rows)
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
