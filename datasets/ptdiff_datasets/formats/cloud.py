"""``Cloud``: the points of one shape with their normals and colors, as returned by every reader."""

from collections.abc import Mapping, Sequence
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
_NO_LENGTH = 1e-12  # of a normal
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
        """Give normals length 1, and leave them out, with a remark, if they are all zero: they say that there are none.

        A remark counts those that are zero beside others; they stay zero.
        """
        if self.normals is None:
            return self
        lengths = np.linalg.norm(self.normals.astype(np.float64), axis=1, keepdims=True)
        zero = lengths < _NO_LENGTH
        if zero.all():
            return replace(self, normals=None, remarks=(*self.remarks, ZERO_NORMALS))
        if not zero.any() and np.abs(lengths - 1).max() < 1e-3:
            return self
        normals = np.where(zero, 0, self.normals / np.where(zero, 1, lengths)).astype(np.float32)
        some = f"{int(zero.sum()):,} of {len(zero):,} normals are zero"
        return replace(self, normals=normals, remarks=(*self.remarks, *[some] * bool(zero.any())))


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
    finite = bool(np.isfinite(coordinates).all())
    lost = np.zeros(len(coordinates), np.bool_) if finite else np.isnan(coordinates).all(axis=1)
    if count := int(lost.sum()):
        if count > UNRETURNED * len(lost):
            raise FormatError(path, f"{count} of {len(lost)} points are NaN, more than {UNRETURNED:.0%}")
        coordinates = coordinates[~lost]
        normals, colors = (None if array is None else array[~lost] for array in (normals, colors))
        remarks.append(f"{count:,} of {len(lost):,} points have no coordinates (NaN) and are left out")
    if (count := _at_origin(coordinates)) > 1:
        remarks.append(
            f"{count:,} of {len(coordinates):,} points are exactly 0, 0, 0: padding, or rays without a return?"
        )
    _all_finite(path, coordinates, "points")
    if colors is not None and colors.dtype.kind == "f" and np.isnan(colors.astype(np.float64)).all():
        colors = None
        remarks.append("the colors are all NaN and are left out")
    if normals is not None and normals.dtype.kind == "f" and np.isnan(normals.astype(np.float64)).all():
        normals = None
        remarks.append("the normals are all NaN and are left out")
    directions = None
    if normals is not None:
        with np.errstate(over="ignore"):
            directions = normals.astype(np.float32)
        _all_finite(path, directions, "normals")
    paint = None if colors is None else byte_colors(path, colors)
    return Cloud(coordinates, directions, paint, tuple(remarks))


