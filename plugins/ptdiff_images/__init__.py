"""Small labelled images: handwritten digits that ship with scikit-learn, and IDX files such as MNIST."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ptdiff.modality import Data, Measurement, Modality, Progress, TensorSamples, Visualizer, Writer, option
from ptdiff_images.networks import OPTIONS, build, sized

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from ptdiff.metrics import Score
    from ptdiff_datasets.images import ImageSplit

__all__ = ["Images"]


@dataclass(frozen=True)
class Images(Modality):
    """Small images: scikit-learn's handwritten digits, or IDX files such as MNIST or Fashion-MNIST."""

    data: str = option("digits", "digits, a folder in MNIST's layout, or one file of training images (idx3)")
    network: Literal["unet", "dit", "basic"] = option(
        "unet", "the denoiser: unet, dit, or basic (a toy that is told neither level nor class)"
    )
    size: Literal["tiny", "small", "base", "large"] = option(
        "small", "preset of the network, which the options below overrule"
    )
    width: int | None = option(None, "channels of the network; of a U-Net where it is finest")
    layers: int | None = option(None, "blocks of the U-Net at each resolution, layers of the DiT")
    heads: int | None = option(None, "attention heads of the DiT")
    finest: int | None = option(None, "pixels are folded into patches until so many a side are left")
    multipliers: tuple[int, ...] | None = option(None, "channels at each resolution of the U-Net, as [1, 2, 4]")
    attention: int | None = option(None, "how many of the coarsest resolutions of the U-Net have attention")
    linear_attention: bool | None = option(None, "linear attention at the other resolutions of the U-Net")
    resample: Literal["strided", "unshuffle", "bilinear", "transpose"] | None = option(
        None, "how the U-Net halves and doubles: strided unless set"
    )
    norm: Literal["group", "rms", "instance"] | None = option(None, "of the U-Net: group unless set")
    activation: Literal["silu", "gelu", "mish", "relu", "leaky-relu", "elu", "softplus", "tanh", "sigmoid"] | None = (
        option(None, "of the U-Net: silu unless set")
    )
    circular: bool | None = option(None, "a U-Net without edges: what leaves on one side comes in on the other")
    dropout: float | None = option(None, "rate of dropout in the blocks of the network")
    self_conditioning: bool | None = option(None, "show the network its own last estimate")

    def __post_init__(self) -> None:
        self._network()

    def _network(self) -> dict[str, Any]:
        """The options of the network: those of its preset, but for what is set."""
        return sized(self.network, self.size, {name: getattr(self, name) for name in OPTIONS})

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
        """The denoiser; the small U-Net has 0.4 M parameters."""
        colors, height, width = data.shape
        return build(self.network, (colors, height, width), len(data.classes), 0, self._network())

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

    def metrics(
        self, samples: Tensor, reference: Tensor, training: Tensor, seed: int = 0, progress: Progress | None = None
    ) -> dict[str, Score]:
        """Of labelled images distances of features and the share read as asked; of others distances of pixels."""
        return self.measure(self.protocol, samples, reference, training, seed, progress).scores

    @property
    def protocol(self) -> str:
        """By the features of a classifier that is trained on the same training images."""
        return "lenet"

    def protocols(self) -> Mapping[str, str]:
        """By features of that classifier, by pixels, by features of the Inception network."""
        from ptdiff_images.metrics import PROTOCOLS

        return PROTOCOLS

    def measure(
        self,
        protocol: str,
        samples: Tensor,
        reference: Tensor,
        training: Tensor,
        seed: int = 0,
        progress: Progress | None = None,
        cache: Path | None = None,
        labels: Tensor | None = None,
    ) -> Measurement:
        """By any of the protocols; the classifier is trained at its first use and kept in the cache folder."""
        from ptdiff_images.metrics import measure

        return measure(protocol, self.dataset(), samples, reference, training, seed, progress, labels)

    def formats(self) -> Mapping[str, Writer]:
        """png: the image in its own size."""
        from ptdiff_images.picture import write_png

        return {"png": write_png}
