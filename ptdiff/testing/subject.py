"""The subject of the checks: a modality with its data and backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data
from ptdiff.modality.ragged import masked

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 4


@dataclass
class Subject:
    """A modality under test; its data and backbone are built once."""

    modality: Modality

    @cached_property
    def data(self) -> Data:
        """The modality's data set."""
        return self.modality.dataset()

    @cached_property
    def net(self) -> nn.Module:
        """The backbone in evaluation mode, with perturbed parameters."""
        import torch

        torch.manual_seed(0)
        net = self.modality.backbone(self.data)
        # a zero-initialized head would hide every difference in the layers before it
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
        return net.eval()

    def batch(self, seed: int = 0, first: int = 0) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Training samples ``first`` to ``first + BATCH``, wrapping around, and their conditions."""
        import torch

        train = self.data.train
        assert train is not None, "dataset() returned no training samples"
        assert len(train) >= BATCH, f"the checks need at least {BATCH} training samples, not {len(train)}"
        x, cond = train.batch(torch.arange(first, first + BATCH) % len(train), seed)
        return masked(x, cond.get("mask")), cond

    def rows(self, ids: Tensor, seed: int = 0) -> Tensor:
        """Training samples ``ids``, with zeros in the padding of sets of different sizes."""
        assert self.data.train is not None
        x, cond = self.data.train.batch(ids, seed)
        return masked(x, cond.get("mask"))
