"""A batch worked on by several threads side by side.

Small networks keep few cores busy: their operations are too short to be shared.  Two threads with half of the batch
each need three quarters of the time of one with two cores for every operation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ptdiff.training.noise_scale import NoiseScale, squared_norm


def has_dropout(network: nn.Module) -> bool:
    """Whether a network draws random numbers of its own, which threads would share."""
    return any(isinstance(part, _DropoutNd) and part.p > 0 for part in network.modules())


class Shards:
    """``count`` threads that share batches; they divide the threads of torch's operations among themselves."""

    def __init__(self, count: int, network: nn.Module) -> None:
        if has_dropout(network):
            raise ValueError(
                "training.shards must be 1 for a network with dropout: threads would share its random numbers"
            )
        self.count = count
        self.threads = torch.get_num_threads()
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.pool = ThreadPoolExecutor(count)
        torch.set_num_threads(max(1, self.threads // count))

    def gradients(
        self, losses_of: Callable[[Tensor], Tensor], rows: int, noise_scale: NoiseScale | None = None
    ) -> Tensor:
        """Put the gradient of the mean of ``losses_of(row numbers)`` into the parameters; the losses (rows,).

        noise_scale: sees the gradients of the parts and of the whole.
        """

        def part(chosen: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
            losses = losses_of(chosen)
            gradients = torch.autograd.grad(losses.sum() / rows, self.parameters, materialize_grads=True)
            return losses.detach(), gradients

        # every so many rows: noise levels rise along a batch, and each part is to have some of all
        chosen = [torch.arange(first, rows, self.count) for first in range(self.count)]
        found = list(self.pool.map(part, chosen))
        each: Iterable[tuple[Tensor, ...]] = zip(*(gradients for _, gradients in found), strict=True)
        for parameter, gradients in zip(self.parameters, each, strict=True):
            # in the order of the parts, whichever was done first
            parameter.grad = torch.stack(gradients).sum(dim=0)
        if noise_scale is not None:
            sizes = [len(some) for some in chosen]
            # part i has size / rows of its own mean gradient
            parts = [squared_norm(g) * (rows / size) ** 2 for (_, g), size in zip(found, sizes, strict=True)]
            noise_scale.see(parts, sizes, squared_norm([p.grad for p in self.parameters if p.grad is not None]))
        losses = torch.empty(rows, dtype=found[0][0].dtype)
        losses[torch.cat(chosen)] = torch.cat([some for some, _ in found])
        return losses

    @contextmanager
    def together(self) -> Iterator[None]:
        """All threads for every operation, as for the step of the optimiser."""
        torch.set_num_threads(self.threads)
        yield
        torch.set_num_threads(max(1, self.threads // self.count))

    def close(self) -> None:
        """Give the threads back."""
        self.pool.shutdown()
        torch.set_num_threads(self.threads)
