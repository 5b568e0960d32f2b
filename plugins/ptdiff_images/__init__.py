"""Small labelled images: handwritten digits that ship with scikit-learn, and IDX files such as MNIST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ptdiff.modality import Data, Modality, TensorSamples, Visualizer, Writer, option

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ptdiff_datasets.images import ImageSplit

__all__ = ["Images"]


@dataclass(frozen=True)
class Images(Modality):
    """Small images: scikit-learn's handwritten digits, or IDX files such as MNIST or Fashion-MNIST."""

    data: str = option("digits", "digits, a folder in MNIST's layout, or one file of training images (idx3)")
    channels: int = option(32, "channels of the U-Net where it is fine, twice as many where coarse")
    depth: int = option(2, "blocks of the U-Net at each place")

    def __post_init__(self) -> None:
        for name in ("channels", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def dataset(self) -> Data:
        """All images in memory, float32 (1, height, width) in [0, 1], with labels where there are any."""
        import torch

        train, val = self._splits()
        labels = [] if train.label is None or val.label is None else [*train.label, *val.label]
        classes = tuple(str(n) for n in range(int(max(labels)) + 1)) if labels else ()

        def samples(split: ImageSplit) -> TensorSamples:
            return TensorSamples(
                torch.from_numpy(split.pixels), None if split.label is None else torch.from_numpy(split.label)
            )

        shape = train.pixels.shape[1:]
        of = f", {len(classes)} classes" if classes else ""
        size = " x ".join(str(n) for n in shape[1:])
        summary = {
            "text": f"{self.data}: {len(train):,} images of {size} pixels{of}, and {len(val):,} held out",
            "source": self.data,
            "train": len(train),
            "val": len(val),
        }
        data = Data(shape, classes, train=samples(train), val=samples(val), summary=summary)
        return data.measured(keep=(-3,))

    def _splits(self) -> tuple[ImageSplit, ImageSplit]:
        from pathlib import Path

        from ptdiff.names import unknown
        from ptdiff_datasets import images

        if self.data == "digits":
            return images.digits()
        path = Path(self.data)
        if not (path.exists() or path.suffix or path.name != self.data):
            raise unknown("image set, file or folder", self.data, ["digits"])
        return images.mnist(path)

    def backbone(self, data: Data) -> nn.Module:
        """A U-Net of 0.4 M parameters at the default width."""
        from ptdiff_images.backbone import UNet

        colors, height, width = data.shape
        return UNet((colors, height, width), self.channels, self.depth, len(data.classes))

    def visualizer(self) -> Visualizer:
        """Contact sheets."""
        from ptdiff_images.picture import Sheets

        return Sheets()

    @property
    def bin_width(self) -> float:
        """1 / 255 for bytes; scikit-learn's digits count to 16."""
        return 1 / 16 if self.data == "digits" else 1 / 255

    def postprocess(self, samples: Tensor) -> Tensor:
        """Values cut off at [0, 1]."""
        return samples.clamp(0, 1)

    def recipe(self) -> Mapping[str, Any]:
        """Two minutes on two cores."""
        return {
            "training": {
                "steps": 6000,
                "batch": 32,
                "lr": 5e-3,
                "ema": 0.998,
                "condition_dropout": 0.1,
                "precision": "bf16",
                "inner_steps": 10,
            },
            # after two minutes of MNIST a nearest-neighbor judge reads 0.75, 0.89 and 0.94 of the digits right at
            # guidance 1, 1.5 and 2 (0.94 of real ones); the sliced distance to the data grows, 0.031, 0.034, 0.043
            "sampling": {"steps": 30, "guidance": 1.5},
        }

    def formats(self) -> Mapping[str, Writer]:
        """png: the image in its own size."""
        from ptdiff_images.picture import write_png

        return {"png": write_png}
