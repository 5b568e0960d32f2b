"""Points in the dark of a picture: where they fall, how often, and pictures that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.images.file import read_picture
from ptdiff_datasets.points.image_density import darkness, points
from ptdiff_datasets.points.toys import uniform


def saved(path: Path, gray: list[list[int]]) -> Path:
    Image.fromarray(np.array(gray, dtype=np.uint8)).save(path)
    return path


def test_points_fall_on_pixels_in_proportion_to_their_darkness(tmp_path: Path) -> None:
    dark = darkness(saved(tmp_path / "a.png", [[255, 0, 204], [255, 255, 153]]))
    assert np.allclose(dark, [[0, 1, 0.2], [0, 0, 0.4]])
    found = points(dark, uniform(20_000, seed=1))
    # three pixels wide is two long: x from -1 to 1, and y upwards
    column, row = np.floor((found[:, 0] + 1) * 1.5), np.floor((2 / 3 - found[:, 1]) * 1.5)
    share = np.histogram2d(row, column, bins=[np.arange(3), np.arange(4)])[0] / len(found)
    assert np.allclose(share, dark / dark.sum(), atol=0.01)
    assert share[dark == 0].max() == 0
    inside = (found[:, 0] + 1) * 1.5 % 1
    assert abs(inside.mean() - 0.5) < 0.01
    assert abs(inside.var() - 1 / 12) < 0.003


def test_the_first_and_the_last_number_fall_on_dark_pixels() -> None:
    dark = np.array([[0.0, 0.3, 0.0], [0.0, 0.7, 0.0]])
    ends = np.array([[0.0, 0.5, 0.5], [np.nextafter(1, 0), 0.5, 0.5]])
    assert np.allclose(points(dark, ends), [[0, 1 / 3], [0, -1 / 3]])


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    pixels = np.zeros((1, 2, 4), dtype=np.uint8)
    pixels[0, 0, 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    assert darkness(tmp_path / "a.png").tolist() == [[1.0, 0.0]]


def test_pictures_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="entirely white"):
        darkness(saved(tmp_path / "white.png", [[255, 255]]))
    (tmp_path / "no.png").write_bytes(b"not a picture")
    with pytest.raises(FormatError, match="not a readable image"):
        darkness(tmp_path / "no.png")
    whole = saved(tmp_path / "whole.png", [[0] * 64] * 64).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[:60])
    with pytest.raises(FormatError, match="not a readable image"):
        darkness(tmp_path / "cut.png")
    with pytest.raises(FileNotFoundError):
        darkness(tmp_path / "nowhere.png")


def ramp() -> np.ndarray:
    return np.tile(np.arange(256, dtype=np.uint16), (4, 1))


DEEP: dict[str, Image.Image] = {
    "a.png": Image.fromarray(ramp() * np.uint16(257)),
    "a.tif": Image.fromarray(ramp() * np.uint16(257)),
    "b.tif": Image.fromarray((ramp() / 255).astype(np.float32)),
    "c.tif": Image.fromarray(ramp().astype(np.int32) * 257),
}


@pytest.mark.parametrize("name", DEEP)
def test_a_ramp_of_sixteen_bits_is_as_dark_as_its_twin_of_eight(tmp_path: Path, name: str) -> None:
    DEEP[name].save(tmp_path / name)
    Image.fromarray(ramp().astype(np.uint8)).save(tmp_path / "eight.png")
    found = darkness(tmp_path / name)
    assert np.allclose(found, darkness(tmp_path / "eight.png"), atol=1e-6)
    assert found.mean() == pytest.approx(0.5)
    assert np.abs(read_picture(tmp_path / name, 4, gray=True).astype(int).mean() - 127.5) < 2


def test_white_may_be_zero_or_transparent_at_sixteen_bits(tmp_path: Path) -> None:
    Image.fromarray(ramp() * np.uint16(257)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert darkness(tmp_path / "a.tif")[0, 255] == 1
    Image.fromarray(ramp() * np.uint16(257)).save(tmp_path / "a.png", transparency=0)
    found = darkness(tmp_path / "a.png")
    assert found[0, 0] == 0 and found[0, 1] > 0.99


def test_gray_without_a_known_white_is_refused(tmp_path: Path) -> None:
    for i, values in enumerate((ramp().astype(np.float32), ramp().astype(np.int32) * 1000, -ramp().astype(np.int32))):
        Image.fromarray(values).save(tmp_path / f"{i}.tif")
        with pytest.raises(FormatError, match="without a known white: save it with 8 or 16 bits"):
            darkness(tmp_path / f"{i}.tif")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    pixels = np.full((40, 60), 255, np.uint8)
    pixels[:10, :10] = 0  # the top left as it is stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif, quality=100)
    dark = darkness(tmp_path / "a.jpg")
    assert dark.shape == ((40, 60) if orientation < 5 else (60, 40))
    # EXIF 2.32: the corner at which the first pixel is displayed
    bottom, right = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
        orientation
    ]
    corner = dark[-8:, :] if bottom else dark[:8, :]
    assert (corner[:, -8:] if right else corner[:, :8]).mean() > 0.95


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK"])
def test_pictures_of_every_mode_are_as_dark_as_they_look(tmp_path: Path, mode: str) -> None:
    gray = Image.fromarray(np.array([[0, 255, 255], [255, 255, 0]], np.uint8).repeat(16, 0).repeat(16, 1))
    name = "a.tif" if mode == "CMYK" else "a.png"
    gray.convert("RGB").convert(mode).save(tmp_path / name)
    found = darkness(tmp_path / name)
    assert np.allclose(found[[8, 8, 24], [8, 24, 40]], [1, 0, 1], atol=0.02)
