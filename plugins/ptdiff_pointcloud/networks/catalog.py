"""Point cloud denoisers by name, with four presets each, from minutes on a laptop to a large GPU.

The keys of its presets are the options of a network; what a user sets overrides the preset.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import nn

Network = Literal["set-transformer", "latent", "pointnet", "point-transformer", "pointwise", "pvcnn", "dit"]
Size = Literal["tiny", "small", "base", "large"]
Task = Literal["generate", "complete", "upsample"]

GIVEN: dict[Task, tuple[str, ...]] = {"generate": (), "complete": ("partial",), "upsample": ("coarse",)}
"""Clouds that condition a model of each task (module ``tokens``)."""

SIZES: dict[Network, dict[Size, dict[str, int]]] = {
    "set-transformer": {
        "tiny": {"width": 64, "layers": 4, "inducers": 32, "heads": 1},
        "small": {"width": 96, "layers": 4, "inducers": 16, "heads": 4},
        "base": {"width": 192, "layers": 6, "inducers": 32, "heads": 4},
        "large": {"width": 384, "layers": 8, "inducers": 64, "heads": 8},
    },
    "latent": {
        "tiny": {"width": 64, "layers": 3, "latents": 32, "heads": 4, "compute": 1},
        "small": {"width": 128, "layers": 3, "latents": 32, "heads": 4, "compute": 2},
        "base": {"width": 256, "layers": 4, "latents": 64, "heads": 8, "compute": 3},
        "large": {"width": 512, "layers": 6, "latents": 256, "heads": 8, "compute": 4},
    },
    "pointnet": {
        "tiny": {"width": 64, "layers": 3, "neighbors": 8},
        "small": {"width": 96, "layers": 4, "neighbors": 8},
        "base": {"width": 192, "layers": 6, "neighbors": 16},
        "large": {"width": 384, "layers": 8, "neighbors": 16},
    },
    "point-transformer": {
        "tiny": {"width": 48, "layers": 3, "neighbors": 8},
        "small": {"width": 96, "layers": 4, "neighbors": 8},
        "base": {"width": 192, "layers": 6, "neighbors": 16},
        "large": {"width": 384, "layers": 8, "neighbors": 16},
    },
    "pointwise": {
        "tiny": {"width": 32, "code": 32},
        "small": {"width": 64, "code": 64},
        "base": {"width": 128, "code": 128},
        "large": {"width": 256, "code": 256},
    },
    "pvcnn": {
        "tiny": {"width": 32, "layers": 3, "resolution": 8},
        "small": {"width": 48, "layers": 4, "resolution": 12},
        "base": {"width": 128, "layers": 6, "resolution": 16},
        "large": {"width": 256, "layers": 8, "resolution": 32},
    },
    "dit": {
        "tiny": {"width": 64, "layers": 4, "heads": 4},
        "small": {"width": 128, "layers": 6, "heads": 4},
        "base": {"width": 384, "layers": 12, "heads": 6},
        "large": {"width": 768, "layers": 12, "heads": 12},
    },
}
"""Options by network and size."""

NUMBERS = ("width", "layers", "inducers", "latents", "compute", "heads", "neighbors", "resolution", "code")
"""All options that a preset sets."""

_SMALL = {name: value for sizes in reversed(SIZES.values()) for name, value in sizes["small"].items()}


def sized(network: Network, size: Size, options: Mapping[str, int | None]) -> dict[str, int]:
    """Return the preset, overridden by the ``options`` that are not None.

    ValueError for an option that the network does not have, or a value out of range.
    """
    preset = SIZES[network][size]
    chosen = {name: value for name, value in options.items() if value is not None}
    for name, value in chosen.items():
        # runs made before there were presets hold the numbers of the small one for every network
        if name not in preset and value != _SMALL[name]:
            raise ValueError(f"{name} has no effect on {network}, which has {', '.join(preset)}; leave it out")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}")
    numbers = {name: chosen.get(name, value) for name, value in preset.items()}
    # the points of a latent transformer have half the width and as many heads
    parts = numbers.get("heads", 1) * (2 if network == "latent" else 1)
    if numbers["width"] % parts:
        times = "twice the heads" if network == "latent" else "heads"
        raise ValueError(f"width must be a multiple of {times}, not {numbers['width']} with {numbers['heads']} heads")
    return numbers


def build(
    network: Network,
    channels: int,
    classes: int,
    numbers: Mapping[str, int],
    given: Sequence[str] = (),
    self_conditioning: bool = False,
    reads: int | None = None,
) -> nn.Module:
    """Build a denoiser of points of ``channels`` numbers; ``given``: names of the clouds that may condition it.

    reads: number of points of a larger cloud that are read as a whole, by the networks that do so.
    self_conditioning: for ``latent`` only, condition it on its previous estimate.
    """
    match network:
        case "set-transformer":
            from ptdiff_pointcloud.networks.set_transformer import SetTransformer

            return SetTransformer(channels, classes, **numbers, given=given, reads=reads)
        case "latent":
            from ptdiff_pointcloud.networks.latent import Latent

            return Latent(channels, classes, **numbers, given=given, reads=reads, self_conditioning=self_conditioning)
        case "pointnet":
            from ptdiff_pointcloud.networks.pointnet import PointNet

            return PointNet(channels, classes, **numbers, given=given)
        case "point-transformer":
            from ptdiff_pointcloud.networks.pointnet import PointTransformer

            return PointTransformer(channels, classes, **numbers, given=given)
        case "pointwise":
            from ptdiff_pointcloud.networks.pointwise import Pointwise

            return Pointwise(channels, classes, **numbers, given=given)
        case "pvcnn":
            from ptdiff_pointcloud.networks.pvcnn import PVCNN

            return PVCNN(channels, classes, **numbers, given=given)
        case "dit":
            from ptdiff_pointcloud.networks.dit import DiT

            return DiT(channels, classes, **numbers, given=given)
