"""An HTML page with clouds to turn with the mouse: one file that loads nothing, light or dark as the reader prefers.

It holds clouds (n, points, 3) and their states during sampling: positions as little-endian 16-bit numbers over [-2, 2]
in the coordinates of a scene, and colors as bytes, both in base64.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from ptdiff_pointcloud.render.cloud_pictures import AZIMUTH, ELEVATION
from ptdiff_pointcloud.render.page_parts import SCRIPT, STYLE
from ptdiff_pointcloud.render.scene import framed

_REACH = 2.0
_MOST = 25
"""Maximum number of states of a trajectory on one page; more would look alike and make it large."""


def page(states: npt.NDArray[np.floating], colors: npt.NDArray[np.floating], titles: Sequence[str]) -> str:
    """Return the page of clouds: states (t, n, points, 3), the last of which is shown first.

    colors: (n, points, 3) in [0, 1]. titles: one for each cloud, or none; ValueError for another number.
    """
    if titles and len(titles) != states.shape[1]:
        raise ValueError(f"{len(titles)} titles for {states.shape[1]} clouds")
    kept = states[np.unique(np.linspace(0, len(states) - 1, min(len(states), _MOST)).round().astype(int))]
    placed, radii = _placed(kept)
    whole = np.rint((np.clip(placed, -_REACH, _REACH) + _REACH) * (65535 / (2 * _REACH))).astype("<u2")
    facts = {
        "clouds": states.shape[1],
        "points": states.shape[2],
        "states": len(kept),
        "reach": _REACH,
        "radii": radii,
        "azimuth": AZIMUTH,
        "elevation": ELEVATION,
    }
    names = titles or [""] * states.shape[1]
    figures = "".join(f"<figure><canvas></canvas><figcaption>{escape(name)}</figcaption></figure>" for name in names)
    policy = f"default-src 'none'; style-src {_digest(STYLE)}; script-src {_digest(SCRIPT)}; base-uri 'none'"
    slider = f'<label>step <input type="range" min="0" max="{len(kept) - 1}" value="{len(kept) - 1}"></label>'
    parts = {
        "facts": json.dumps(facts),
        "positions": _encoded(whole),
        "colors": _encoded(np.rint(np.clip(colors, 0, 1) * 255).astype(np.uint8)),
    }
    data = "".join(f'<template id="{name}">{escape(value)}</template>' for name, value in parts.items())
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>point clouds</title>'
        f'<style>{STYLE}</style></head>\n<body tabindex="0"><header>'
        f"<p>{states.shape[1]} cloud{'s' * (states.shape[1] > 1)} of {states.shape[2]:,} points. "
        f"Drag to turn, scroll to zoom, double-click to reset; or use the arrow keys, + and -, and 0.</p>"
        f"{slider if len(kept) > 1 else ''}</header><main>{figures}</main>{data}"
        f"<script>{SCRIPT}</script></body></html>\n"
    )


def _placed(states: npt.NDArray[np.floating]) -> tuple[npt.NDArray[np.float64], list[float]]:
    """Positions in the scene of each cloud's last state, and the radii of its spheres there."""
    placed, radii = np.empty(states.shape, np.float64), []
    for i in range(states.shape[1]):
        center, scale, radius = framed(np.asarray(states[-1, i], np.float64))
        placed[:, i] = (states[:, i] - center) / scale
        radii.append(round(radius, 5))
    return placed, radii


def _encoded(array: npt.NDArray[np.generic]) -> str:
    return base64.b64encode(array.tobytes()).decode("ascii")


def _digest(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
