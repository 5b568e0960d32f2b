"""Small sets of points in the plane, between 3 and 8 of them, for the tests of sets of different sizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Data, Modality, RaggedSplit, Visualizer, option

if TYPE_CHECKING:
    from torch import Tensor, nn


class Dots(Visualizer):
    """An image with one row for each set, as wide as the set, and darker to the left."""

    def sheet(self, samples: Any, titles: Any) -> Any:
        import numpy as np

        assert all(np.isfinite(one).all() for one in samples)
        image = np.full((len(samples), max(len(one) for one in samples) + 1, 3), 255, dtype=np.uint8)
        for row, one in zip(image, samples, strict=True):
            row[: len(one)] = np.clip(100 + 10 * one[:, :1], 0, 200)
        return image


@dataclass(frozen=True)
class Sets(Modality):
    """Few points around (-4, 1), or many around (4, 3)."""

    count: int = option(300, "number of sets", least=50)
    ignores_mask: bool = option(False, "read the padding too")

    def dataset(self) -> Data:
        import torch

        generator = torch.Generator().manual_seed(2)
        label = torch.randint(2, (self.count,), generator=generator)
        sizes = 3 + torch.randint(3, (self.count,), generator=generator) + 3 * label
        middle = torch.tensor([[-4.0, 1.0], [4.0, 3.0]])
        sets = [middle[k] + torch.randn(int(n), 2, generator=generator) for n, k in zip(sizes, label, strict=True)]
        held = self.count // 5
        return Data(
            (8, 2),
            classes=("few", "many"),
            unordered=True,
            train=RaggedSplit(sets[held:], label[held:], largest=8),
            val=RaggedSplit(sets[:held], label[:held], largest=8),
        ).measured(keep=(-1,))

    def backbone(self, data: Data) -> nn.Module:
        import torch
        from torch import nn

        from ptdiff.denoiser.embedding import LevelEmbedding

        ignores = self.ignores_mask

        class Network(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.level = LevelEmbedding(32, len(data.classes))
                self.inside, self.context, self.out = nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 2)

            def forward(self, x: Tensor, angle: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
                h = torch.nn.functional.silu(self.inside(x) + self.level(angle, cond)[:, None])
                mask = cond.get("mask")
                if mask is None or ignores:
                    mean = h.mean(dim=1)
                else:
                    mean = (h * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
                y: Tensor = self.out(torch.nn.functional.silu(h + self.context(mean)[:, None]))
                return y

        return Network()

    def visualizer(self) -> Visualizer:
        return Dots()

    def formats(self) -> Mapping[str, Any]:
        import numpy as np

        return {"txt": lambda path, x: np.savetxt(path, x)}
