"""A Gaussian in the plane with a small network: the modality of the training tests, also in other processes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Data, Modality, TensorSplit, Visualizer

if TYPE_CHECKING:
    from torch import Tensor, nn


class Samples(TensorSplit):
    """Samples that may be slow or not finite, except for seed 0, which measures them."""

    def __init__(self, x: Tensor, label: Tensor | None, delay: float, broken: bool) -> None:
        super().__init__(x, label)
        self.delay, self.broken = delay, broken

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Any]:
        time.sleep(self.delay)
        x, cond = super().batch(ids, seed)
        return (x / 0 if self.broken and seed else x), cond


class Dots(Visualizer):
    def sheet(self, samples: Any, titles: Any) -> Any:
        import numpy as np

        image = np.full((8, 8, 3), 255, dtype=np.uint8)
        image[:4] = 0
        return image


@dataclass(frozen=True)
class Tiny(Modality):
    """A Gaussian in the plane."""

    count: int = 200
    classes: int = 0
    width: int = 16
    dropout: float = 0.0
    delay: float = 0.0
    broken: bool = False
    held: int = 0
    self_conditioning: bool = False

    def dataset(self) -> Data:
        import torch

        generator = torch.Generator().manual_seed(1)
        x = torch.randn(self.count, 2, generator=generator) * torch.tensor([0.5, 2.0]) + torch.tensor([3.0, -1.0])
        label = torch.arange(self.count) % self.classes if self.classes else None
        names = tuple(f"class {i}" for i in range(self.classes))
        val = TensorSplit(x[: self.held] + 0.1, None if label is None else label[: self.held]) if self.held else None
        train = Samples(x, label, self.delay, self.broken)
        return Data((2,), classes=names, train=train, val=val).measured(keep=(-1,))

    def backbone(self, data: Data) -> nn.Module:
        import torch
        from torch import nn

        from ptdiff.denoiser.embedding import LevelEmbedding

        width, classes, dropout, recalls = self.width, len(data.classes), self.dropout, self.self_conditioning

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.level = LevelEmbedding(width, classes)
                self.self_conditioning = recalls
                self.inside = nn.Linear(4 if recalls else 2, width)
                self.middle = nn.Linear(width, width)
                self.out = nn.Linear(width, 2)
                self.dropout = nn.Dropout(dropout)

            def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
                seen = torch.cat([x, cond.get("estimate", torch.zeros_like(x))], dim=1) if recalls else x
                h = torch.nn.functional.silu(self.inside(seen) + self.level(angle, cond))
                h = self.dropout(torch.nn.functional.silu(self.middle(h)))
                y: Tensor = self.out(h)
                return y

        return Network()

    def visualizer(self) -> Visualizer:
        return Dots()
