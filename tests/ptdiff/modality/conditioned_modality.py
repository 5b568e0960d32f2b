"""Points in the plane at a place given by a number, a vector and a category, for the tests of conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Category, Data, Modality, Number, TensorSplit, Vector, Visualizer, option

if TYPE_CHECKING:
    from torch import Tensor, nn

COLORS = ("red", "green", "blue")


class Dots(Visualizer):
    def sheet(self, samples: Any, titles: Any) -> Any:
        import numpy as np

        image = np.full((8, 8, 3), 255, dtype=np.uint8)
        image[:4] = np.clip(100 + 10 * np.mean(samples), 0, 200)
        return image


@dataclass(frozen=True)
class Placed(Modality):
    """Points around (atoms / 4, color), shifted by a vector."""

    count: int = option(400, "number of points", least=50)
    labeled: bool = option(False, "give every point a class")
    deaf: str = option("", "condition that the network does not read")

    def dataset(self) -> Data:
        import torch

        generator = torch.Generator().manual_seed(1)
        n = self.count + 40
        atoms = torch.randint(5, 21, (n,), generator=generator).float()
        color = torch.randint(3, (n,), generator=generator)
        shift = torch.randn(n, 2, generator=generator)
        x = torch.stack([atoms / 4, 2.0 * color], dim=1) + shift + 0.1 * torch.randn(n, 2, generator=generator)
        given = {"atoms": atoms, "color": color, "shift": shift}
        label = torch.arange(n) % 2 if self.labeled else None
        train, val = (
            TensorSplit(x[r], None if label is None else label[r], {k: v[r] for k, v in given.items()})
            for r in (slice(self.count), slice(self.count, None))
        )
        return Data(
            (2,),
            classes=("even", "odd") if self.labeled else (),
            train=train,
            val=val,
            conditions={"atoms": Number(least=1, whole=True), "color": Category(COLORS), "shift": Vector(2)},
        ).measured()

    def backbone(self, data: Data) -> nn.Module:
        import torch
        from torch import nn

        from ptdiff.denoiser.embedding import LevelEmbedding

        heard = {name: kind for name, kind in data.conditions.items() if name != self.deaf}

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.level = LevelEmbedding(32, len(data.classes), conditions=heard)
                self.inside, self.middle, self.out = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 2)

            def forward(self, x: Tensor, angle: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
                h = torch.nn.functional.silu(self.inside(x) + self.level(angle, cond))
                y: Tensor = self.out(torch.nn.functional.silu(self.middle(h)))
                return y

        return Network()

    def visualizer(self) -> Visualizer:
        return Dots()
