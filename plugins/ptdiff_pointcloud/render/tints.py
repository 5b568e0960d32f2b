"""The colors of the points of a cloud: by position, normal, label, or its own.

A cloud (n, c) has three numbers for each of its channels: xyz, normals (length 1), colors (-1 to 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ptdiff.modality import Array

Tint = Literal["position", "normal", "label", "rgb"]
TINTS: tuple[Tint, ...] = get_args(Tint)

Colors = npt.NDArray[np.float64]

PALETTE = np.array(
    [
        (31, 119, 180),
        (255, 127, 14),
        (44, 160, 44),
        (214, 39, 40),
        (148, 103, 189),
        (140, 86, 75),
        (227, 119, 194),
        (127, 127, 127),
        (188, 189, 34),
        (23, 190, 207),
    ]
)
"""Colors of the classes 0, 1, …, repeating: the ten of Tableau."""

_GRAY = 0.6


def tints(cloud: Array, by: Tint, channels: Sequence[str], label: int = -1) -> Colors:
    """Return sRGB colors (n, 3) in [0, 1] of a cloud (n, c).

    position: x, y, z as red, green, blue. normal: its direction, from the channel or else estimated and oriented
    outwards.
    label: one color for the class ``label``, gray for -1. rgb: the channel of colors.

    ValueError for rgb if there are no colors.
    """
    points = cloud[:, :3].astype(np.float64)
    if by == "position":
        from ptdiff_pointcloud.render.scene import position_colors

        return position_colors(points)
    if by == "label":
        color = PALETTE[label % len(PALETTE)] / 255 if label >= 0 else np.full(3, _GRAY)
        return np.tile(color, (len(points), 1))
    if by == "rgb":
        if "colors" not in channels:
            raise ValueError(f"these clouds have no colors of their own, only {', '.join(channels)}")
        return np.clip((_channel(cloud, channels, "colors") + 1) / 2, 0, 1)
    return np.clip((_normals(cloud, points, channels) + 1) / 2, 0, 1)


def _normals(cloud: Array, points: Colors, channels: Sequence[str]) -> Colors:
    if "normals" in channels:
        return _channel(cloud, channels, "normals")
    from ptdiff_pointcloud.meshing.enclosure import LEAST
    from ptdiff_pointcloud.meshing.orient import outward_normals

    # too few points have no surface: gray
    return outward_normals(points) if len(points) >= LEAST else np.full(points.shape, 2 * _GRAY - 1)


def _channel(cloud: Array, channels: Sequence[str], name: str) -> Colors:
    at = 3 * list(channels).index(name)
    return cloud[:, at : at + 3].astype(np.float64)
