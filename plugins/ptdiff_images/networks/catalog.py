"""Image denoisers by name, with four presets each, from minutes on a laptop to a large GPU.

The keys of its presets are the options of a network; what a user sets overrides the preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ptdiff_images.networks.options import Network, Size

if TYPE_CHECKING:
    from torch import nn

_STYLE: dict[str, Any] = {"norm": "group", "activation": "silu", "kernel": 3, "circular": False, "dropout": 0.0}
_UNET: dict[str, Any] = {
    "attention": 1,
    "linear_attention": False,
    "resample": "strided",
    "encoder": "standard",
    "decoder": "standard",
    "embedding": "positional",
    "self_conditioning": False,
    **_STYLE,
}
_DIT: dict[str, Any] = {"embedding": "positional", "dropout": 0.0, "self_conditioning": False}

SIZES: dict[Network, dict[Size, dict[str, Any]]] = {
    "unet": {
        "tiny": {"width": 16, "layers": 1, "multipliers": (1, 2), "finest": 16, **_UNET},
        "small": {"width": 32, "layers": 2, "multipliers": (1, 2), "finest": 16, **_UNET},
        "base": {"width": 64, "layers": 2, "multipliers": (1, 2, 4), "finest": 32, **_UNET},
        "large": {"width": 128, "layers": 4, "multipliers": (1, 2, 2), "finest": 64, **_UNET, "attention": 2},
    },
    "dit": {
        "tiny": {"width": 64, "layers": 4, "heads": 4, "finest": 8, **_DIT},
        "small": {"width": 128, "layers": 6, "heads": 4, "finest": 8, **_DIT},
        "base": {"width": 384, "layers": 12, "heads": 6, "finest": 16, **_DIT},
        "large": {"width": 768, "layers": 12, "heads": 12, "finest": 16, **_DIT},
    },
    "basic": {"tiny": {"width": 16}, "small": {"width": 32}, "base": {"width": 64}, "large": {"width": 128}},
}
"""Options by network and size."""

OPTIONS = tuple(dict.fromkeys(name for sizes in SIZES.values() for name in sizes["small"]))
"""All options that a preset sets."""

_ZERO = ("attention",)


def sized(network: Network, size: Size, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the preset, overridden by the ``options`` that are not None.

    ValueError for an option that the network does not have, or a value out of range.
    """
    preset = SIZES[network][size]
    chosen = {name: value for name, value in options.items() if value is not None}
    for name, value in chosen.items():
        if name not in preset:
            raise ValueError(f"{name} has no effect on {network}, which has {', '.join(preset)}; leave it out")
        numbers = value if isinstance(value, tuple) else (value,)
        least = 0 if name in _ZERO else 1
        if not numbers or any(type(n) is int and n < least for n in numbers):
            raise ValueError(f"{name} must be at least {least}, not {value}")
    found = {**preset, **chosen}
    if found.get("kernel", 1) % 2 == 0:
        raise ValueError(f"kernel must be odd, not {found['kernel']}")
    if not 0 <= found.get("dropout", 0) < 1:
        raise ValueError(f"dropout must be at least 0 and less than 1, not {found['dropout']}")
    if found["width"] % found.get("heads", 1) or ("heads" in found and found["width"] % 4):
        raise ValueError(
            f"width must be a multiple of 4 and of heads, not {found['width']} with {found['heads']} heads"
        )
    if found.get("circular") and found["resample"] == "transpose":
        raise ValueError("a transposed convolution pads with zeros: circular needs another resample")
    return found


def build(
    network: Network, shape: tuple[int, ...], classes: int, augment: int, options: Mapping[str, Any]
) -> nn.Module:
    """Build a denoiser of images, shape (colors, height, width), or of videos, shape (colors, frames, height, width).

    augment: number of values that describe the augmentation of a sample. options: from :func:`sized`. ValueError for
    videos with any network but a U-Net.
    """
    colors, *frames, height, width = shape
    image = (colors, height, width)
    if frames and network != "unet":
        raise ValueError(f"network {network} generates single images; videos need unet")
    match network:
        case "unet":
            from ptdiff_images.networks.style import Style
            from ptdiff_images.networks.unet import UNet
            from ptdiff_images.networks.video import Video

            style = Style(**{name: options[name] for name in _STYLE})
            rest = {name: value for name, value in options.items() if name not in _STYLE}
            net = UNet(image, classes, augment, **rest, style=style, frames=frames[0] if frames else None)
            return Video(net) if frames else net
        case "dit":
            from ptdiff_images.networks.dit import DiT

            return DiT(image, classes, augment, **options)
        case "basic":
            if augment:
                raise ValueError("basic is unconditional, so augmentations would leak; choose another network")
            from ptdiff_images.networks.basic import Basic

            return Basic(image, **options)
