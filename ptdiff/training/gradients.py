"""The gradient of a step, from the whole batch or from parts, which become smaller if memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn

from ptdiff.machine import host
from ptdiff.training.memory import out_of_memory
from ptdiff.training.noise_scale import EVERY, NoiseScale
from ptdiff.training.ranks import Ranks
from ptdiff.training.shards import Shards, parts


class Gradients:
    """The gradients of ``network``, and how a batch is divided for them: among threads, ranks, and in time.

    most: rows of this rank processed at a time; None is all of them.
    shards, ranks: the threads or the processes that share a batch; with neither, this thread computes it alone.
    noise_scale: the gradient-noise scale, measured every few steps if there are several parts.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.most: int | None = None
        self.shards: Shards | None = None
        self.ranks: Ranks | None = None
        self.noise_scale = NoiseScale()

    def compute(self, losses_of: Callable[[slice], Tensor], rows: int, step: int, seed: int) -> Tensor:
        """Store the gradient of the mean loss of a step in the parameters; return the losses of this rank (rows,).

        If memory runs out, the step is repeated with half as many rows at a time, as are all later ones.

        losses_of: some of this rank's ``rows`` to their losses, (rows,).
        seed: of the random numbers drawn by the network itself (dropout), addressed like all others.
        """
        device = next(self.network.parameters()).device
        scale = self.noise_scale if step % EVERY == 0 else None
        while True:
            torch.default_generator.manual_seed(seed)
            host.seed(device, seed)
            self.network.zero_grad(set_to_none=True)
            try:
                sharing = self.ranks or self.shards or Shards(1, self.network)
                return sharing.gradients(losses_of, rows, scale, self.most)
            except (RuntimeError, MemoryError) as error:
                if not (out_of_memory(error) and self._halved(rows)):
                    raise
            # not in the except block: the error keeps the tensors of the step alive
            if device.type == "cuda":
                torch.cuda.empty_cache()

    def compares_parts(self, rows: int) -> bool:
        """True if a batch with ``rows`` rows on this rank has several parts, so that the noise scale is measured."""
        count = self.shards.count if self.shards else 1
        return self.ranks is not None or len(parts(rows, self.most, count)) > 1

    def together(self) -> AbstractContextManager[None]:
        """All threads for every operation, as the step of the optimizer of a large network wants them."""
        return self.shards.together() if self.shards else nullcontext()

    def close(self) -> None:
        """Give the threads back."""
        if self.shards is not None:
            self.shards.close()
            self.shards = None

    def _halved(self, rows: int) -> bool:
        """Process half as many rows at a time from now on; False if that is impossible."""
        if self.ranks is not None:
            # the other ranks already wait to exchange gradients with the one that failed: they cannot start again
            return False
        least = self.shards.count if self.shards else 1
        most = min(rows, self.most or rows)
        self.most = max(least, most // 2)
        return most > least
