"""The gradients of ranks before they become one, for the gradient-noise scale.

DistributedDataParallel takes the mean of all ranks' gradients bucket by bucket, while others are still worked out.  A
hook there (Li et al. 2020, "PyTorch Distributed") sees the bucket of this rank first.  Its norm stays on the device,
and the norms of all ranks are exchanged as one small tensor, so that nothing waits for a device.
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

from ptdiff.training.noise_scale import NoiseScale, squared_norm
from ptdiff.training.shards import joined, parts

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

    def gradients(
        self,
        losses_of: Callable[[slice], Tensor],
        rows: int,
        backward: Callable[[Tensor], None],
        scale: NoiseScale | None,
        most: int | None,
    ) -> Tensor:
        """Put the gradient of the mean loss of all ranks into the parameters; the losses of this rank's rows (rows,).

        Those are worked on ``most`` at a time; ``backward`` is that of the strategy, and joins the ranks.
        """
        # ranks take the mean of their gradients, but one may have a row more than another
        share, each = len(self.sizes) / self.batch, []
        *before, last = chosen = parts(rows, most)
        for some in before:
            losses = losses_of(some)
            # adds to this rank's gradient: ranks exchange what the backward pass of the last part finds there
            torch.autograd.backward(losses.sum() * share)
            each.append(losses.detach())
        losses = losses_of(last)
        with self.measured(scale) if scale is not None else nullcontext():
            backward(losses.sum() * share)
        return joined([*each, losses.detach()], chosen, rows)

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
