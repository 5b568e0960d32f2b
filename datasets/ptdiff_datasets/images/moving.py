"""Videos of moving stills: each moves straight at constant speed over black and bounces off the edges.

After Moving MNIST (Srivastava, Mansimov and Salakhutdinov 2015, "Unsupervised learning of video representations using
LSTMs"), with one still per video. The upper left corner of the still has ``room`` + 1 positions along each axis and
moves in [0, room + 1], reflected at both ends; its pixel is the floor. A uniform start makes it uniform in every frame.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def corners(u: Floats, frames: int, velocity: float, room: tuple[int, int]) -> npt.NDArray[np.int64]:
    """Return row and column of the upper left corner in every frame, (n, frames, 2), each from 0 to its ``room``.

    u: (n, 3), uniform on [0, 1): the starting point (two numbers) and the direction (an angle).
    velocity: pixels per frame.
    """
    reach = np.array(room) + 1.0
    angle = 2 * np.pi * u[:, 2]
    step = velocity * np.stack([np.sin(angle), np.cos(angle)], axis=-1)
    straight = u[:, None, :2] * reach + step[:, None] * np.arange(frames)[:, None]
    mirrored = reach - np.abs(straight % (2 * reach) - reach)
    return np.minimum(mirrored.astype(np.int64), room)


def films(stills: npt.NDArray[Any], at: npt.NDArray[np.int64], side: int) -> npt.NDArray[Any]:
    """Return videos (n, channels, frames, side, side) of stills (n, channels, height, width) with their corners ``at``.

    at: (n, frames, 2), such that no still crosses an edge. Black is zero.
    """
    count, channels, height, width = stills.shape
    out = np.zeros((count, channels, at.shape[1], side, side), stills.dtype)
    for film, still, places in zip(out, stills, at.tolist(), strict=True):
        for frame, (row, column) in enumerate(places):
            film[:, frame, row : row + height, column : column + width] = still
    return out
