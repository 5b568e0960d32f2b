"""Clouds in Open3D's window, to turn with the mouse."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff.machine.libraries import why_no_open3d
from ptdiff.modality import Unsupported
from ptdiff_pointcloud.render.scene import make_scene, to_srgb

_STEP = 2.4


def show(clouds: Sequence[npt.ArrayLike], titles: Sequence[str] | None = None) -> None:
    """Open a window with the clouds (each (n, 3)) side by side; returns when it is closed.

    Raises:
        Unsupported: without a display, or if Open3D cannot be imported.
        ValueError: no clouds, or clouds that cannot be rendered.
    """
    if not clouds:
        raise ValueError("there is no cloud to show")
    scenes = [make_scene(cloud, None, None) for cloud in clouds]
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise Unsupported(why_no_open3d(error)) from error
    # Do not ask Open3D: without a display it renders to nowhere for ever, or ends the process.
    if sys.platform.startswith("linux") and not _display_answers():
        display = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        reason = f"display {display} does not answer" if display else "DISPLAY is not set"
        raise Unsupported(f"there is no display for a window ({reason}): render to a file instead")
    drawn = []
    columns = math.ceil(math.sqrt(len(scenes)))
    rows = math.ceil(len(scenes) / columns)
    for index, scene in enumerate(scenes):
        row, column = divmod(index, columns)
        place = np.array([-column * _STEP, -row * _STEP, 0])
        points = open3d.utility.Vector3dVector(scene.centers.astype(np.float64) + place)
        geometry = open3d.geometry.PointCloud(points)
        geometry.colors = open3d.utility.Vector3dVector(to_srgb(scene.albedo) / 255)
        drawn.append(geometry)
    open3d.visualization.draw_geometries(
        drawn,
        window_name=" · ".join(titles) if titles else "point clouds",
        lookat=[-(columns - 1) * _STEP / 2, -(rows - 1) * _STEP / 2, 0],
        up=[0, 1, 0],
        front=[0.5, 0.4, -0.8],
        zoom=0.7,
    )


def _display_answers() -> bool:
    """True if an X server or a Wayland compositor answers; a missing X library counts as no display."""
    wayland = os.environ.get("WAYLAND_DISPLAY")
    if wayland and (Path(os.environ.get("XDG_RUNTIME_DIR", "/")) / wayland).is_socket():
        return True
    if not os.environ.get("DISPLAY"):
        return False
    try:
        x11 = ctypes.CDLL("libX11.so.6")
    except OSError:
        return False
    x11.XOpenDisplay.restype = ctypes.c_void_p
    connection = x11.XOpenDisplay(None)
    if connection is None:
        return False
    x11.XCloseDisplay(ctypes.c_void_p(connection))
    return True
