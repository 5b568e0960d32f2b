"""``Cloud``: the points of one shape with their normals and colors, as returned by every reader."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError

COLUMNS = {
    "points": ("x", "y", "z"),
    "normals": ("nx", "ny", "nz"),
    "colors": ("red", "green", "blue"),
}
_PARTS = {"red": ("red", "r"), "green": ("green", "g"), "blue": ("blue", "b")}
_PREFIXES = ("", "diffuse_", "vertex_", "color_", "colour_", "col_", "rgb_", "scalar_", "color", "diffuse")
SAME = {
    **{prefix + short: name for name, shorts in _PARTS.items() for short in shorts for prefix in _PREFIXES},
    **{f"{short}{end}": name for name, shorts in _PARTS.items() for short in shorts for end in ("f", "_f", "8", "_u8")},
    **{f"{prefix}{axis}": f"n{axis}" for axis in "xyz" for prefix in ("normal_", "normal", "normals_", "n_", "norm_")},
    **{f"{prefix}{axis}": axis for axis in "xyz" for prefix in ("point_", "pos_", "position_", "coord_")},
}
"""Other names of columns in files: r, diffuse_red and Rf are all red."""

ZERO_NORMALS = "the normals are all zero and are left out"
UNRETURNED = 0.9
"""Largest share of points without coordinates in a file that is still read."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """One point cloud.

    points: (n, 3) float32 or float64, as in the file. normals: (n, 3) float32. colors: (n, 3) uint8. None if absent.
    remarks: what the reader left out or understood in a way that is not plain, one line each.
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
        return replace(self, points=self.points[rows], normals=normals, colors=colors)

    def with_true_normals(self) -> "Cloud":
        """Leave out normals that are all zero, with a remark: they say that there are none."""
        if self.normals is None or self.normals.any():
            return self
        return replace(self, normals=None, remarks=(*self.remarks, ZERO_NORMALS))


