"""E57 files of laser scanners (ASTM E2807), read by pye57: all scans of a file as one cloud.

Needs ``pip install ptdiff[e57]``. Every page of a file has a checksum, which is compared.
"""

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError, needed
from ptdiff_datasets.formats.cloud import Cloud, byte_colors, checked, unused

E57_SUFFIXES = frozenset({".e57"})
CARTESIAN = ("cartesianX", "cartesianY", "cartesianZ")
SPHERICAL = ("sphericalRange", "sphericalAzimuth", "sphericalElevation")
NORMALS = ("nor:normalX", "nor:normalY", "nor:normalZ")
COLORS = ("colorRed", "colorGreen", "colorBlue")
INVALID = ("cartesianInvalidState", "sphericalInvalidState", "isColorInvalid")
DENSEST = 64  # points that one byte of a file may hold
Columns = dict[str, npt.NDArray[Any]]


def read_e57(path: str | Path) -> Cloud:
    """Read the points of all scans, (n, 3) float64 in the coordinates of the file, with colors and normals of all.

    Points that a scan marks as invalid are left out and counted. FormatError for missing bytes, wrong checksums, no
    scans, and as :func:`checked`; MissingPackage without pye57.
    """
    path = Path(path)
    size = _check(path)
    pye57: Any = needed("pye57", "e57", path)
    try:
        file = pye57.E57(str(path))
        try:
            scans = [_scan(file, i, size, path) for i in range(file.scan_count)]
        finally:
            file.close()
    except (FormatError, ImportError):
        raise
    except MemoryError:
        raise FormatError(path, "it claims more memory than there is") from None
    except Exception as error:  # the library may raise anything for a broken file
        raise FormatError(path, f"{type(error).__name__}: {' '.join(str(error).split())[:100]}") from None
    if not scans:
        raise FormatError(path, "no scans")
    return _joined(scans, path)


def _check(path: Path) -> int:
    """Return the size of the file, after comparing it with the header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(48)
    if len(head) < 48 or head[:8] != b"ASTM-E57":
        raise FormatError(path, "not an E57 file", 0)
    major, _, claimed, _, _, page = struct.unpack_from("<2I4Q", head, 8)
    if major != 1 or claimed > size or page != 1024:
        raise FormatError(path, f"version {major} with pages of {page} bytes: {claimed} bytes claimed, {size} found", 8)
    return size


def _scan(file: Any, number: int, size: int, path: Path) -> tuple[Columns, Sequence[str], int]:
    """Return the columns of one scan in the coordinates of the file, those not read, and the number of points lost."""
    from pye57 import libe57

    header = file.get_header(number)
    count, names = int(header.point_count), list(header.point_fields)
    if not 0 < count <= DENSEST * size:
        raise FormatError(path, f"scan {number} claims {count} points in a file of {size} bytes")
    place = next((fields for fields in (CARTESIAN, SPHERICAL) if set(fields) <= set(names)), None)
    if place is None:
        raise FormatError(path, f"scan {number} has no coordinates, only {', '.join(names)[:60]}")
    wanted = [name for name in names if name in (*place, *NORMALS, *COLORS, *INVALID)]
    columns = {name: np.empty(count) for name in wanted}
    buffers = libe57.VectorSourceDestBuffer()
    for name, column in columns.items():
        buffers.append(libe57.SourceDestBuffer(file.image_file, name, column, count, True, True))
    if (read := header.points.reader(buffers).read()) != count:
        raise FormatError(path, f"scan {number} claims {count} points, but {read} could be read")
    valid = np.ones(count, np.bool_)
    for name in INVALID[:2]:
        valid &= columns.pop(name, np.zeros(count)) == 0
    columns = {name: column[valid] for name, column in columns.items()}
    if place is SPHERICAL:
        distance, azimuth, elevation = (columns[name] for name in SPHERICAL)
        flat = distance * np.cos(elevation)
        points = np.stack([flat * np.cos(azimuth), flat * np.sin(azimuth), distance * np.sin(elevation)], axis=1)
    else:
        points = np.stack([columns[name] for name in CARTESIAN], axis=1)
    turn, moved = _pose(header, path)
    found: Columns = {"points": points @ turn.T + moved}
    if set(NORMALS) <= columns.keys():
        found["normals"] = np.stack([columns[name] for name in NORMALS], axis=1) @ turn.T
    if set(COLORS) <= columns.keys():
        found["colors"] = _painted(np.stack([columns[name] for name in COLORS], axis=1), header, path)
    unread = [name for name in names if name not in (*place, *NORMALS, *COLORS, *INVALID)]
    return found, unread, count - int(valid.sum())


def _pose(header: Any, path: Path) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Rotation (3, 3) and translation (3,) from the coordinates of a scan to those of the file."""
    rotation, translation = {"w": 1.0, "x": 0.0, "y": 0.0, "z": 0.0}, {"x": 0.0, "y": 0.0, "z": 0.0}
    if header.has_pose():
        pose = header.node["pose"]
        for name, numbers in (("rotation", rotation), ("translation", translation)):
            if pose.isDefined(name):
                numbers |= {axis: float(pose[name][axis].value()) for axis in numbers}
    quaternion = np.array(list(rotation.values()))
    if not abs(float(np.linalg.norm(quaternion)) - 1) < 1e-3:
        raise FormatError(path, f"a scan is turned by {quaternion.tolist()}, which is not a rotation")
    w, x, y, z = quaternion / np.linalg.norm(quaternion)
    turn = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return turn, np.array(list(translation.values()))


def _painted(colors: npt.NDArray[np.float64], header: Any, path: Path) -> npt.NDArray[np.uint8]:
    """Convert colors (n, 3) to bytes, by the numbers of black and white that the scan declares."""
    if "colorLimits" not in header.scan_fields:
        return byte_colors(path, colors)
    node = header.node["colorLimits"]
    low, high = (np.array([float(node[f"{name}{end}"].value()) for name in COLORS]) for end in ("Minimum", "Maximum"))
    if not (high > low).all() or (colors < low).any() or (colors > high).any():
        raise FormatError(path, f"colors beyond the limits that are declared, {low.tolist()} to {high.tolist()}")
    return byte_colors(path, (colors - low) / (high - low))


def _joined(scans: Sequence[tuple[Columns, Sequence[str], int]], path: Path) -> Cloud:
    parts = {
        name: np.concatenate([found[name] for found, _, _ in scans])
        for name in ("points", "normals", "colors")
        if all(name in found for found, _, _ in scans)
    }
    cloud = checked(path, parts["points"], parts.get("normals"), parts.get("colors"))
    remarks = [f"scans joined: {len(scans)}"] * (len(scans) > 1)
    for name in ("normals", "colors"):
        if (some := sum(name in found for found, _, _ in scans)) and some < len(scans):
            remarks.append(f"{name} left out: {len(scans) - some} of {len(scans)} scans have none")
    if lost := sum(lost for _, _, lost in scans):
        remarks.append(f"{lost:,} of {lost + len(cloud):,} points are marked as invalid and are left out")
    remarks += unused(list(dict.fromkeys(name for _, unread, _ in scans for name in unread)))
    return replace(cloud, remarks=(*cloud.remarks, *remarks))
