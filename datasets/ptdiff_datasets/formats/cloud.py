"""``Cloud``: the points of one shape with their normals and colors, as returned by every reader."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

COLUMNS = {
    "points": ("x", "y", "z"),
    "normals": ("nx", "ny", "nz"),
    "colors": ("red", "green", "blue"),
}
SAME = {"r": "red", "g": "green", "b": "blue", "normal_x": "nx", "normal_y": "ny", "normal_z": "nz"}
"""Other names of columns in files."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """One point cloud.

    points: (n, 3) float32 or float64, as in the file. normals: (n, 3) float32. colors: (n, 3) uint8. None if absent.
    remarks: short sentences about what the reader left out, for the summary.
    """

    points: npt.NDArray[np.floating]
    normals: npt.NDArray[np.float32] | None = None
    colors: npt.NDArray[np.uint8] | None = None
    remarks: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.points)

    def take(self, rows: npt.NDArray[np.int64]) -> "Cloud":
        """Select the points ``rows`` (k,), with their normals and colors."""
        normals = None if self.normals is None else self.normals[rows]
        colors = None if self.colors is None else self.colors[rows]
        return Cloud(self.points[rows], normals, colors, self.remarks)


def checked(
    path: str | Path,
    points: npt.NDArray[np.generic],
    normals: npt.NDArray[np.generic] | None = None,
    colors: npt.NDArray[np.generic] | None = None,
) -> Cloud:
    """Build a cloud from arrays (n, 3) read from the file ``path``.

    Colors become bytes: floats range from 0 to 1, integers beyond 255 up to 65535. Raises FormatError for wrong shapes,
    no points, and NaN or infinite values.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise FormatError(path, f"an array of shape {points.shape}, not (points, 3)")
    if len(points) == 0:
        raise FormatError(path, "no points")
    for name, array in (("normals", normals), ("colors", colors)):
        if array is not None and array.shape != points.shape:
            raise FormatError(path, f"{name} of shape {array.shape} for points of shape {points.shape}")
    single = points.dtype.kind == "f" and points.dtype.itemsize <= 4
    coordinates: npt.NDArray[np.floating] = points.astype(np.float32 if single else np.float64)
    _all_finite(path, coordinates, "points")
    directions = None
    if normals is not None:
        with np.errstate(over="ignore"):
            directions = normals.astype(np.float32)
        _all_finite(path, directions, "normals")
    return Cloud(coordinates, directions, None if colors is None else _bytes(colors))


def _all_finite(path: str | Path, array: npt.NDArray[np.floating], name: str) -> None:
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array).all(axis=1)).sum())
        raise FormatError(path, f"{bad} of {len(array)} {name} are NaN or infinite")


def _bytes(colors: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    if colors.dtype == np.uint8:
        return np.array(colors, np.uint8)
    values = np.nan_to_num(colors.astype(np.float64))
    if colors.dtype.kind == "f":
        values = np.rint(np.clip(values, 0, 1) * 255)
    elif values.max() > 255:
        values = np.floor(values / 256)
    return np.clip(values, 0, 255).astype(np.uint8)


def from_table(path: str | Path, table: npt.NDArray[np.generic], names: tuple[str, ...] = ()) -> Cloud:
    """Build a cloud from a table (n, >= 3), its columns recognized by ``names`` or, without names, by their values.

    Without names the first three columns are the coordinates. Three consecutive others are normals if nine in ten have
    length 1 within 5 %, and colors if all values are integers from 0 to 255 and some exceed 1; they start at column 3,
    at 4 (after an intensity) or at 6. Raises FormatError as :func:`checked`.
    """
    if table.ndim != 2 or table.shape[1] < 3:
        raise FormatError(path, f"an array of shape {table.shape}, not (points, 3)")
    if len(table) == 0:
        raise FormatError(path, "no points")
    if names:
        known = [SAME.get(name.lower(), name.lower()) for name in names]
        found = {
            part: table[:, [known.index(name) for name in wanted]]
            for part, wanted in COLUMNS.items()
            if set(wanted) <= set(known)
        }
        if "points" not in found:
            raise FormatError(path, f"no columns x, y and z among {', '.join(names)[:60]}")
        if "colors" in found and found["colors"].dtype.kind == "f" and found["colors"].max() > 1:
            # all columns of a table share one dtype
            found["colors"] = np.clip(np.nan_to_num(found["colors"]), 0, 65535).astype(np.int64)
        return checked(path, found["points"], found.get("normals"), found.get("colors"))
    rest = {at: table[:, at : at + 3] for at in (3, 4, 6) if table.shape[1] >= at + 3}
    normals = next((part for part in rest.values() if _unit(part)), None)
    colors = next((part.astype(np.int64) for part in rest.values() if part is not normals and _whole(part)), None)
    return checked(path, table[:, :3], normals, colors)


def _unit(part: npt.NDArray[np.generic]) -> bool:
    with np.errstate(all="ignore"):
        length = np.linalg.norm(part.astype(np.float64), axis=1)
    return bool(np.mean(np.abs(length - 1) < 0.05) > 0.9)


def _whole(part: npt.NDArray[np.generic]) -> bool:
    with np.errstate(all="ignore"):
        values = part.astype(np.float64)
        inside = (values >= 0) & (values <= 255) & (values == np.floor(values))
    return bool(inside.all() and values.max() > 1)
