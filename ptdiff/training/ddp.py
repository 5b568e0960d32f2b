"""The gradients of ranks before they are averaged, for the gradient-noise scale.

DistributedDataParallel averages the gradients of all ranks bucket by bucket, while others are still computed.  A hook
there (Li et al. 2020, "PyTorch Distributed") sees the bucket of this rank first.  Its norm stays on the device, and the
norms of all ranks are exchanged as one small tensor, so that nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook
from torch.nn.parallel import DistributedDataParallel

from ptdiff.machine.host import double
from ptdiff.training.noise_scale import NoiseScale, squared_norm
from ptdiff.training.shards import joined, parts

if TYPE_CHECKING:
    from torch._C._distributed_c10d import GradBucket


class Ranks:
    """The ranks that share batches of ``batch`` samples in strided rows; one instance on every rank.

    backward: the backward pass of the strategy, which takes the mean over the ranks.
    """

    def __init__(self, model: DistributedDataParallel, batch: int, backward: Callable[[Tensor], None]) -> None:
        world, self.batch, self.backward = dist.get_world_size(), batch, backward
        self.sizes = [len(range(rank, batch, world)) for rank in range(world)]
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        # |g| of this rank's gradient by parameter; None if not requested
        self.norms: dict[Tensor, Tensor] | None = None
        # torch requires a hook without annotations or with classes as annotations; here they are strings
        model.register_comm_hook(None, lambda _, bucket: self._heard(bucket))

    def gradients(
        self,
        losses_of: Callable[[slice], Tensor],
        rows: int,
        noise_scale: NoiseScale | None = None,
        most: int | None = None,
    ) -> Tensor:
        """Store the gradient of the mean loss of all ranks in the parameters; return the losses of this rank (rows,).

        most: rows of this rank processed at a time.
        noise_scale: is given the gradients of the ranks and their mean.
        """
        # ranks average their gradients, but one may have a row more than another
        share, each = len(self.sizes) / self.batch, []
        *before, last = chosen = parts(rows, most)
        for some in before:
            losses = losses_of(some)
            # accumulates this rank's gradient: the backward pass of the last part exchanges the sum
            torch.autograd.backward(losses.sum() * share)
            each.append(losses.detach())
        losses = losses_of(last)
        with self.measured(noise_scale) if noise_scale is not None else nullcontext():
            self.backward(losses.sum() * share)
        return joined([*each, losses.detach()], chosen, rows)

    @contextmanager
    def measured(self, scale: NoiseScale) -> Iterator[None]:
        """Pass the gradients of all ranks and their mean, for the one backward pass in this context, to ``scale``."""
        rank, world = dist.get_rank(), len(self.sizes)
        self.norms = {}
        yield
        # in the order of the parameters: DistributedDataParallel rearranges its buckets after the first step
        norms = torch.stack([self.norms[each] for each in self.parameters if each in self.norms])
        parts = torch.zeros(world, dtype=torch.float64, device=norms.device)
        # the loss of a rank is weighted by its rows over an even share; the part is the mean over its own rows
        parts[rank] = double(norms).square().sum() * (self.batch / (world * self.sizes[rank])) ** 2
        self.norms = None
        dist.all_reduce(parts)
        whole = squared_norm([p.grad for p in self.parameters if p.grad is not None])
        scale.see(parts.unbind(), self.sizes, whole)

    def _heard(self, bucket: GradBucket) -> torch.futures.Future[Tensor]:
        """Record the norms of this rank's gradients, then average over all ranks, as without a hook."""
        if self.norms is not None:
            self.norms |= zip(bucket.parameters(), torch._foreach_norm(bucket.gradients()), strict=True)
        mean: torch.futures.Future[Tensor] = allreduce_hook(dist.group.WORLD, bucket)  # type: ignore[arg-type]
        return mean
