"""`ptdiff_datasets.formats.arrays`: arrays of points in .npy and .npz files, and what is refused."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.formats.arrays import read_points

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i2", "u1"])
@pytest.mark.parametrize("columns", [3, 6])
def test_arrays_of_any_number_type_become_points(tmp_path: Path, dtype: str, columns: int) -> None:
    array = (RANDOM.random((7, columns)) * 100).astype(dtype)
    for name, save in (("a.npy", np.save), ("a.npz", np.savez), ("b.npz", np.savez_compressed)):
        save(tmp_path / name, array)
        points = read_points(tmp_path / name).points
        np.testing.assert_array_equal(points, array[:, :3].astype(np.float64))
        assert points.dtype == (np.float32 if dtype in ("f2", "f4", ">f4") else np.float64)


def test_fortran_order_is_understood(tmp_path: Path) -> None:
    array = np.asfortranarray(RANDOM.random((5, 3)))
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read_points(tmp_path / "a.npy").points, array)


def test_an_archive_is_searched_by_name_then_by_shape(tmp_path: Path) -> None:
    cloud, other = RANDOM.random((5, 3)), RANDOM.random((5, 3))
    np.savez(tmp_path / "a.npz", normals=other, points=cloud, loc=np.zeros(3), scale=1.0)  # as ONet's files
    np.testing.assert_array_equal(read_points(tmp_path / "a.npz").points, cloud)
    np.savez(tmp_path / "b.npz", whatever=cloud, label=3)
    np.testing.assert_array_equal(read_points(tmp_path / "b.npz").points, cloud)
    np.savez(tmp_path / "c.npz", one=cloud, two=other)
    with pytest.raises(FormatError, match="no array named points"):
        read_points(tmp_path / "c.npz")


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((0, 3)), "no points"),
        (np.zeros(3), "of shape"),
        (np.zeros((4, 2)), "of shape"),
        (np.zeros((2, 4, 3)), "of shape"),
        (np.zeros((4, 3), complex), "not of numbers"),
        (np.zeros((4, 3), bool), "not of numbers"),
        (np.zeros((4, 3), "U3"), "not of numbers"),
        (np.array([[0, 0, np.nan], [0, np.inf, 0], [0, 0, 0], [1, 1, 1]]), "2 of 4 points are NaN or infinite"),
    ],
)
def test_arrays_that_are_no_points_are_refused(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(FormatError, match=reason):
        read_points(tmp_path / "a.npy")


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "exploded",)  # type: ignore[return-value]

    array = np.array([[Bomb(), 0, 0]], dtype=object)
    np.save(tmp_path / "a.npy", array, allow_pickle=True)
    np.savez(tmp_path / "a.npz", points=array)
    for name in ("a.npy", "a.npz"):
        with pytest.raises(FormatError, match="not of numbers"):
            read_points(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", RANDOM.random((4, 3)))
    np.savez(tmp_path / "a.npz", points=RANDOM.random((4, 3)))
    for name in ("a.npy", "a.npz"):
        data = (tmp_path / name).read_bytes()
        for length in range(len(data)):
            (tmp_path / f"cut-{name}").write_bytes(data[:length])
            with pytest.raises(FormatError):
                read_points(tmp_path / f"cut-{name}")


def npy(shape: tuple[int, ...], body: bytes = b"") -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return stream.getvalue() + body


@pytest.mark.parametrize("shape", [(10**12, 3), (2**62, 3), (2**32, 2**32, 3), (5, 3)])
def test_a_shape_larger_than_the_file_is_refused_before_allocating(tmp_path: Path, shape: tuple[int, ...]) -> None:
    (tmp_path / "a.npy").write_bytes(npy(shape, bytes(36)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("points.npy", npy(shape, bytes(36)))
    for name in ("a.npy", "a.npz"):
        with pytest.raises(FormatError, match="36 follow"):
            read_points(tmp_path / name)


def test_an_archive_that_swells_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points.npy", npy((8_000_000, 3), bytes(96_000_000)))
    with pytest.raises(FormatError, match="decompress to 96"):
        read_points(tmp_path / "a.npz")


def test_a_damaged_archive_is_noticed_by_its_checksum(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", points=np.ones((50, 3), np.float32))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[300] ^= 1
    (tmp_path / "a.npz").write_bytes(data)
    with pytest.raises(FormatError, match="CRC"):
        read_points(tmp_path / "a.npz")
