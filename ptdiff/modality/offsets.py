"""The origin of numbers far from zero: float64 in files, float32 relative to an origin inside.

:func:`without_origin` and :func:`with_origin` are the only places where one is subtracted and added.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

PRECISION = 1e-7
"""Largest error of float32 that is accepted without an origin, in ranges of the numbers; with one it is 3e-8."""


def find_origin(x: npt.NDArray[np.floating]) -> tuple[float, ...]:
    """The origin that x (…, d) needs so that float32 keeps it, d numbers; () if it needs none.

    An entry of the last axis needs one if rounding to float32 moves a number by more than ``PRECISION`` times the
    largest range of all entries.
    """
    if x.dtype != np.float64 or x.ndim < 2 or not x.size or not np.isfinite(x).all():
        return ()
    rows = x.reshape(-1, x.shape[-1])
    low, high = rows.min(axis=0), rows.max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):
        lost = np.abs(rows - rows.astype(np.float32)).max(axis=0)
        needed = np.isfinite(lost) & (lost > PRECISION * float((high - low).max()))
    origin = np.where(needed, np.rint(low / 2 + high / 2), 0.0)
    return tuple(origin.tolist()) if origin.any() else ()


def without_origin(x: npt.NDArray[np.floating], origin: tuple[float, ...]) -> npt.NDArray[np.float32]:
    """Numbers x (…, d) of files minus their origin, subtracted in float64, as float32."""
    made: Any = x.astype(np.float64) - np.array(origin) if origin else x
    with np.errstate(over="ignore"):
        small: npt.NDArray[np.float32] = made.astype(np.float32, copy=False)
    return small


def with_origin(x: npt.NDArray[np.float32], origin: tuple[float, ...]) -> npt.NDArray[np.floating]:
    """The inverse of :func:`without_origin`: x (…, d) as in files, float64; x itself without an origin."""
    return x.astype(np.float64) + np.array(origin) if origin else x
