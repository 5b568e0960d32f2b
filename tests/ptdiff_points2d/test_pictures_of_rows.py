"""Pictures of points in space and of rows of any width."""

from pathlib import Path

import numpy as np
import pytest

from ptdiff.modality import Unsupported
from ptdiff_datasets.points.toys import TOYS
from ptdiff_points2d import Points2D


def samples(width: int, count: int = 60) -> np.ndarray:
    return np.random.default_rng(width).normal(size=(count, width)).astype(np.float32)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 48])
def test_samples_of_any_width_are_drawn_with_and_without_classes(width: int) -> None:
    picture, x = Points2D(data="lost.csv").visualizer(), samples(width)
    plain = picture.sheet(x, [])
    assert plain.shape == (720, 720, 3)
    assert plain.std() > 5
    assert picture.sheet(x, ["a", "b"] * 30).shape == (720, 720, 3)
    for odd in (np.zeros((0, width)), np.full((3, width), np.nan), np.zeros((1, width))):
        assert picture.sheet(odd.astype(np.float32), []).shape == (720, 720, 3)


def test_points_in_space_turn() -> None:
    picture = Points2D(data="swissroll-3d").visualizer()
    x = TOYS["swissroll-3d"].draw(300, seed=0)[0]
    frames = picture.turntable(x, [], 4)
    assert len(frames) == 4
    assert np.array_equal(frames[0], picture.sheet(x, []))
    assert np.abs(frames[1].astype(int) - frames[0]).mean() > 1
    with pytest.raises(Unsupported, match="with 2 numbers"):
        picture.turntable(x[:, :2], [], 4)


@pytest.mark.parametrize(("data", "width"), [("moons", 2), ("swissroll-3d", 3), ("coins", 48)])
def test_tiles_have_the_side_that_is_asked_for(data: str, width: int) -> None:
    for scale in (1, 100):
        tile = Points2D(data=data).visualizer().tile(scale * samples(width), [], 90)
        assert max(tile.shape[:2]) == 90
        assert tile.shape[2] == 3


def test_the_map_of_coins_says_how_the_sum_is_kept() -> None:
    picture = Points2D(data="coins").visualizer()
    real = picture.sheet(TOYS["coins"].draw(200, seed=0)[0], [])
    independent = (np.random.default_rng(0).random((200, 48)) < 0.75).astype(np.float32)
    loose = picture.sheet(independent, [])
    # the histogram below, left of its legend: a single bar, or a wide heap
    below = (slice(530, 650), slice(0, 520))
    assert blue(loose[below]).any(axis=0).sum() > 10 * blue(real[below]).any(axis=0).sum() > 0


def blue(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 2].astype(int) - picture[..., 0]) > 60


def test_rows_of_any_width_are_written_as_csv(tmp_path: Path) -> None:
    write = Points2D().tables()["csv"]
    write(tmp_path / "a.csv", np.array([[1.0, 2.0, 3.0]], np.float32), [])
    write(tmp_path / "b.csv", np.arange(8, dtype=np.float32).reshape(2, 4), ["one", "two"])
    assert (tmp_path / "a.csv").read_text() == "x,y,z\n1,2,3\n"
    assert (tmp_path / "b.csv").read_text() == "c1,c2,c3,c4,class\n0,1,2,3,one\n4,5,6,7,two\n"
