"""Values at a point besides its position: normals of length 1, and colors, -1 to 1.

A sample with channels xyz, normals, colors has nine numbers per point, in this order.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor

    from ptdiff.modality import Array, Writer
    from ptdiff_datasets.formats.cloud import Cloud

CHANNELS = ("xyz", "normals", "colors")
_F = TypeVar("_F", bound=np.floating)


def tidied(x: Tensor, channels: Sequence[str]) -> Tensor:
    """Scale the normals of generated clouds (…, c) to length 1 and clip their colors to -1 to 1."""
    import torch

    parts = []
    for at, name in enumerate(channels):
        part = x[..., 3 * at : 3 * at + 3]
        if name == "normals":
            part = torch.nn.functional.normalize(part, dim=-1)
        parts.append(part.clamp(-1, 1) if name == "colors" else part)
    return torch.cat(parts, dim=-1)


def split(cloud: Array, channels: Sequence[str]) -> dict[str, npt.NDArray[np.generic]]:
    """Split one cloud (n, c) into the arrays that file writers take: points, normals, colors (uint8)."""
    names = {"xyz": "points", "normals": "normals", "colors": "colors"}
    parts: dict[str, npt.NDArray[np.generic]] = {}
    for at, name in enumerate(channels):
        part = cloud[:, 3 * at : 3 * at + 3]
        if name == "colors":
            parts[names[name]] = np.clip(np.rint((part + 1) * 127.5), 0, 255).astype(np.uint8)
        else:
            parts[names[name]] = part
    return parts


def joined(cloud: Cloud, channels: Sequence[str], path: Path) -> npt.NDArray[np.floating]:
    """Join the parts of a file to one cloud (n, c), float64 if positions are; ValueError if a channel is missing."""
    parts: list[npt.NDArray[np.floating]] = [cloud.points]
    for name in channels[1:]:
        part = cloud.normals if name == "normals" else cloud.colors
        if part is None:
            why = "".join(f" ({text})" for text in cloud.remarks if name in text)
            raise ValueError(f"{path} has no {name}{why}, which the channels {', '.join(channels)} need")
        parts.append(part / np.float32(127.5) - 1 if name == "colors" else part.astype(np.float32))
    return np.concatenate(parts, axis=1)


def frame(cloud: Array, normalize: str) -> tuple[npt.NDArray[np.float64], float]:
    """Return center (c,) and size of a cloud (n, c) in a folder's normalization; only positions are centered.

    ValueError if all points coincide.
    """
    center, points = np.zeros(cloud.shape[1]), cloud[:, :3].astype(np.float64)
    if normalize == "box":
        low, high = points.min(axis=0), points.max(axis=0)
        center[:3], size = (low + high) / 2, float(np.linalg.norm(high - low))
    elif normalize == "per-shape":
        center[:3] = points.mean(axis=0)
        size = float(np.sqrt(np.square(points - points.mean(axis=0)).mean()))
    else:
        return center, 1.0
    if size == 0:
        raise ValueError("all points coincide")
    return center, size


_AXES = {"x": ((-2, 1, 3), (2, -1, 3)), "y": ((1, 2, 3), (1, 2, 3)), "z": ((1, 3, -2), (1, -3, 2))}
"""For each axis that may point up: the axes, from 1 and with their signs, that become x, y, z; and the way back."""


def turned(x: npt.NDArray[_F], up: str, *, back: bool = False) -> npt.NDArray[_F]:
    """Rotate vectors (…, 3) by a quarter turn so that the axis ``up`` becomes +Y; ``back``: the inverse."""
    axes = _AXES[up][back]
    made: npt.NDArray[_F] = np.stack([x[..., axis - 1] if axis > 0 else -x[..., -axis - 1] for axis in axes], axis=-1)
    return made


def turned_cloud(x: npt.NDArray[_F], channels: Sequence[str], up: str, *, back: bool = False) -> npt.NDArray[_F]:
    """Rotate positions and normals of clouds (…, c) as :func:`turned`; colors have no direction."""
    if up == "y":
        return x
    parts = [x[..., 3 * at : 3 * at + 3] for at in range(len(channels))]
    turned_parts = [
        part if name == "colors" else turned(part, up, back=back) for part, name in zip(parts, channels, strict=True)
    ]
    return np.concatenate(turned_parts, axis=-1)


def writers(channels: Sequence[str], up: str = "y") -> dict[str, Writer]:
    """Return the writers of every format that can hold these channels, by suffix without the dot.

    They take clouds with +Y up, as they are inside, and write files in which the axis ``up`` points up.
    """
    from ptdiff_datasets.formats.catalog import WRITERS

    lacking = {".npy": {"normals", "colors"}, ".las": {"normals"}, ".laz": {"normals"}, ".npz": set(CHANNELS)}

    def writer(suffix: str) -> Writer:
        def write(path: Path, sample: Array) -> None:
            parts = split(turned_cloud(sample, channels, up, back=True), channels)
            WRITERS[suffix](path, parts["points"], parts.get("normals"), parts.get("colors"))

        return write

    return {suffix[1:]: writer(suffix) for suffix in WRITERS if not lacking.get(suffix, set()) & set(channels)}
