"""What the checks look at: a modality with its data and backbone built once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ptdiff.modality.contract import Modality
from ptdiff.modality.data import Data

if TYPE_CHECKING:
    from torch import Tensor, nn

BATCH = 4


@dataclass
class Subject:
    """A modality under test, with its data and backbone built once."""

    modality: Modality

    @cached_property
    def data(self) -> Data:
        return self.modality.dataset()

    @cached_property
    def net(self) -> nn.Module:
        import torch

        torch.manual_seed(0)
        net = self.modality.backbone(self.data)
        # a zero-initialized head would hide everything behind it
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
        return net.eval()

    def batch(self, seed: int = 0, first: int = 0) -> tuple[Tensor, Mapping[str, Tensor]]:
        import torch

        train = self.data.train
        assert train is not None, "dataset() returned no training samples"
        assert len(train) >= BATCH, f"{BATCH} training samples are needed to check anything, there are {len(train)}"
        return train.batch(torch.arange(first, first + BATCH) % len(train), seed)
