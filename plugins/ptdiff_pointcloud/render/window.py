"""Clouds in Open3D's window, to be turned with the mouse."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from .scene import make_scene, position_colors

_STEP = 2.4


def show(clouds: Sequence[npt.ArrayLike], titles: Sequence[str] | None = None) -> None:
    """Open a window with the clouds (each (n, 3)) side by side; returns when it is closed.

    Raises:
        RuntimeError: without a display, or where Open3D cannot be imported.
        ValueError: no clouds, or clouds that cannot be drawn.
    """
    if not clouds:
        raise ValueError("there is no cloud to show")
    scenes = [make_scene(cloud, None, None) for cloud in clouds]
    # Open3D must not be asked: without a display it draws into the void forever or ends the process.
    display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not display:
        raise RuntimeError("there is no display for a window (DISPLAY is not set): render to a file instead")
    try:
        import open3d
    except ImportError as error:
        raise RuntimeError(
            f"Open3D cannot be imported ({error}); on Debian: apt-get install libegl1 libgl1 libusb-1.0-0"
        ) from error
    drawn = []
    columns = int(np.ceil(np.sqrt(len(scenes))))
    for index, (scene, cloud) in enumerate(zip(scenes, clouds, strict=True)):
        row, column = divmod(index, columns)
        place = np.array([-column * _STEP, -row * _STEP, 0])
        points = open3d.utility.Vector3dVector(scene.centers.astype(np.float64) + place)
        geometry = open3d.geometry.PointCloud(points)
        tint = position_colors(np.asarray(cloud, dtype=np.float64))
        geometry.colors = open3d.utility.Vector3dVector(tint)
        drawn.append(geometry)
    open3d.visualization.draw_geometries(
        drawn,
        window_name=" · ".join(titles) if titles else "point clouds",
        lookat=[0, 0, 0],
        up=[0, 1, 0],
        front=[0.5, 0.4, -0.8],
        zoom=0.7,
    )
