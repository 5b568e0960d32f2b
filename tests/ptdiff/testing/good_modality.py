"""A modality that passes every check, and ways to spoil it in one respect."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ptdiff.denoiser.embedding import LevelEmbedding
from ptdiff.metrics import Score
from ptdiff.modality import (
    Data,
    Measurement,
    Modality,
    Number,
    RaggedSplit,
    TableWriter,
    TensorSplit,
    Visualizer,
    Writer,
    option,
)

COUNT, ELEMENTS = 60, 5


class Network(nn.Module):
    """Permutation-equivariant: every element by itself, and their mean without padding."""

    def __init__(self) -> None:
        super().__init__()
        self.level = LevelEmbedding(16, 2, conditions={"lift": Number()})
        self.inside = nn.Linear(2, 16)
        self.context = nn.Linear(2, 16)
        self.weight = nn.Linear(1, 16)
        self.out = nn.Linear(16, 2)

    def hidden(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        weight = cond.get("weight", torch.zeros_like(angle))
        told = self.level(angle, cond) + self.context(self.mean(x, cond)) + self.weight(weight[:, None])
        return torch.nn.functional.silu(self.inside(x) + told[:, None])

    def mean(self, x: Tensor, cond: Any) -> Tensor:
        if "mask" not in cond:
            return x.mean(dim=1)
        mask = cond["mask"][..., None]
        found: Tensor = torch.where(mask, x, 0).sum(dim=1) / mask.sum(dim=1)
        return found

    def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
        return self.out(self.hidden(x, angle, cond))  # type: ignore[no-any-return]


class Dots(Visualizer):
    """Points as black pixels in a square for each sample."""

    def sheet(self, samples: Any, titles: Any) -> Any:
        image = np.full((32, 32 * len(samples), 3), 255, dtype=np.uint8)
        for i, points in enumerate(samples):
            at = np.clip(np.nan_to_num(points) + 6, 0, 31).astype(int)
            image[at[:, 1], 32 * i + at[:, 0]] = 0
        return image


class Split(TensorSplit):
    """Sets of points with a label, a declared number and a weight; ``plain`` is the split itself."""

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Any]:
        x, cond = super().batch(ids, seed)
        return x, {**cond, "lift": x[:, 0, 0].clone(), "weight": 1 + x[:, 0].mean(dim=1) / 100}

    @property
    def plain(self) -> Split:
        return self


def _read(path: Path) -> Any:
    words = path.read_text(encoding="utf-8").split()
    if not words:
        raise ValueError(f"{path.name} holds no points")
    return np.array(words, dtype=np.float32).reshape(-1, 2)


@dataclass(frozen=True)
class Good(Modality):
    """Small sets of points in the plane, in two classes."""

    of_data = ("data", "count")

    data: str = option("cloud", "what the points are: cloud")
    count: int = option(COUNT, "training sets", least=1, most=10**6)
    sizes: tuple[int, ...] = option((ELEMENTS,), "points in each set", least=1)

    def dataset(self) -> Data:
        if self.data != "cloud":
            raise ValueError(f"unknown points {self.data!r}")
        generator = torch.Generator().manual_seed(0)
        x = (torch.randn(self.count + 10, self.sizes[0], 2, generator=generator) * 12 + 40).round() / 4
        label = torch.arange(len(x)) % 2
        train, val = (Split(x[part], label[part]) for part in (slice(10, None), slice(10)))
        text = {"text": "points"}
        data = Data(
            (self.sizes[0], 2),
            classes=("odd", "even"),
            unordered=True,
            train=train,
            val=val,
            summary=text,
            conditions={"lift": Number()},
        )
        return data.measured(keep=(-1,))

    @property
    def bin_width(self) -> float | None:
        return 0.25

    def backbone(self, data: Data) -> nn.Module:
        return Network()

    def visualizer(self) -> Visualizer:
        return Dots()

    def recipe(self) -> Mapping[str, Any]:
        return {"training": {"lr": 1e-3}, "process": "vp"}

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        return (samples * 4).round() / 4

    def formats(self) -> Mapping[str, Writer]:
        return {"txt": lambda path, x: np.savetxt(path, x)}

    def tables(self) -> Mapping[str, TableWriter]:
        return {"tsv": lambda path, x, classes: np.savetxt(path, x.reshape(len(x), -1))}

    def read(self, path: Path) -> Any:
        return _read(path)

    def gallery(self) -> Mapping[str, Any]:
        def plot(model: Any) -> Any:
            """Points of the model."""

        return {"points": plot}

    def check_data(self, source: Path, *, progress: Any = None) -> Mapping[str, Any]:
        return {"ok": True, "text": source.read_text()}


class Unequal(RaggedSplit):
    """Sets of different sizes with a label, a declared number and a weight."""

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Any]:
        x, cond = super().batch(ids, seed)
        return x, {**cond, "lift": x[:, 0, 0].clone(), "weight": 1 + x[:, 0].mean(dim=1) / 100}

    @property
    def plain(self) -> Unequal:
        return self


@dataclass(frozen=True)
class Ragged(Good):
    """Sets of different sizes."""

    def dataset(self) -> Data:
        data = super().dataset()
        return replace(data, train=_cut(data.train), val=_cut(data.val)).measured(keep=(-1,))

    def tables(self) -> Mapping[str, TableWriter]:
        return {"tsv": lambda path, x, classes: np.savetxt(path, np.concatenate(list(x)))}


def _cut(split: Any) -> Unequal:
    """Every fifth set with one element, the next with two, and so on."""
    sets = [one[: 1 + i % ELEMENTS] for i, one in enumerate(split.x)]
    return Unequal(sets, split.label, largest=ELEMENTS)


Change = Callable[[Tensor, Any, Tensor, int], tuple[Tensor, Any]]


class Changed:
    """A split with its batches changed on the way."""

    def __init__(self, inner: Any, change: Change) -> None:
        self.inner, self.change = inner, change

    def __len__(self) -> int:
        return len(self.inner)

    def batch(self, ids: Tensor, seed: int) -> Any:
        return self.change(*self.inner.batch(ids, seed), ids, seed)


def data_with(change: Callable[[Data], Data]) -> type[Modality]:
    @dataclass(frozen=True)
    class Spoiled(Good):
        """Spoiled data."""

        def dataset(self) -> Data:
            return change(super().dataset())

    return Spoiled


def batches_with(change: Change) -> type[Modality]:
    return data_with(lambda data: replace(data, train=Changed(data.train, change)))


def network_with(forward: Callable[..., Tensor], **parts: Callable[[], Any]) -> type[Modality]:
    class Spoiled(Network):
        def __init__(self) -> None:
            super().__init__()
            for name, make in parts.items():
                setattr(self, name, make())

        def forward(self, x: Tensor, angle: Tensor, cond: Any) -> Tensor:
            return forward(self, x, angle, cond)

    return method_with(backbone=lambda self, data: Spoiled())


def method_with(**methods: Any) -> type[Modality]:
    return dataclass(frozen=True)(type("Spoiled", (Good,), {"__doc__": "Spoiled methods.", **methods}))


def sheets_with(sheet: Callable[..., Any], **methods: Any) -> type[Modality]:
    made = type("Spoiled", (Dots,), {"sheet": sheet, **methods})
    return method_with(visualizer=lambda self: made())


def scores_with(value: Callable[[Any], Score]) -> type[Modality]:
    def compare(self: Any, sets: Any, protocol: Any = None) -> Measurement:
        from ptdiff.choices import one_of

        one_of("protocol", protocol, self.protocols())
        return Measurement({"it": value(sets)})

    return method_with(compare=compare)
