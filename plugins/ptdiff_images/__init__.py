"""Images: handwritten digits that ship with scikit-learn, published sets by name, any folder of pictures; films."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ptdiff.modality import (
    Comparison,
    Data,
    EvaluationProtocol,
    Measurement,
    Modality,
    Progress,
    Visualizer,
    Writer,
    option,
)
from ptdiff_images.networks.catalog import OPTIONS, build, sized

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

__all__ = ["Images"]


@dataclass(frozen=True)
class Images(Modality):
    """Images: scikit-learn's handwritten digits, MNIST and its kin, CIFAR, flowers, or a folder of your own."""

    data: str = option(
        "digits",
        "digits, mnist, fashion-mnist, kmnist, cifar10, cifar100, flowers, or a folder (of pictures, or like these)",
    )
    pixels: int | None = option(
        None, "side of the images: pictures are scaled and cut to it (32 unless set), others are padded with black"
    )
    gray: bool = option(False, "one channel of gray instead of colors")
    frames: int | None = option(
        None,
        "films of so many frames: those of a folder (gif), or images that move over a black ground (of twice their "
        "side unless pixels is set)",
    )
    velocity: float | None = option(None, "pixels that an image moves from frame to frame of a film; 2 unless set")
    flip: bool = option(False, "mirror every other training image")
    rotate: float = option(0.0, "turn training images by up to so many degrees either way")
    augment: float = option(
        0.0,
        "probability of each change (mirrored, moved, stretched, …) of which the network is told, so that none leaks",
    )
    labels: bool = option(
        True, "tell the network the class, where images have labels; a model without is unconditional"
    )
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
    resample: Literal["strided", "unshuffle", "bilinear", "transpose", "block", "bilinear-block"] | None = option(
        None, "how the U-Net halves and doubles: strided unless set; block: inside residual blocks, as ADM"
    )
    encoder: Literal["standard", "skip", "residual"] | None = option(
        None, "how the U-Net sees the image again where it is coarser: standard (not at all) unless set"
    )
    decoder: Literal["standard", "skip"] | None = option(
        None, "skip: every resolution of the U-Net draws its part of the image; standard unless set"
    )
    embedding: Literal["positional", "fourier", "learned"] | None = option(
        None, "frequencies by which the network is told the noise level: positional (octaves) unless set"
    )
    norm: Literal["group", "rms", "instance", "none"] | None = option(None, "of the U-Net: group unless set")
    activation: (
        Literal["silu", "gelu", "mish", "relu", "leaky-relu", "elu", "softplus", "tanh", "sigmoid", "none"] | None
    ) = option(None, "of the U-Net: silu (also called swish) unless set")
    kernel: int | None = option(None, "side of the convolutions of the U-Net, odd: 3 unless set")
    circular: bool | None = option(None, "a U-Net without edges: what leaves on one side comes in on the other")
    dropout: float | None = option(None, "rate of dropout in the blocks of the network")
    self_conditioning: bool | None = option(None, "show the network its own last estimate")

    def __post_init__(self) -> None:
        if self.pixels is not None and not 1 <= self.pixels <= 4096:
            raise ValueError(f"pixels must be from 1 to 4096, not {self.pixels}")
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate must be from 0 to 180 degrees, not {self.rotate}")
        if not 0 <= self.augment <= 1:
            raise ValueError(f"augment must be a probability, not {self.augment}")
        if self.frames is not None and not 2 <= self.frames <= 256:
            raise ValueError(f"frames of a film must be from 2 to 256, not {self.frames}")
        if self.velocity is not None and not 0 <= self.velocity <= 4096:
            raise ValueError(f"velocity must be from 0 to 4096 pixels a frame, not {self.velocity}")
        if self.velocity is not None and self.frames is None:
            raise ValueError("velocity has no effect on still images: set frames too, or leave it out")
        if self.frames is not None and self.network != "unet":
            raise ValueError(f"network {self.network} draws single images; films need unet")
        self._network()

    def _network(self) -> dict[str, Any]:
        """The options of the network: those of its preset, but for what is set."""
        return sized(self.network, self.size, {name: getattr(self, name) for name in OPTIONS})

    def dataset(self) -> Data:
        """float32 (channels, height, width), of films (channels, frames, height, width), in [0, 1], with labels where
        there are any; kept as bytes."""
        from ptdiff_images.data.augment import Augmentation, augmented
        from ptdiff_images.data.sources import unlabeled

        # the images as they are tell mean and scale
        data = self._images()
        data = data if self.labels else unlabeled(data)
        return augmented(data, Augmentation(self.flip, self.rotate, self.augment))

    def _images(self) -> Data:
        """The images as they are, measured, with all their labels."""
        from ptdiff_images.data.films import Motion
        from ptdiff_images.data.sources import images

        if self.frames is None:
            return images(self.data, self.pixels, self.gray).measured(keep=(0,))
        data = images(self.data, self.pixels, self.gray, Motion(self.frames, self.velocity))
        # films are large, and many pixels of each tell the same
        return data.measured(keep=(0,), limit=min(4096, max(64, 2**24 // math.prod(data.shape))))

    def backbone(self, data: Data) -> nn.Module:
        """The denoiser; the small U-Net has 0.4 M parameters."""
        from ptdiff_images.data.augment import AUGMENT_LABELS

        told = len(AUGMENT_LABELS) if self.augment else 0
        return build(self.network, data.shape, len(data.classes), told, self._network())

    def visualizer(self) -> Visualizer:
        """Contact sheets, of films with a strip for each."""
        from ptdiff_images.picture import Sheets, Strips

        return Sheets() if self.frames is None else Strips()

    @property
    def bin_width(self) -> float:
        """1 / 255 for bytes; scikit-learn's digits count to 16."""
        return 1 / 16 if self.data == "digits" else 1 / 255

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        """Values cut off at [0, 1]."""
        return samples.clamp(0, 1)

    def recipe(self) -> Mapping[str, Any]:
        """Two minutes on two cores; films of four frames take four or five times as many operations."""
        return {
            "training": {
                "steps": 6000,
                "batch": 32 if self.frames is None else max(4, 32 // self.frames),
                "lr": 5e-3,
                "ema": 0.998,
                "condition_dropout": 0.1,
                "inner_steps": 10,
            },
            # after two minutes of MNIST a nearest-neighbor judge reads 0.75, 0.89 and 0.94 of the digits right at
            # guidance 1, 1.5 and 2 (0.94 of real ones); the sliced distance to the data grows, 0.031, 0.034, 0.043
            "sampling": {"steps": 30, "guidance": 1.5},
        }

    def protocols(self) -> Mapping[str, EvaluationProtocol]:
        """By features of a classifier of the same images, by pixels (first for films), by the Inception network's."""
        from ptdiff_images.metrics.protocols import FILM_PROTOCOLS, PROTOCOLS

        return PROTOCOLS if self.frames is None else FILM_PROTOCOLS

    def compare(self, comparison: Comparison, protocol: str | None = None) -> Measurement:
        """By any of the protocols; the classifier is trained at its first use and kept in the cache folder."""
        from ptdiff.choices import one_of
        from ptdiff_images.metrics.protocols import measure

        return measure(one_of("protocol", protocol, self.protocols()), self._images(), comparison)

    def check_data(self, source: Path, *, progress: Progress | None = None) -> Mapping[str, Any]:
        """What is good and bad in a folder or file; see :func:`ptdiff_datasets.images.checking.check`."""
        from ptdiff_datasets.images.checking import check

        found = check(source, progress)
        return {**found.as_dict(), "text": found.text()}

    def formats(self) -> Mapping[str, Writer]:
        """png: the image in its own size, of a film the frames side by side; gif: a film."""
        from ptdiff_images.picture import write_gif, write_png, write_strip

        return {"png": write_png} if self.frames is None else {"png": write_strip, "gif": write_gif}
