"""Points in the dark of a picture: where they fall, how often, and pictures that cannot be used."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ptdiff_datasets.errors import FormatError
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
