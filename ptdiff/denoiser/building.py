"""Building of networks that fit into memory; those that do not are refused before they fill it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import UninitializedParameter

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.denoiser.target_level import read_target
from ptdiff.machine import host

if TYPE_CHECKING:
    from torch import nn

    from ptdiff.modality.contract import Modality
    from ptdiff.modality.data import Data

USE, TRAIN = 2, 5
"""Times that the weights are in memory: in use, they and the file they are read from; in training, gradients, two
moments and an average besides."""

MOST_TENSORS = 100_000
"""Largest number of weight tensors of a network: large published ones have some thousands, and building this many takes
seconds."""


def built(kind: Modality, data: Data, prediction: str, copies: int = USE, *, flow_map: bool = False) -> NetworkDenoiser:
    """The untrained denoiser of a modality; ``copies``: USE or TRAIN; ``flow_map``: it reads a second level.

    Raises ValueError if its weights do not fit the memory that is free, before they fill it.
    """
    with within_memory(copies):
        net = kind.backbone(data)
        return NetworkDenoiser(read_target(net) if flow_map else net, prediction)


@contextmanager
def within_memory(copies: int, free: int | None = None) -> Iterator[None]:
    """Raise ValueError when the weights of modules that are built in the block need more than ``free`` bytes.

    ``free``: by default the memory that is free now.  Weights are counted when a module gets them, which is before they
    are filled: memory that is only allocated is not used yet.
    """
    limit = host.memory() if free is None else free
    tensors = needed = 0

    def count(module: nn.Module, name: str, weight: nn.Parameter | None) -> None:
        nonlocal tensors, needed
        if weight is None or isinstance(weight, UninitializedParameter):
            return
        tensors += 1
        needed += copies * weight.numel() * weight.element_size()
        if limit is not None and needed > limit:
            raise ValueError(
                f"the network needs more than {needed / 2**30:,.1f} GiB, with {copies} copies of its weights, and "
                f"{limit / 2**30:,.1f} GiB are free: make it smaller"
            )
        if tensors > MOST_TENSORS:
            raise ValueError(f"the network has more than {MOST_TENSORS:,} weight tensors: make it smaller")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
