"""An example modality: periodic signals of three kinds, a small convolutional network, a line plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Data, Modality, TensorSplit, Visualizer, option

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor, nn

KINDS = ("sine", "square", "triangle")


@dataclass(frozen=True)
class Waves(Modality):
    """Sine, square and triangle waves of random amplitude, frequency and phase."""

    count: int = option(3000, "training signals", least=1)
    length: int = option(64, "samples of each signal", least=2)
    width: int = option(64, "channels of the network", least=1)

    def dataset(self) -> Data:
        """Return labeled training and validation signals, float32 (1, length)."""
        train, val = self._signals(0, self.count), self._signals(1, max(self.count // 10, 8))
        text = f"waves: {self.count} signals of {self.length} samples, {', '.join(KINDS)}"
        data = Data((1, self.length), classes=KINDS, train=train, val=val, summary={"text": text})
        return data.measured()

    def _signals(self, split: int, count: int) -> TensorSplit:
        import torch

        from ptdiff.noise import Stream, uniform

        # signal i depends only on the split and i: with another count, the first ones stay the same
        drawn = uniform(split, Stream.DATA, torch.arange(count), 0, (4,))
        label = (len(KINDS) * drawn[:, 0]).long()
        amplitude, frequency, phase = drawn[:, 1:, None].float().unbind(1)
        t = torch.linspace(0, 1, self.length)
        sine = torch.sin(2 * torch.pi * ((1 + 3 * frequency) * t + phase))
        shapes = torch.stack([sine, sine.sign(), 2 / torch.pi * torch.asin(sine)])
        return TensorSplit(((0.5 + amplitude) * shapes[label, torch.arange(count)])[:, None], label)

    def backbone(self, data: Data) -> nn.Module:
        """Build the network: four dilated convolutions, modulated by noise level and class."""
        import torch
        from torch import nn

        from ptdiff.denoiser.embedding import LevelEmbedding

        class Network(nn.Module):
            def __init__(self, width: int, classes: int) -> None:
                super().__init__()
                self.level = LevelEmbedding(width, classes)
                self.lift = nn.Conv1d(1, width, 1)
                self.blocks = nn.ModuleList(
                    nn.Conv1d(width, width, 5, padding="same", dilation=2**i, padding_mode="circular") for i in range(4)
                )
                self.scales = nn.ModuleList(nn.Linear(width, 2 * width) for _ in self.blocks)
                self.head = nn.Conv1d(width, 1, 1)

            def forward(self, x: Tensor, angle: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
                level = self.level(angle, cond)
                h = self.lift(x)
                for block, scales in zip(self.blocks, self.scales, strict=True):
                    gain, shift = scales(level)[..., None].chunk(2, dim=1)
                    h = h + torch.nn.functional.silu(block(h) * (1 + gain) + shift)
                y: Tensor = self.head(h)
                return y

        return Network(self.width, len(data.classes))

    def visualizer(self) -> Visualizer:
        """Return the visualizer of contact sheets."""
        return Plot()

    def recipe(self) -> Mapping[str, Any]:
        """Return the default training and sampling settings."""
        return {"training": {"batch": 64, "steps": 2000}, "sampling": {"solver": "heun", "steps": 20}}

    def formats(self) -> Mapping[str, Any]:
        """Return the file writers by suffix."""
        return {"csv": _write_csv}


class Plot(Visualizer):
    """Signals as lines, each in a box of its own."""

    def sheet(self, samples: npt.NDArray[np.float32], titles: Sequence[str]) -> npt.NDArray[np.uint8]:
        """Plot ``samples`` (n, 1, length) as uint8 RGB (height, width, 3)."""
        import numpy as np
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        columns = min(5, len(samples))
        rows = -(-len(samples) // columns)
        figure = Figure(figsize=(2 * columns, 1.4 * rows), layout="constrained")
        canvas = FigureCanvasAgg(figure)
        for i, signal in enumerate(samples):
            axes = figure.add_subplot(rows, columns, i + 1, ylim=(-1.8, 1.8), xticks=[], yticks=[])
            axes.plot(signal[0])
            axes.set_title(titles[i] if titles else "", fontsize=9, parse_math=False)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _write_csv(path: Path, signal: npt.NDArray[np.float32]) -> None:
    path.write_text("\n".join(f"{value:.6g}" for value in signal[0]) + "\n", encoding="utf-8")