def _at_origin(points: npt.NDArray[np.floating]) -> int:
    if not (points[:: 1 + len(points) // 65536, 0] == 0).any():  # a look at some is enough: padding is not rare
        return 0
    there = np.flatnonzero(points[:, 0] == 0)
    return int((points[there] == 0).all(axis=1).sum())


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

    A column rgb or rgba holds 0x00RRGGBB, see ``_unpacked``. Columns that are none of these are left out with a remark.
    Raises FormatError if there are no x, y and z, if two columns mean the same, and as :func:`checked`.
    """
    check_names(path, tuple(columns))
    named = {known_name(name): name for name in columns}
    if not {"x", "y", "z"} <= named.keys():
        raise FormatError(path, "the points have no x, y and z")
    found = {part: [named[name] for name in wanted] for part, wanted in COLUMNS.items() if set(wanted) <= named.keys()}
    points, normals = (
        side_by_side([columns[name] for name in found[part]]) if part in found else None
        for part in ("points", "normals")
    )
    colors, painted = colors_of(columns)
    used = {*(name for names in found.values() for name in names), *painted}
    assert points is not None
    cloud = checked(path, points, normals, colors)
    return replace(cloud, remarks=(*cloud.remarks, *unused([name for name in columns if name not in used])))


def colors_of(
    columns: Mapping[str, npt.NDArray[np.generic]],
) -> tuple[npt.NDArray[np.generic] | None, tuple[str, ...]]:
    """Return colors (n, 3) in named columns (n,), as stored, and the names of their columns; or None and ()."""
    named = {known_name(name): name for name in columns}
    if set(COLUMNS["colors"]) <= named.keys():
        names = tuple(named[name] for name in COLUMNS["colors"])
        return side_by_side([columns[name] for name in names]), names
    for name in (named[name] for name in PACKED if name in named):
        if (colors := _unpacked(columns[name])) is not None:
            return colors, (name,)
    return None, ()


def check_names(path: str | Path, names: Sequence[str]) -> None:
    """Raise FormatError if two columns have names of the same coordinate, direction or color."""
    known = [known_name(name) for name in names]
    for name in (name for part in COLUMNS.values() for name in part):
        if known.count(name) > 1:
            raise FormatError(path, f"several columns are called {name}: {', '.join(names)[:60]}")


def unused(names: Sequence[str]) -> list[str]:
    """Remark on the columns ``names`` of a file that are not read."""
    known = {known_name(name): name for name in names}
    hues = next((spelled for spelled in HUES if set(spelled) <= known.keys()), ())
    remarks = [f"colors given as {', '.join(known[name] for name in hues)} are left out: only RGB is read"] * bool(hues)
    rest = [name for name in names if known_name(name) not in {*hues, *UNSAID}]
    if rest:
        shown = ", ".join(rest[:8]) + (", …" if len(rest) > 8 else "")
        remarks.append(f"columns left out: {shown}")
    return remarks


PACKED = ("rgb", "rgba")
HUES = (("h", "s", "v"), ("h", "s", "l"), ("hue", "saturation", "value"))
UNSAID = ("", "_", "a", "alpha")  # padding, and the opacity beside colors


def _unpacked(column: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8] | None:
    """Split numbers 0x00RRGGBB (n,) into colors (n, 3): whole numbers of any type, or the bits of a four-byte float.

    Returns None for numbers that are neither.
    """
    if column.dtype.kind in "iu":
        whole = column.astype(np.int64)
    elif column.dtype.kind != "f":
        return None
    else:
        values = column.astype(np.float64)
        written = values[np.isfinite(values)]
        most = written.max(initial=0)
        if (written == np.rint(written)).all() and written.min(initial=0) >= 0 and 1 <= most <= 0xFFFFFF:
            whole = np.where(np.isfinite(values), values, 0).astype(np.int64)
        elif column.dtype.itemsize == 4:
            whole = np.ascontiguousarray(column).view(np.uint32).astype(np.int64)
        else:
            return None
    return np.stack([whole >> 16 & 255, whole >> 8 & 255, whole & 255], axis=1).astype(np.uint8)


def as_declared(name: str, column: npt.NDArray[np.float64], dtype: str) -> npt.NDArray[np.floating]:
    """Convert numbers (n,) of a text to the floating type that its header declares.

    Coordinates stay float64 if that would move them by more than a millionth of their range: programs write "float" in
    front of numbers with more digits.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        made = column.astype(dtype)
        if made.dtype.itemsize < 8 and known_name(name) in COLUMNS["points"]:
            there = column[np.isfinite(column)]
            lost = np.abs(there - there.astype(dtype)).max(initial=0)
            if len(there) and lost > 1e-6 * np.ptp(there):
                return column
    return made


def side_by_side(columns: Sequence[npt.NDArray[np.generic]]) -> npt.NDArray[np.generic]:
    """Join columns (n,) to a table (n, k), without a copy if they are the whole records of a file."""
    first, size = columns[0], columns[0].itemsize
    places = [column.__array_interface__["data"][0] for column in columns]
    alike = all(column.dtype == first.dtype and column.strides == (len(columns) * size,) for column in columns)
    if alike and places == [places[0] + i * size for i in range(len(columns))]:
        shape, strides = (len(first), len(columns)), (*first.strides, size)
        return np.lib.stride_tricks.as_strided(first, shape, strides, writeable=False)
    return np.stack(list(columns), axis=1)


def from_table(path: str | Path, table: npt.NDArray[np.generic], names: tuple[str, ...] = ()) -> Cloud:
    """Build a cloud from a table (n, >= 3), its columns recognized by ``names`` or, without names, by their values.

    Without names the first three columns are the coordinates. Three consecutive others are normals if nine in ten have
    length 1 within 5 %, and colors if all values are integers from 0 to 255 and some exceed 1; they start at column 3,
    at 4 (after an intensity) or at 6. Colors that could start at two of these are left out, and so is the rest, with
    remarks. Raises FormatError as :func:`checked` and :func:`from_columns`, and without names for a first column that
    counts the rows and for more columns than rows.
    """
    if table.ndim != 2 or table.shape[1] < 3:
        raise FormatError(path, f"an array of shape {table.shape}, not (points, 3)")
    if len(table) == 0:
        raise FormatError(path, "no points")
    if names:
        check_names(path, names)
        if not {"x", "y", "z"} <= {known_name(name) for name in names}:
            raise FormatError(path, f"no columns x, y and z among {', '.join(names)[:60]}")
        return from_columns(path, dict(zip(names, table.T, strict=True)))
    width = table.shape[1]
    if width > len(table) and width > _WIDEST:
        raise FormatError(path, f"{len(table)} rows of {width} numbers: write each point in a row, or name the columns")
    if width > 3 and len(table) > 3 and _counts(table[:, 0]) and (table[:, 1:4] != table[0, 1:4]).any(axis=0).all():
        raise FormatError(
            path, "the first column counts the rows: leave it out, or name the columns (x, y and z among them)"
        )
    places = [at for at in (3, 4, 6) if width >= at + 3]
    normals = next((at for at in places if _unit(table[:, at : at + 3])), None)
    painted = [at for at in places if (normals is None or abs(at - normals) >= 3) and _whole(table[:, at : at + 3])]
    if Path(path).suffix.lower() == ".pts" and width == 7 and 4 in painted:
        painted = [4]  # x y z intensity r g b, as scanners write them
    colors = painted[0] if len(painted) == 1 else None
    parts = [None if at is None else table[:, at : at + 3] for at in (normals, colors)]
    cloud = checked(path, table[:, :3], parts[0], None if parts[1] is None else parts[1].astype(np.int64))
    remarks = list(cloud.remarks)
    if len(painted) > 1:
        starts = " or ".join(str(at + 1) for at in painted)
        remarks.append(f"colors left out: they may begin in column {starts}; name the columns")
    used = {at + i for at in (0, normals, colors) if at is not None for i in range(3)}
    rest = [str(i + 1) for i in range(width) if i not in used]
    if rest and len(painted) < 2:
        which = ", ".join(rest[:8]) + (", …" if len(rest) > 8 else "")
        remarks.append(f"columns left out, because their meaning is unknown: {which}")
    return replace(cloud, remarks=tuple(remarks))


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


_WIDEST = 12  # coordinates, normals, colors, and a few more: wider tables of few rows lie on their side


def _counts(column: npt.NDArray[np.generic]) -> bool:
    """True for whole numbers that go up by one from row to row."""
    first = column[0]
    return bool(first == np.rint(first) and (column == first + np.arange(len(column))).all())


def _whole(part: npt.NDArray[np.generic]) -> bool:
    with np.errstate(all="ignore"):
        values = part.astype(np.float64)
        inside = (values >= 0) & (values <= 255) & (values == np.floor(values))
    return bool(inside.all() and values.max() > 1)
