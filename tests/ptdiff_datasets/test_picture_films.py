"""Folders of films: the first frames of animated GIFs, of the right class and split, kept between runs."""

import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_examples import animated, encoded, film
from PIL import Image

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.images.by_name import films, read
from ptdiff_datasets.images.checking import check
from ptdiff_datasets.images.file import read_film, read_picture
from ptdiff_datasets.images.folder import scan
from ptdiff_datasets.images.gif import delays
from ptdiff_datasets.images.sets import ImageSet


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes different films of so many frames below a folder."""
    monkeypatch.setenv("PTDIFF_CACHE", str(tmp_path / "cache"))

    def write(**frames: int) -> Path:
        for at, (name, count) in enumerate(frames.items()):
            path = tmp_path / "root" / f"{name.replace('_', '/')}.gif"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(animated([picture + np.uint8(at) for picture in film(count)]))
        return tmp_path / "root"

    return write


def test_frames_are_those_of_the_film_in_turn(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    path.write_bytes(animated(film(5, 20, 20)))
    found = read_film(path, 4, 20)
    assert found.shape == (3, 4, 20, 20)
    for frame, picture in zip(found.transpose(1, 2, 3, 0), film(5, 20, 20), strict=False):
        assert np.array_equal(frame, picture)
    assert read_film(path, 4, 20, gray=True).shape == (1, 4, 20, 20)


def test_a_frame_is_cut_and_scaled_as_a_picture_is(tmp_path: Path) -> None:
    frames = film(3, 20, 30)
    (tmp_path / "a.gif").write_bytes(animated(frames))
    found = read_film(tmp_path / "a.gif", 3, 8)
    for n, frame in enumerate(frames):
        (tmp_path / "a.png").write_bytes(encoded(frame, "PNG"))
        assert np.array_equal(found[:, n], read_picture(tmp_path / "a.png", 8))


def test_what_is_transparent_in_any_frame_is_white(tmp_path: Path) -> None:
    clear = Image.new("RGBA", (6, 6), (0, 0, 0, 0))
    half = clear.copy()
    half.paste((10, 200, 30, 255), (0, 0, 3, 6))
    half.save(tmp_path / "a.gif", save_all=True, append_images=[clear], disposal=2, duration=100)
    first, second = read_film(tmp_path / "a.gif", 2, 6).transpose(1, 2, 3, 0)
    assert first[0].tolist() == [[10, 200, 30]] * 3 + [[255] * 3] * 3
    assert second.min() == 255


def test_short_films_and_what_is_none_are_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.gif"
    whole = animated(film(3))
    for content, reason in (
        (whole, "a video of 3 frames, not of 4 or more"),
        (whole[: len(whole) // 2], "the file is truncated"),
        (whole[:-1], "the file is truncated"),
        (whole[:-1] + b"?" * 20, "unknown GIF block"),
        (b"GIF89a", "not a GIF"),
        (encoded(film()[0], "PNG"), "not a GIF"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=rf"a\.gif: .*{reason}") as caught:
            read_film(path, 4, 8)
        assert len(str(caught.value).splitlines()) == 1


def test_a_film_that_takes_too_much_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.gif", animated(film(3))
    path.write_bytes(whole[:6] + struct.pack("<2H", 3000, 3000) + whole[10:])
    with pytest.raises(FormatError, match="3000 x 3000 pixels; at most 6,250,000 are read"):
        read_film(path, 3, 8)
    # the first frame, wider than the screen
    at = whole.index(b",\0\0\0\0")
    path.write_bytes(whole[: at + 5] + struct.pack("<H", 60_000) + whole[at + 7 :])
    with pytest.raises(FormatError, match="frame 0 exceeds the screen of 30 x 20"):
        read_film(path, 3, 8)


def test_frames_and_how_long_they_are_shown_are_those_of_the_decoder() -> None:
    for count in (1, 2, 5):
        data = animated(film(count))
        with Image.open(io.BytesIO(data)) as image:
            assert len(delays(data, Path("a.gif"))) == image.n_frames == count
    assert delays(animated(film(5)), Path("a.gif")) == [10] * 5


def test_what_stands_still_is_there_for_as_long(tmp_path: Path) -> None:
    first, second, third = film(3, 20, 20)
    frames = [first, second, second, second, third]
    (tmp_path / "a.gif").write_bytes(animated(frames))
    # it keeps but one of three that are alike
    assert delays((tmp_path / "a.gif").read_bytes(), tmp_path / "a.gif") == [10, 30, 10]
    for count in (3, 5):
        found = read_film(tmp_path / "a.gif", count, 20)
        assert np.array_equal(found, np.stack(frames[:count]).transpose(3, 0, 1, 2))
    with pytest.raises(FormatError, match="a video of 5 frames, not of 6 or more"):
        read_film(tmp_path / "a.gif", 6, 20)


def test_a_folder_of_films_has_classes_and_splits_and_is_kept(folder: Callable[..., Path]) -> None:
    root = folder(train_left_a=4, train_left_b=5, train_right_c=4, train_right_d=3, val_left_e=4, val_right_f=4)
    (root / "train/left/still.png").write_bytes(encoded(film()[0], "PNG"))
    found = films(root, 4, 10)
    assert found is not None
    assert found.classes == ("left", "right")
    assert found.train.pixels.shape == (3, 3, 4, 10, 10)
    assert found.val.pixels.shape == (2, 3, 4, 10, 10)
    assert found.train.label is not None
    assert found.train.label.tolist() == [0, 0, 1]
    assert np.array_equal(found.train.pixels[1], read_film(root / "train/left/b.gif", 4, 10))
    assert "train/left/still.png: an image, not a video" in found.notes[0]
    assert "train/right/d.gif: a video of 3 frames, not of 4 or more" in found.notes[0]
    again = films(root, 4, 10)
    assert again is not None
    assert np.array_equal(again.train.pixels, found.train.pixels)
    # another number of frames is another set, beside it
    more = films(root, 3, 10)
    assert more is not None
    assert more.train.pixels.shape == (4, 3, 3, 10, 10)


def test_a_gif_is_a_picture_unless_frames_are_asked_for(folder: Callable[..., Path]) -> None:
    root = folder(a=3, b=3)
    (root / "c.png").write_bytes(encoded(film()[0] // 2, "PNG"))
    (root / "notes.txt").write_bytes(b"?")
    pictures, moving = scan(root), scan(root, 3)
    assert sorted(picture.id for picture in pictures.pictures) == ["a.gif", "b.gif", "c.png"]
    assert sorted(picture.id for picture in moving.pictures) == ["a.gif", "b.gif"]
    assert pictures.skipped == ()
    assert moving.skipped == (("c.png", "an image, not a video"),)
    assert pictures.other == moving.other == {".txt": 1}
    stills, found = read(root, 10), films(root, 3, 10)
    assert found is not None
    of = {p.id: pixels for p, pixels in zip(pictures.pictures, every(stills), strict=True)}
    for picture, pixels in zip(moving.pictures, every(found), strict=True):
        assert np.array_equal(pixels[:, 0], of[picture.id])
    assert "1 file of other types: 1 .txt" in found.notes


def test_folders_with_no_film_to_be_read_are_told_from_those_without(folder: Callable[..., Path]) -> None:
    root = folder(a=3, b=3)
    (root / "c.png").write_bytes(encoded(film()[0], "PNG"))
    (root / "notes.txt").write_bytes(b"?")
    with pytest.raises(
        DataError, match=r"no videos of 9 frames \(gif\) .*; skipped: .* a video of 3 frames.*; 1 file of other types"
    ):
        films(root, 9)
    (root / "a.gif").unlink()
    (root / "b.gif").unlink()
    with pytest.raises(DataError, match=r"no videos of 3 frames \(gif\) in .*; skipped: c\.png: an image, not a video"):
        scan(root, 3)
    assert films(root, 3) is None
    assert films(root / "c.png", 3) is None


def test_a_check_looks_at_the_first_frame_of_every_film(folder: Callable[..., Path]) -> None:
    found = check(folder(left_a=3, left_b=3, right_c=4, right_d=1))
    assert (found.total, found.moving, found.formats, found.ok) == (4, 3, {"GIF": 4}, True)
    assert (set(found.counts), found.equal) == ({"left", "right"}, ())


def every(found: ImageSet) -> np.ndarray:
    """Those to train on, then those held out."""
    return np.concatenate([found.train.pixels, found.val.pixels])
