"""Images and videos: handwritten digits that ship with scikit-learn, published sets by name, or your own folder."""

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
    """Images: scikit-learn's handwritten digits, MNIST and relatives, CIFAR, flowers, or a folder of your own."""

    data: str = option(
        "digits",
        "digits, mnist, fashion-mnist, kmnist, cifar10, cifar100, flowers, or a folder (of images or in these formats)",
    )
    pixels: int | None = option(
        None, "side in pixels: image files are scaled and cropped to it (default 32), other sets padded with black"
    )
    gray: bool = option(False, "one gray channel instead of colors")
    frames: int | None = option(
        None,
        "train on videos of this many frames: GIF files of a folder, or images moving over a black background (twice "
        "their side unless pixels is set)",
    )
    velocity: float | None = option(None, "pixels that an image moves per video frame; default 2")
    flip: bool = option(False, "mirror half of the training images")
    rotate: float = option(0.0, "rotate training images by up to this many degrees either way")
    augment: float = option(
        0.0,
        "probability of each augmentation (flip, shift, stretch, …); the network is conditioned on them, so none leaks",
    )
    labels: bool = option(
        True, "condition the network on the class if images have labels; false trains an unconditional model"
    )
    network: Literal["unet", "dit", "basic"] = option(
        "unet", "denoiser: unet, dit, or basic (a toy without level and class conditioning)"
    )
    size: Literal["tiny", "small", "base", "large"] = option(
        "small", "preset of the network; the options below override it"
    )
    width: int | None = option(
        None, "channels of the network; of a U-Net at its finest resolution", least=1, most=1 << 14
    )
    layers: int | None = option(None, "blocks per resolution of the U-Net, or layers of the DiT", least=1, most=1000)
    heads: int | None = option(None, "attention heads of the DiT", least=1, most=1024)
    finest: int | None = option(
        None, "fold pixels into patches until at most this many remain per side", least=1, most=4096
    )
    multipliers: tuple[int, ...] | None = option(
        None, "channels per resolution of the U-Net, as multiples of width", least=1, most=1024
    )
    attention: int | None = option(None, "number of the coarsest U-Net resolutions with attention", least=0, most=16)
    linear_attention: bool | None = option(None, "use linear attention at the other resolutions of the U-Net")
    resample: Literal["strided", "unshuffle", "bilinear", "transpose", "block", "bilinear-block"] | None = option(
        None, "resampling of the U-Net, default strided; block: inside residual blocks, as in ADM"
    )
    encoder: Literal["standard", "skip", "residual"] | None = option(
        None, "how coarser resolutions of the U-Net see the image; default standard (not at all)"
    )
    decoder: Literal["standard", "skip"] | None = option(
        None, "skip: every resolution of the U-Net outputs a part of the image; default standard"
    )
    embedding: Literal["positional", "fourier", "learned"] | None = option(
        None, "frequencies of the noise level embedding; default positional (octaves)"
    )
    norm: Literal["group", "rms", "instance", "none"] | None = option(None, "normalization of the U-Net; default group")
    activation: (
        Literal["silu", "gelu", "mish", "relu", "leaky-relu", "elu", "softplus", "tanh", "sigmoid", "none"] | None
    ) = option(None, "activation of the U-Net; default silu (also called swish)")
    kernel: int | None = option(None, "kernel size of the convolutions of the U-Net, odd; default 3", least=1, most=255)
    circular: bool | None = option(None, "periodic U-Net: what leaves on one side enters on the other")
    dropout: float | None = option(None, "dropout rate in the blocks of the network")
    self_conditioning: bool | None = option(None, "condition the network on its previous estimate")

    def __post_init__(self) -> None:
        if self.pixels is not None and not 1 <= self.pixels <= 4096:
            raise ValueError(f"pixels must be from 1 to 4096, not {self.pixels}")
        if not 0 <= self.rotate <= 180:
            raise ValueError(f"rotate must be from 0 to 180 degrees, not {self.rotate}")
        if not 0 <= self.augment <= 1:
            raise ValueError(f"augment must be a probability, not {self.augment}")
        if self.frames is not None and not 2 <= self.frames <= 256:
            raise ValueError(f"frames of a video must be from 2 to 256, not {self.frames}")
        if self.velocity is not None and not 0 <= self.velocity <= 4096:
            raise ValueError(f"velocity must be from 0 to 4096 pixels per frame, not {self.velocity}")
        if self.velocity is not None and self.frames is None:
            raise ValueError("velocity has no effect on still images: set frames too, or leave it out")
        if self.frames is not None and self.network != "unet":
            raise ValueError(f"network {self.network} generates single images; videos need unet")
        self._network()

    def _network(self) -> dict[str, Any]:
        """Return the options of the network: its preset, overridden by what is set."""
        return sized(self.network, self.size, {name: getattr(self, name) for name in OPTIONS})

    def dataset(self) -> Data:
        """Return the images, float32 (channels, height, width) or (channels, frames, height, width) in [0, 1].

        They have labels if there are any and ``labels`` is set, and are stored as bytes.
        """
        from ptdiff_images.data.augment import Augmentation, augmented
        from ptdiff_images.data.sources import unlabeled

        # mean and scale are those of the images before augmentation
        data = self._images()
        data = data if self.labels else unlabeled(data)
        return augmented(data, Augmentation(self.flip, self.rotate, self.augment))

    def _images(self) -> Data:
        """Return the images without augmentation, measured, with all their labels."""
        from ptdiff_images.data.films import Motion
        from ptdiff_images.data.sources import images

        if self.frames is None:
            return images(self.data, self.pixels, self.gray).measured(keep=(0,))
        data = images(self.data, self.pixels, self.gray, Motion(self.frames, self.velocity))
        # videos are large, and the many pixels of each suffice
        return data.measured(keep=(0,), limit=min(4096, max(64, 2**24 // math.prod(data.shape))))

    def backbone(self, data: Data) -> nn.Module:
        """Build the denoiser; the small U-Net has 0.4 M parameters."""
        from ptdiff_images.data.augment import AUGMENT_LABELS

        told = len(AUGMENT_LABELS) if self.augment else 0
        return build(self.network, data.shape, len(data.classes), told, self._network())

    def visualizer(self) -> Visualizer:
        """Return a visualizer of contact sheets, with a strip for each video."""
        from ptdiff_images.picture import Sheets, Strips

        return Sheets() if self.frames is None else Strips()

    @property
    def bin_width(self) -> float:
        """Spacing of the pixel values: 1 / 255 for bytes, 1 / 16 for scikit-learn's digits."""
        return 1 / 16 if self.data == "digits" else 1 / 255

    def postprocess(self, samples: Tensor, data: Data) -> Tensor:
        """Clip the values to [0, 1]."""
        return samples.clamp(0, 1)

    def recipe(self) -> Mapping[str, Any]:
        """Return settings for two minutes on two cores; videos of four frames take four or five times as long."""
        return {
            "training": {
                "steps": 6000,
                "batch": 32 if self.frames is None else max(4, 32 // self.frames),
                "lr": 5e-3,
                "ema": 0.998,
                "condition_dropout": 0.1,
                "inner_steps": 10,
            },
            # after two minutes of MNIST a nearest-neighbor classifier gets 0.75, 0.89 and 0.94 of the digits right at
            # guidance 1, 1.5 and 2 (0.94 of real ones); the sliced distance to the data grows, 0.031, 0.034, 0.043
            "sampling": {"steps": 30, "guidance": 1.5},
        }

    def protocols(self) -> Mapping[str, EvaluationProtocol]:
        """Return the protocols by name, the default first: features of a classifier, or pixels for videos."""
        from ptdiff_images.metrics.protocols import FILM_PROTOCOLS, PROTOCOLS

        return PROTOCOLS if self.frames is None else FILM_PROTOCOLS

    def compare(self, comparison: Comparison, protocol: str | None = None) -> Measurement:
        """Score samples with any protocol; the classifier is trained at first use and stored in the cache."""
        from ptdiff.choices import one_of
        from ptdiff_images.metrics.protocols import measure

        return measure(one_of("protocol", protocol, self.protocols()), self._images(), comparison)

    def check_data(self, source: Path, *, progress: Progress | None = None) -> Mapping[str, Any]:
        """Check a folder or file for problems; see :func:`ptdiff_datasets.images.checking.check`."""
        from ptdiff_datasets.images.checking import check

        found = check(source, progress)
        return {**found.as_dict(), "text": found.text()}

    def formats(self) -> Mapping[str, Writer]:
        """Return the file writers: png (an image in its own size, or the frames of a video in a row), gif (a video)."""
        from ptdiff_images.picture import write_gif, write_png, write_strip

        return {"png": write_png} if self.frames is None else {"png": write_strip, "gif": write_gif}
