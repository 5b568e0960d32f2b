"""Sheets and turntables of clouds: of a width that fits a page, with as many frames as asked for."""

import tracemalloc
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from ptdiff_pointcloud.render import visualizer
from ptdiff_pointcloud.render.visualizer import Spheres


def clouds(count: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).random((count, 24, 3), np.float32)


@pytest.fixture
def blank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gray squares, as drawing hundreds of clouds takes long."""

    def draw(cloud: object, *, size: int, colors: object = None) -> npt.NDArray[np.uint8]:
        return np.full((size, size, 3), 90, np.uint8)

    def turn(cloud: object, *, frames: int, size: int, colors: object = None) -> Iterator[npt.NDArray[np.uint8]]:
        for _ in range(frames):
            yield draw(cloud, size=size)

    monkeypatch.setattr(visualizer, "render_cloud", draw)
    monkeypatch.setattr(visualizer, "turntable", turn)


@pytest.mark.usefixtures("blank")
@pytest.mark.parametrize("count", range(1, 27))
def test_a_sheet_is_no_wider_than_a_page_and_fills_it(count: int) -> None:
    sheet = Spheres().sheet(clouds(count), [])
    gaps = 12 * 9
    # a few at their largest do not fill it
    assert (1300 if count > 4 else 512) <= sheet.shape[1] <= 1536 + gaps
    assert sheet.shape[0] <= 1.2 * sheet.shape[1]


@pytest.mark.usefixtures("blank")
def test_pictures_of_many_clouds_stay_large_enough_to_tell_apart() -> None:
    sheet = Spheres().sheet(clouds(200), [])
    gray = (sheet == 90).all(axis=2)
    starts = np.flatnonzero(np.diff(gray.any(axis=0).astype(int)) == 1)
    assert (np.diff(starts) == 192 + 12).all()


def test_a_turntable_has_the_frames_asked_for_and_starts_with_the_sheet() -> None:
    samples, titles = clouds(2), ["one", "two"]
    pages = Spheres().turntable(samples, titles, frames=3)
    sheet = Spheres().sheet(samples, titles)
    assert [page.shape for page in pages] == [sheet.shape] * 3
    assert np.abs(pages[0].astype(int) - sheet).mean() < 0.5
    assert all((pages[0] != page).any() for page in pages[1:])


@pytest.mark.usefixtures("blank")
def test_beside_its_pages_a_turntable_keeps_one_picture_of_each_cloud() -> None:
    tracemalloc.start()
    pages = Spheres().turntable(clouds(9), [], frames=8)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.6 * sum(page.nbytes for page in pages)


def test_no_clouds_are_no_picture() -> None:
    for draw in (Spheres().sheet, Spheres().turntable):
        with pytest.raises(ValueError, match="there are no clouds to render"):
            draw(clouds(0), [])
