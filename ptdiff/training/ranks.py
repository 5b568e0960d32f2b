"""The gradients of ranks before they become one, for the gradient-noise scale.

DistributedDataParallel takes the mean of all ranks' gradients bucket by bucket, while others are still worked out.  A
hook there (Li et al. 2020, "PyTorch Distributed") sees the bucket of this rank first.  Its norm stays on the device,
and the norms of all ranks are exchanged as one small tensor, so that nothing waits for a device.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from ptdiff.training.noise_scale import NoiseScale, squared_norm

if TYPE_CHECKING:
    from torch._C._distributed_c10d import GradBucket


class Ranks:
    """The ranks that share batches of ``batch`` samples, every so many rows each; one of these on every rank."""

    def __init__(self, model: DistributedDataParallel, batch: int) -> None:
        world, self.batch = dist.get_world_size(), batch
        self.sizes = [len(range(rank, batch, world)) for rank in range(world)]
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        # |g|^2 of this rank's gradient so far; None while nobody asks
        self.square: Tensor | None = None
        # torch wants a hook without annotations, or with classes for them; here they are strings
        model.register_comm_hook(None, lambda _, bucket: self._heard(bucket))

    @contextmanager
    def measured(self, scale: NoiseScale) -> Iterator[None]:
        """Show ``scale`` the gradients of all ranks, and their mean, of the one backward pass inside."""
        rank, world = dist.get_rank(), len(self.sizes)
        self.square = torch.zeros((), dtype=torch.float64, device=self.parameters[0].device)
        yield
        parts = torch.zeros(world, dtype=torch.float64, device=self.square.device)
        # the loss of a rank counts its rows against those of an even share; the part is the mean of its own rows
        parts[rank] = self.square * (self.batch / (world * self.sizes[rank])) ** 2
        self.square = None
        dist.all_reduce(parts)
        whole = squared_norm([p.grad for p in self.parameters if p.grad is not None])
        scale.see(parts.unbind(), self.sizes, whole)

    def _heard(self, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        """Take the norm of this rank's gradient, then the mean over all ranks, as without a hook."""
        if self.square is not None:
            self.square += squared_norm([bucket.buffer()])
        mean: torch.futures.Future[Tensor] = allreduce_hook(dist.group.WORLD, bucket)  # type: ignore[arg-type]
        return mean
