"""``Geometry``: what a mesh file holds, as returned by the reader of each mesh format."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

PADDING = b"\0\x1a\x0c"
"""Bytes behind a text that hold nothing: zeros up to a block of the disk, the end mark of DOS, form feeds."""

NO_FACES = np.empty((0, 3), np.int64)


@dataclass(frozen=True, eq=False)
class Geometry:
    """Vertices, triangles, and remarks on what was left out.

    vertices: (v, 3) float64. faces: (f, 3) int64, empty for a cloud. colors: (v, 3) uint8 or None.
    normals: (v, 3) float64 or None, for a cloud. polygons: number of polygons that were cut into triangles, compared
    with the number that the file declares. remarks: short sentences for the summary.
    """

    vertices: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int64] = field(default_factory=lambda: NO_FACES)
    colors: npt.NDArray[np.uint8] | None = None
    normals: npt.NDArray[np.float64] | None = None
    polygons: int = 0
    remarks: Sequence[str] = ()


def numbers(words: Sequence[bytes], dtype: str = "f8") -> npt.NDArray[Any]:
    """Convert words to numbers of type ``dtype``; ValueError if a word is not exactly one number."""
    with warnings.catch_warnings():
        # before NumPy 2.3, stopping at the first word that is not a number was only deprecated
        warnings.simplefilter("error", DeprecationWarning)
        try:
            table = np.fromstring(b" ".join(words).decode("latin-1"), dtype, sep=" ")
        except DeprecationWarning as error:
            raise ValueError(str(error)) from None
    # the separator may be empty, so that "1-2" is two numbers
    if len(table) != len(words):
        raise ValueError(f"{len(table)} numbers in {len(words)} words")
    return table


def check_vertices(vertices: npt.NDArray[np.float64], path: Path) -> None:
    """Raise FormatError if coordinates are NaN or infinite."""
    if not np.isfinite(vertices).all():
        bad = int((~np.isfinite(vertices).all(axis=1)).sum())
        raise FormatError(path, f"{bad} of {len(vertices)} vertices are NaN or infinite")


def crossing(count: int) -> list[str]:
    """Remark on polygons that cross themselves, for which an area is not defined."""
    return [f"polygons that cross themselves, cut as fans: {count}"] if count else []
