"""E57 files: scans joined in the coordinates of the file, invalid points left out, colors by their limits."""

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptdiff_datasets.clouds.checking import check
from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.e57 import read_e57

pye57 = pytest.importorskip("pye57")
N = 60
RANDOM = np.random.default_rng(2)


def scan(points: np.ndarray, colors: np.ndarray | None = None, **more: np.ndarray) -> dict[str, np.ndarray]:
    data = {f"cartesian{axis}": points[:, i].astype(float) for i, axis in enumerate("XYZ")}
    if colors is not None:
        data |= {f"color{name}": colors[:, i] for i, name in enumerate(("Red", "Green", "Blue"))}
    return data | more


def write(path: Path, *scans: tuple[dict[str, np.ndarray], Any, Any]) -> bytes:
    path.unlink(missing_ok=True)
    file = pye57.E57(str(path), mode="w")
    for data, rotation, translation in scans:
        file.write_scan_raw(data, rotation=np.array(rotation, float), translation=np.array(translation, float))
    file.close()
    return path.read_bytes()


POINTS = RANDOM.random((N, 3)).astype(np.float32)
COLORS = RANDOM.integers(0, 256, (N, 3)).astype(np.uint8)
STAND = ([1, 0, 0, 0], [0, 0, 0])


def test_scans_are_turned_moved_and_joined(tmp_path: Path) -> None:
    half = 2**-0.5
    write(
        tmp_path / "a.e57",
        (scan(POINTS, COLORS), *STAND),
        (scan(POINTS, COLORS), [half, 0, 0, half], [500000.125, 4649776.5, 10]),
    )
    cloud = read_e57(tmp_path / "a.e57")
    turned = POINTS.astype(float)[:, [1, 0, 2]] * [-1, 1, 1] + [500000.125, 4649776.5, 10]
    np.testing.assert_allclose(cloud.points, np.concatenate([POINTS, turned]), rtol=0, atol=1e-6)
    assert cloud.points.dtype == np.float64
    assert cloud.colors is not None
    np.testing.assert_array_equal(cloud.colors, np.concatenate([COLORS, COLORS]))
    assert cloud.remarks == ("scans joined: 2",)


def test_invalid_points_are_left_out_and_counted_and_other_columns_named(tmp_path: Path) -> None:
    state = np.zeros(N, np.int8)
    state[:7] = 2
    write(tmp_path / "a.e57", (scan(POINTS, cartesianInvalidState=state, intensity=np.ones(N)), *STAND))
    cloud = read_e57(tmp_path / "a.e57")
    np.testing.assert_allclose(cloud.points, POINTS[7:], atol=1e-6)
    assert cloud.remarks == (
        "7 of 60 points are marked as invalid and are left out",
        "columns left out: intensity",
    )
    assert "7 of 60 points are marked" in check(tmp_path / "a.e57").text()


def spherical(path: Path, points: np.ndarray, colors: np.ndarray, white: int) -> None:
    """Write a scan in spherical coordinates with colors up to ``white``."""
    lib = pye57.libe57
    file = pye57.E57(str(path), mode="w")
    node, image = lib.StructureNode(file.image_file), file.image_file
    limits = lib.StructureNode(image)
    for name in ("Red", "Green", "Blue"):
        limits.set(f"color{name}Minimum", lib.IntegerNode(image, 0))
        limits.set(f"color{name}Maximum", lib.IntegerNode(image, white))
    node.set("guid", lib.StringNode(image, "{1}"))
    node.set("colorLimits", limits)
    distance = np.linalg.norm(points, axis=1)
    columns = {
        "sphericalRange": distance,
        "sphericalAzimuth": np.arctan2(points[:, 1], points[:, 0]),
        "sphericalElevation": np.arcsin(points[:, 2] / distance),
        **{f"color{name}": colors[:, i].astype(float) for i, name in enumerate(("Red", "Green", "Blue"))},
    }
    prototype, buffers = lib.StructureNode(image), lib.VectorSourceDestBuffer()
    for name, column in columns.items():
        whole = lib.IntegerNode(image, 0, 0, 65535)
        prototype.set(name, whole if name.startswith("color") else lib.FloatNode(image, 0.0, lib.E57_DOUBLE))
        buffers.append(lib.SourceDestBuffer(image, name, column, len(column), True, True))
    vector = lib.CompressedVectorNode(image, prototype, lib.VectorNode(image, True))
    node.set("points", vector)
    file.data3d.append(node)
    writer = vector.writer(buffers)
    writer.write(len(points))
    writer.close()
    file.close()


def test_spherical_coordinates_and_colors_of_sixteen_bits(tmp_path: Path) -> None:
    spherical(tmp_path / "a.e57", POINTS.astype(float), COLORS.astype(int) * 257, 65535)
    cloud = read_e57(tmp_path / "a.e57")
    np.testing.assert_allclose(cloud.points, POINTS, atol=1e-7)
    assert cloud.colors is not None
    np.testing.assert_array_equal(cloud.colors, COLORS)


def test_colors_beyond_their_limits_are_refused(tmp_path: Path) -> None:
    spherical(tmp_path / "a.e57", POINTS.astype(float), COLORS.astype(int) * 257, 255)
    with pytest.raises(FormatError, match="colors beyond the limits"):
        read_e57(tmp_path / "a.e57")


def test_damage_is_refused_in_one_line(tmp_path: Path) -> None:
    data = write(tmp_path / "whole.e57", (scan(POINTS, COLORS), *STAND))
    path = tmp_path / "a.e57"
    for i in range(0, len(data), 397):
        path.write_bytes(data[:i])
        with pytest.raises(FormatError):
            read_e57(path)
        spoiled = bytearray(data)
        spoiled[i] ^= 1 << (i % 8)
        path.write_bytes(spoiled)
        with contextlib.suppress(FormatError):
            np.testing.assert_allclose(read_e57(path).points, POINTS, atol=1e-6)
