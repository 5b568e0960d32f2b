"""Processing of a batch in parts: by several threads in parallel, and one after another if memory is short.

Small networks do not keep many cores busy, because their operations are too short to be shared.  Two threads with half
of the batch each need three quarters of the time of one thread that uses two cores for every operation.

Consecutive parts need the memory of a single part, and their gradients are added: samples, noise and the mean over the
batch are those of the batch in one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ptdiff.training.noise_scale import NoiseScale, squared_norm

Gradients = tuple[Tensor | None, ...]

LARGE = 4_000_000
"""Number of parameters from which threads share the optimizer's operations.  Below, sharing costs more than it saves:
with half a million, a Muon step took 15 ms on one thread and 38 ms on two."""


def parts(rows: int, most: int | None, count: int = 1) -> list[slice]:
    """The rows of a batch in parts, of which any ``count`` together have at most ``most`` rows (None: no limit).

    The parts are strided: noise levels rise along a batch, and each part needs some of all levels.

    >>> parts(10, most=None, count=2), parts(10, most=5)
    ([slice(0, 10, 2), slice(1, 10, 2)], [slice(0, 10, 2), slice(1, 10, 2)])
    """
    if most is None or most >= rows:
        number = count
    else:
        number = -(-rows // max(1, most // count))
        number += -number % count
    return [slice(first, rows, number) for first in range(min(number, rows))]


def has_dropout(network: nn.Module) -> bool:
    """Return True if a network draws its own random numbers, which threads would share."""
    return any(isinstance(part, _DropoutNd) and part.p > 0 for part in network.modules())


class Shards:
    """``count`` threads that share batches and divide the threads of torch's operations among themselves."""

    def __init__(self, count: int, network: nn.Module) -> None:
        if count > 1 and has_dropout(network):
            raise ValueError(
                "training.shards must be 1 for a network with dropout: threads would share its random numbers"
            )
        self.count = count
        self.threads = torch.get_num_threads()
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.large = sum(p.numel() for p in self.parameters) >= LARGE
        self.pool = ThreadPoolExecutor(count) if count > 1 else None
        self._share()

    def gradients(
        self,
        losses_of: Callable[[slice], Tensor],
        rows: int,
        noise_scale: NoiseScale | None = None,
        most: int | None = None,
    ) -> Tensor:
        """Store the gradient of the mean of ``losses_of(rows of the batch)`` in the parameters; return the losses.

        ``most``: rows processed at a time, by all threads together; None is the whole batch.
        ``noise_scale``: receives the gradients of the parts and of the whole, if there are several parts.
        """

        chosen = parts(rows, most, self.count)
        if len(chosen) == 1:
            losses = losses_of(chosen[0])
            torch.autograd.backward(losses.sum() / rows)
            return losses.detach()

        def part(some: slice) -> tuple[Tensor, Gradients]:
            losses = losses_of(some)
            return losses.detach(), torch.autograd.grad(losses.sum() / rows, self.parameters, allow_unused=True)

        total: list[Tensor | None] = [None] * len(self.parameters)
        each: list[Tensor] = []
        squares: list[Tensor] = []
        # one part per thread at a time, so that at most one gradient per thread is kept
        for first in range(0, len(chosen), self.count):
            for losses, gradients in self._map(part, chosen[first : first + self.count]):
                each.append(losses)
                if noise_scale is not None:
                    # the gradient of a part is its mean gradient times its share of the rows
                    squares.append(squared_norm(_there(gradients)) * (rows / len(losses)) ** 2)
                for index, gradient in enumerate(gradients):
                    # in the order of the parts, regardless of which finished first
                    total[index] = _sum(total[index], gradient)
        for parameter, gradient in zip(self.parameters, total, strict=True):
            parameter.grad = gradient
        if noise_scale is not None:
            noise_scale.see(squares, [len(losses) for losses in each], squared_norm(_there(total)))
        return joined(each, chosen, rows)

    def _map(
        self, part: Callable[[slice], tuple[Tensor, Gradients]], chosen: list[slice]
    ) -> Iterator[tuple[Tensor, Gradients]]:
        if self.pool is None:
            yield from map(part, chosen)
            return
        futures = [self.pool.submit(part, some) for some in chosen]
        # if one fails, the others must not continue
        wait(futures)
        yield from (future.result() for future in futures)

    def _share(self) -> None:
        if self.pool is not None:
            torch.set_num_threads(max(1, self.threads // self.count))

    @contextmanager
    def together(self) -> Iterator[None]:
        """Use all threads for every operation within the context, as the optimizer of a large network needs."""
        if self.pool is not None and self.large:
            torch.set_num_threads(self.threads)
        yield
        self._share()

    def close(self) -> None:
        """Release the threads."""
        if self.pool is not None:
            self.pool.shutdown()
            torch.set_num_threads(self.threads)


def joined(losses: list[Tensor], chosen: list[slice], rows: int) -> Tensor:
    """The losses of the parts in the order of the batch, (rows,)."""
    whole = torch.empty(rows, dtype=losses[0].dtype, device=losses[0].device)
    for found, some in zip(losses, chosen, strict=True):
        whole[some] = found
    return whole


def _sum(total: Tensor | None, more: Tensor | None) -> Tensor | None:
    # not in place, because autograd may give one tensor to two parameters
    return more if total is None else total if more is None else total + more


def _there(gradients: Sequence[Tensor | None]) -> list[Tensor]:
    return [gradient for gradient in gradients if gradient is not None]
