"""Pages of small pictures, and the tiles that visualizers of the three kinds make for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ptdiff.modality import registry
from ptdiff.pictures.page import GAP, MARGIN, bands, page


def gray(value: int, height: int = 30, width: int = 40) -> Any:
    return np.full((height, width, 3), value, dtype=np.uint8)


def test_every_picture_stands_whole_in_its_place() -> None:
    sheet = page([[gray(10), gray(20)], [gray(30)]])
    assert sheet.shape == (2 * MARGIN + 60 + GAP, 2 * MARGIN + 80 + GAP, 3)
    for value, row, column in ((10, 0, 0), (20, 0, 1), (30, 1, 0)):
        top, left = MARGIN + row * (30 + GAP), MARGIN + column * (40 + GAP)
        assert (sheet[top : top + 30, left : left + 40] == value).all()
    assert (sheet[:, :MARGIN] == 255).all() and (sheet == 10).all(axis=2).sum() == 30 * 40


def test_words_make_room_for_themselves_and_cover_no_picture() -> None:
    words = {
        "columns": ["a long word over it", ""],
        "names": ["a name"],
        "notes": [["a much longer word below it", ""]],
    }
    plain, sheet = page([[gray(7), gray(7)]]), page([[gray(7), gray(7)]], **words)
    assert sheet.shape[0] > plain.shape[0] + 40 and sheet.shape[1] > plain.shape[1] + 100
    assert (sheet == 7).all(axis=2).sum() == 2 * 30 * 40
    for edge in (sheet[0], sheet[-1], sheet[:, 0], sheet[:, -1]):
        assert (edge == 255).all()


def test_columns_that_find_no_room_beside_each_other_stand_below_under_their_words() -> None:
    def red(value: int) -> Any:
        # words are gray
        return gray(value) * np.array([1, 0, 0], dtype=np.uint8)

    columns = [[red(10 * k), red(10 * k + 5)] for k in range(1, 6)]
    words = ["a", "a word much wider than its picture", "c", "d", "e"]
    sheet = bands(columns, words, 4)
    # five in two bands: three and two, in cells of one width
    top = page([column[:1] for column in columns[:1]], ["a"]).shape[0] - MARGIN - 30
    places = {int(v): np.argwhere((sheet == (v, 0, 0)).all(axis=2)) for v in range(10, 60, 5)}
    assert all(len(place) == 30 * 40 for place in places.values())
    corners = {v: tuple(place.min(axis=0)) for v, place in places.items()}
    band = top + 2 * 30 + GAP + MARGIN
    step = corners[20][1] - corners[10][1]
    assert step == corners[50][1] - corners[40][1] == corners[30][1] - corners[20][1] > 40 + GAP
    for k in range(1, 6):
        row, column = divmod(k - 1, 3)
        y, x = top + row * band, corners[10][1] + column * step
        assert corners[10 * k] == (y, x) and corners[10 * k + 5] == (y + 30 + GAP, x)
        # the word stands over it
        assert (sheet[y - top + MARGIN : y, x - 20 : x + 60] < 100).any()
    assert (bands(columns, words, 5) == page(list(zip(*columns, strict=True)), words)).all()


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], {}),
        ([[]], {}),
        ([[gray(1)]], {"columns": ["a", "b"]}),
        ([[gray(1)]], {"names": ["a", "b"]}),
        ([[gray(1), gray(2)]], {"notes": [["a"]]}),
    ],
)
def test_words_for_other_pictures_than_there_are_are_refused(rows: Any, words: Any) -> None:
    with pytest.raises(ValueError, match=r"image"):
        page(rows, **words)


@pytest.mark.parametrize(("name", "count", "shape"), [("images", 6, (1, 8, 8)), ("images", 1, (3, 300, 200))])
def test_tiles_of_images_fit_and_keep_their_pixels_square(name: str, count: int, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).random((count, *shape), dtype=np.float32)
    tile = registry.load(name).visualizer().tile(x, [], 150)
    assert max(tile.shape[:2]) <= 150
    if count == 6:
        block = tile[:40, :40].reshape(8, 5, 8, 5, 3)
        assert (block == block[:, :1, :, :1]).all()
    else:
        assert abs(tile.shape[0] / tile.shape[1] - 1.5) < 0.02


@pytest.mark.parametrize("count", [1, 5])
def test_tiles_of_clouds_fit(count: int) -> None:
    x = np.random.default_rng(0).normal(size=(count, 60, 3)).astype(np.float32)
    tile = registry.load("pointcloud").visualizer().tile(x, [], 150)
    assert max(tile.shape[:2]) <= 150 and (tile < 200).any()


def test_a_tile_that_nobody_wrote_is_a_sheet_made_smaller() -> None:
    from ptdiff.modality import Visualizer

    class Plain(Visualizer):
        def sheet(self, samples: Any, titles: Any) -> Any:
            return gray(100, 400, 800)

    assert Plain().tile(np.zeros((1, 2), dtype=np.float32), [], 150).shape == (75, 150, 3)
