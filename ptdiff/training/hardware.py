"""The devices of a training, and how they share it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ptdiff.choices import one_of
from ptdiff.machine.host import device

STRATEGIES = ("auto", "ddp", "fsdp")
"""How several devices share a training: ddp replicates the network, fsdp shards it, and auto is ddp for several."""


@dataclass(frozen=True)
class Hardware:
    """Devices for training: how many, on how many machines, in Lightning's terms.

    ``strategy``: a name in STRATEGIES.
    ``device``: the kind of device, see :func:`ptdiff.machine.host.device`; "cuda:1" is that GPU alone, for any
    ``devices``.

    Raises UnknownName for another strategy, and ValueError for fsdp on one device.
    """

    devices: int = 1
    nodes: int = 1
    strategy: str = "auto"
    device: str = "auto"

    def __post_init__(self) -> None:
        one_of("strategy", self.strategy, STRATEGIES)
        if self.strategy == "fsdp" and self.devices * self.nodes == 1:
            raise ValueError("strategy fsdp needs several devices to shard the network over, not one")

    def trainer(self) -> dict[str, Any]:
        """Arguments for Lightning's Trainer; ValueError for a device that does not exist, or one alone with fsdp."""
        where = device(self.device)
        one = [where.index] if where.type == "cuda" and where.index is not None else self.devices
        ranks = self.nodes * (one if isinstance(one, int) else len(one))
        if self.strategy == "fsdp" and ranks == 1:
            raise ValueError(f"strategy fsdp needs several devices to shard the network over, but {self.device} is one")
        strategy: Any = self.strategy
        if strategy == "fsdp":
            from ptdiff.training import fsdp

            strategy = fsdp.strategy(ranks)
        return {"accelerator": where.type, "devices": one, "num_nodes": self.nodes, "strategy": strategy}
