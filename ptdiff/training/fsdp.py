"""Ranks that share one network: fully sharded data parallelism (FSDP2; Zhao et al. 2023, "PyTorch FSDP").

Every rank stores a part of the weights, their gradients, the moments of the optimizer and the averages.  The weights
are gathered for a step and dropped after it; the gradients of all ranks are averaged and sharded in one exchange.  So a
step has one gather and one exchange, regardless of how many parts the ranks divide their rows into.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from pytorch_lightning.strategies import ModelParallelStrategy
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard, register_fsdp_forward_method

from ptdiff.machine.host import double
from ptdiff.training.noise_scale import squared_norm
from ptdiff.training.ranks import Ranks
from ptdiff.training.sharded import local


def strategy(ranks: int) -> ModelParallelStrategy:
    """Lightning's strategy for a network that is sharded over all ``ranks``."""
    return ModelParallelStrategy(data_parallel_size=ranks, tensor_parallel_size=1)


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Shard the parameters of ``network`` over the ranks of ``mesh``, each along its first dimension.

    ValueError for a parameter without dimensions.
    """
    fully_shard(network, mesh=mesh)
    for name in ("posterior", "prior", "log_prior"):
        # the methods of ptdiff.denoiser.latent_code.Coded compute with the weights, too
        if callable(getattr(network, name, None)):
            register_fsdp_forward_method(network, name)


class Sharded(Ranks):
    """Ranks that share batches of ``batch`` samples and the parameters of ``network``, parts of which are sharded."""

    def __init__(self, network: nn.Module, batch: int, backward: Callable[[Tensor], None]) -> None:
        super().__init__(batch, backward)
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        self.roots = [part for part in network.modules() if isinstance(part, FSDPModule)]
        # |g|^2 of this rank's gradient, by network; None if not requested
        self.squares: list[Tensor] | None = None
        for root in self.roots:
            # by its methods; the base class is not public
            root.set_custom_reduce_scatter(_Overheard(self))  # type: ignore[arg-type]
            # a pass without backward, such as a measurement of memory, leaves the weights gathered
            root.reshard()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Accumulate the gradient of this rank within the context, and keep the gathered weights."""
        self._exchange(False)
        yield
        self._exchange(True)

    def _exchange(self, wanted: bool) -> None:
        for root in self.roots:
            root.set_requires_gradient_sync(wanted)
            root.set_reshard_after_backward(wanted)

    def listen(self) -> None:
        """Record the norm of this rank's gradient in the next exchange."""
        self.squares = []

    def heard(self) -> Tensor:
        """|g|^2 of this rank's gradient in that exchange, (), float64."""
        assert self.squares is not None
        total = torch.stack(self.squares).sum()
        self.squares = None
        return total

    def squared_mean(self) -> Tensor:
        """|g|^2 of the mean gradient, (), float64."""
        total = squared_norm([local(p.grad) for p in self.parameters if p.grad is not None])
        dist.all_reduce(total)
        return total


class _Overheard:
    """The exchange of gradients, which tells ``ranks`` the gradient of this rank first."""

    def __init__(self, ranks: Sharded) -> None:
        self.ranks = ranks

    def allocate(self, size: Any, *, dtype: torch.dtype, device: torch.device) -> Tensor:
        return torch.empty(*size, dtype=dtype, device=device)

    def __call__(
        self, output_tensor: Tensor, input_tensor: Tensor, group: dist.ProcessGroup, op: Any, async_op: bool = False
    ) -> dist.Work | None:
        if self.ranks.squares is not None:
            # padded with zeros
            self.ranks.squares.append(double(input_tensor).square().sum())
        done: dist.Work | None = dist.reduce_scatter_tensor(output_tensor, input_tensor, op, group, async_op)
        return done
