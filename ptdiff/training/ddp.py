"""Ranks with a replica of the network each.

DistributedDataParallel averages the gradients of all ranks bucket by bucket, while others are still computed.  A hook
there (Li et al. 2020, "PyTorch Distributed") sees the bucket of this rank first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from ptdiff.machine.host import double
from ptdiff.training.noise_scale import squared_norm
from ptdiff.training.ranks import Ranks

if TYPE_CHECKING:
    from torch._C._distributed_c10d import GradBucket


class Replicas(Ranks):
    """Ranks that share batches of ``batch`` samples, each with a replica of ``model``."""

    def __init__(self, model: DistributedDataParallel, batch: int, backward: Callable[[Tensor], None]) -> None:
        super().__init__(batch, backward)
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        # |g| of this rank's gradient by parameter; None if not requested
        self.norms: dict[Tensor, Tensor] | None = None
        # torch requires a hook without annotations or with classes as annotations; here they are strings
        model.register_comm_hook(None, lambda _, bucket: self._average(bucket))

    def listen(self) -> None:
        """Record the norms of this rank's gradients in the next exchange."""
        self.norms = {}

    def heard(self) -> Tensor:
        """|g|^2 of this rank's gradient in that exchange, (), float64."""
        assert self.norms is not None
        # in the order of the parameters: DistributedDataParallel rearranges its buckets after the first step
        norms = torch.stack([self.norms[each] for each in self.parameters if each in self.norms])
        self.norms = None
        return double(norms).square().sum()

    def squared_mean(self) -> Tensor:
        """|g|^2 of the mean gradient, (), float64."""
        return squared_norm([p.grad for p in self.parameters if p.grad is not None])

    def _average(self, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        """Record the norms of this rank's gradients, then average over all ranks, as without a hook."""
        if self.norms is not None:
            self.norms |= zip(bucket.parameters(), torch._foreach_norm(bucket.gradients()), strict=True)
        mean: torch.futures.Future[Tensor] = allreduce_hook(dist.group.WORLD, bucket)  # type: ignore[arg-type]
        return mean
