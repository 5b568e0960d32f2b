"""Ranks: processes that share each batch, and the gradients that they average.

Every rank computes the gradient of its own rows, and the strategy takes the mean over the ranks: with replicas of the
network (ptdiff.training.ddp) or with a sharded one (ptdiff.training.fsdp).  Both see the gradient of this rank before
it is averaged, for the gradient-noise scale.  Its norm stays on the device, and the norms of all ranks are exchanged as
one small tensor, so that nothing waits for the device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor

from ptdiff.training.noise_scale import NoiseScale
from ptdiff.training.shards import joined, parts


class Ranks(ABC):
    """The ranks that share batches of ``batch`` samples in strided rows; one instance on every rank.

    backward: the backward pass of the strategy, which takes the mean over the ranks.
    """

    def __init__(self, batch: int, backward: Callable[[Tensor], None]) -> None:
        world, self.batch, self.backward = dist.get_world_size(), batch, backward
        self.sizes = [len(range(rank, batch, world)) for rank in range(world)]

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
        with self.alone():
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
        self.listen()
        yield
        own = self.heard()
        parts = torch.zeros(world, dtype=torch.float64, device=own.device)
        # the loss of a rank is weighted by its rows over an even share; the part is the mean over its own rows
        parts[rank] = own * (self.batch / (world * self.sizes[rank])) ** 2
        dist.all_reduce(parts)
        scale.see(parts.unbind(), self.sizes, self.squared_mean())

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Accumulate the gradient of this rank within the context, and exchange nothing."""
        yield

    @abstractmethod
    def listen(self) -> None:
        """Record the gradient of this rank in the next exchange."""

    @abstractmethod
    def heard(self) -> Tensor:
        """|g|^2 of this rank's gradient in that exchange, (), float64."""

    @abstractmethod
    def squared_mean(self) -> Tensor:
        """|g|^2 of the mean gradient, (), float64."""