def checked(
    path: str | Path,
    points: npt.NDArray[np.generic],
    normals: npt.NDArray[np.generic] | None = None,
    colors: npt.NDArray[np.generic] | None = None,
) -> Cloud:
    """Build a cloud from arrays (n, 3) read from the file ``path``.

    Colors become bytes, see :func:`byte_colors`. A point whose three coordinates are NaN is a ray without a return, as
    depth cameras and scanners write them: it is left out and counted. Raises FormatError for wrong shapes, no points,
    more than ``UNRETURNED`` of them without a return, and other NaN or infinite values.
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
    remarks = []
    lost = np.isnan(coordinates).all(axis=1)
    if count := int(lost.sum()):
        if count > UNRETURNED * len(lost):
            raise FormatError(path, f"{count} of {len(lost)} points are NaN, more than {UNRETURNED:.0%}")
        coordinates = coordinates[~lost]
        normals, colors = (None if array is None else array[~lost] for array in (normals, colors))
        remarks.append(f"{count:,} of {len(lost):,} points have no coordinates (NaN) and are left out")
    _all_finite(path, coordinates, "points")
    directions = None
    if normals is not None:
        with np.errstate(over="ignore"):
            directions = normals.astype(np.float32)
        _all_finite(path, directions, "normals")
    paint = None if colors is None else byte_colors(path, colors)
    return Cloud(coordinates, directions, paint, tuple(remarks))


def _all_finite(path: str | Path, array: npt.NDArray[np.floating], name: str) -> None:
    if not np.isfinite(array).all():
        bad = int((~np.isfinite(array).all(axis=1)).sum())
        raise FormatError(path, f"{bad} of {len(array)} {name} are NaN or infinite")


def byte_colors(path: str | Path, colors: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
    """Convert the colors (n, 3) of a file to bytes, by the range that all of them share.

    Numbers up to 1 that are not whole numbers by type are fractions of white; numbers up to 255 are bytes, whatever
    their type; whole numbers up to 65535 are 16-bit, of which 65535 is white. FormatError for NaN, numbers below 0 and
    any other range.
    """
    if colors.dtype == np.uint8:
        return np.array(colors, np.uint8)
    values = colors.astype(np.float64)
    if not np.isfinite(values).all():
        raise FormatError(path, f"{int((~np.isfinite(values).all(axis=1)).sum())} of {len(values)} colors are NaN")
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 0.0)
    real = colors.dtype.kind == "f"
    whole = not real or bool((values == np.rint(values)).all())
    if real and low >= -_ROUNDED and high <= 1 + _ROUNDED:
        values = values * 255
    elif low < 0 or high > 65535 or (not whole and (high > 255 + _ROUNDED or high < 2)):
        raise FormatError(path, f"colors from {low:g} to {high:g}, neither 0 to 1, 0 to 255 nor 0 to 65535")
    elif high > 255 + _ROUNDED:
        values = np.floor(values / 256)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


_ROUNDED = 1e-3  # fractions may be rounded beyond their range


def from_columns(path: str | Path, columns: Mapping[str, npt.NDArray[np.generic]]) -> Cloud:
    """Build a cloud from named columns (n,) of a file, whatever the names of its colors and normals.

    A column rgb or rgba of four bytes holds 0x00RRGGBB, as an integer or in the bits of a float. Raises FormatError if
    there are no x, y and z, and as :func:`checked`.
    """
    named = {known_name(name): column for name, column in columns.items()}
    if not {"x", "y", "z"} <= named.keys():
        raise FormatError(path, "the points have no x, y and z")
    points, normals, colors = (
        np.stack([named[name] for name in wanted], axis=1) if set(wanted) <= named.keys() else None
        for wanted in COLUMNS.values()
    )
    packed = next((named[name] for name in ("rgb", "rgba") if name in named), None)
    if colors is None and packed is not None and (packed.dtype.kind in "iu" or packed.dtype.itemsize == 4):
        whole = packed.astype(np.int64) if packed.dtype.kind in "iu" else np.ascontiguousarray(packed).view(np.uint32)
        colors = np.stack([whole >> 16 & 255, whole >> 8 & 255, whole & 255], axis=1).astype(np.uint8)
    assert points is not None
    return checked(path, points, normals, colors)


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
        known = [known_name(name) for name in names]
        for part in COLUMNS.values():
            if twice := [name for name in part if known.count(name) > 1]:
                raise FormatError(path, f"several columns are called {twice[0]}: {', '.join(names)[:60]}")
        found = {
            part: table[:, [known.index(name) for name in wanted]]
            for part, wanted in COLUMNS.items()
            if set(wanted) <= set(known)
        }
        if "points" not in found:
            raise FormatError(path, f"no columns x, y and z among {', '.join(names)[:60]}")
        return checked(path, found["points"], found.get("normals"), found.get("colors"))
    rest = {at: table[:, at : at + 3] for at in (3, 4, 6) if table.shape[1] >= at + 3}
    normals = next((part for part in rest.values() if _unit(part)), None)
    colors = next((part.astype(np.int64) for part in rest.values() if part is not normals and _whole(part)), None)
    return checked(path, table[:, :3], normals, colors)


def known_name(name: str) -> str:
    """Return the usual name of a column, without a unit in brackets: ``"X [m]"`` is x.

    >>> known_name("Diffuse_Red"), known_name("Z (m)")
    ('red', 'z')
    """
    plain = name.strip().strip("\"'").partition("[")[0].partition("(")[0].strip().lower()
    return SAME.get(plain, plain)


def _unit(part: npt.NDArray[np.generic]) -> bool:
    with np.errstate(all="ignore"):
        length = np.linalg.norm(part.astype(np.float64), axis=1)
    return bool(np.mean(np.abs(length - 1) < 0.05) > 0.9)


def _whole(part: npt.NDArray[np.generic]) -> bool:
    with np.errstate(all="ignore"):
        values = part.astype(np.float64)
        inside = (values >= 0) & (values <= 255) & (values == np.floor(values))
    return bool(inside.all() and values.max() > 1)
