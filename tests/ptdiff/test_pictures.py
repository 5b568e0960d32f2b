"""Contact sheets and image files: layout against computed places, files against what Pillow reads back."""

import sys

import numpy as np
import pytest
from PIL import Image, ImageFont

from ptdiff.pictures.files import contact_sheet, fitted, save_animation, save_image


def flat(color, height=40, width=60):
    return np.full((height, width, 3), color, dtype=np.uint8)


def noise(seed, height=40, width=60):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_every_picture_stands_whole_in_its_cell():
    images = [noise(i) for i in range(5)]
    sheet = contact_sheet(images, columns=2, gap=10)
    assert sheet.shape == (3 * 40 + 4 * 10, 2 * 60 + 3 * 10, 3)
    for index, image in enumerate(images):
        row, column = divmod(index, 2)
        top, left = 10 + row * 50, 10 + column * 70
        np.testing.assert_array_equal(sheet[top : top + 40, left : left + 60], image)
    assert (sheet[110:, 80:] == 255).all(), "the empty last cell is white"


def test_smaller_pictures_are_centered_in_their_cells():
    sheet = contact_sheet([flat(0, 40, 40), flat(0, 20, 10)], columns=2, gap=4)
    rows, columns = np.nonzero((sheet[:, 48:] == 0).all(axis=2))
    assert (rows.min(), rows.max()) == (14, 33)
    assert (columns.min(), columns.max()) == (15, 24)


def test_titles_stand_centered_under_their_pictures():
    sheet = contact_sheet([flat(255, 60, 200)] * 2, ["one", ""], columns=2, gap=8)
    ink = (sheet < 200).all(axis=2)
    rows, columns = np.nonzero(ink)
    assert rows.min() >= 8 + 60, "the title lies below the picture"
    assert abs((columns.min() + columns.max()) / 2 - (8 + 100)) < 4
    assert not ink[:, 216:].any(), "an empty title draws nothing"


def test_a_long_title_is_cut_to_the_width_of_its_cell():
    title = "a very long title that does not fit under its picture at all"
    sheet = contact_sheet([flat(255, 40, 120)] * 3, [title, "", ""], columns=3, gap=8)
    _, columns = np.nonzero((sheet < 200).all(axis=2))
    assert columns.min() >= 8
    assert columns.max() < 8 + 120
    short = contact_sheet([flat(255, 40, 120)] * 3, ["a very", "", ""], columns=3, gap=8)
    assert (sheet != short).any(), "as much of the title as fits is kept"


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7, 10, 16, 20, 37])
def test_the_default_page_has_room_for_all_and_a_sane_shape(count):
    sheet = contact_sheet([flat(0, 20, 20)] * count, gap=0)
    assert (sheet == 0).all(axis=2).sum() == count * 400
    assert sheet.shape[1] >= sheet.shape[0] * 0.6
    assert sheet.shape[1] <= sheet.shape[0] * 3.1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "at least one"),
        (([flat(0)], ["a", "b"]), "2 titles for 1"),
        (([flat(0).astype(float)],), r"uint8 .*not float64 \(40, 60, 3\)"),
        (([np.zeros((4, 4), np.uint8)],), r"not uint8 \(4, 4\)"),
    ],
)
def test_a_contact_sheet_of_nonsense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        contact_sheet(*arguments)


@pytest.mark.parametrize(("suffix", "error"), [(".png", 0), (".PNG", 0), (".jpg", 6), (".webp", 8)])
def test_an_image_is_read_back(tmp_path, suffix, error):
    x = np.linspace(0, 255, 64)
    image = np.stack([np.add.outer(x, x) / 2, np.add.outer(x, x[::-1]) / 2, np.full((64, 64), 90.0)], axis=-1)
    save_image(tmp_path / f"a{suffix}", image.astype(np.uint8))
    with Image.open(tmp_path / f"a{suffix}") as back:
        assert np.abs(np.asarray(back.convert("RGB")).astype(int) - image.astype(np.uint8)).max() <= error
    assert [p.name for p in tmp_path.iterdir()] == [f"a{suffix}"]


def test_missing_folders_are_made(tmp_path):
    save_image(tmp_path / "deep" / "down" / "a.png", flat(3))
    assert (tmp_path / "deep" / "down" / "a.png").is_file()


@pytest.mark.parametrize("name", ["a.bmp", "a", "a.gif", "a.png.tmp"])
def test_an_unknown_image_suffix_is_refused_by_naming_the_known(tmp_path, name):
    with pytest.raises(ValueError, match=r"\.png, \.jpg, \.jpeg, \.webp"):
        save_image(tmp_path / name, flat(0))
    assert not list(tmp_path.iterdir())


def test_an_unknown_animation_suffix_is_refused_by_naming_the_known(tmp_path):
    with pytest.raises(ValueError, match=r"'a\.png'.*\.gif, \.webp, \.mp4"):
        save_animation(tmp_path / "a.png", [flat(0)])


def rising(count=6):
    return [flat((40 * i, 250 - 40 * i, 128), 30, 50) for i in range(count)]


@pytest.mark.parametrize(("suffix", "duration"), [(".gif", 80), (".webp", 80)])
def test_an_animation_keeps_frames_size_duration_and_colors(tmp_path, suffix, duration):
    frames = rising()
    save_animation(tmp_path / f"a{suffix}", frames, fps=12.5)
    with Image.open(tmp_path / f"a{suffix}") as back:
        assert back.n_frames == len(frames)
        assert back.size == (50, 30)
        assert back.info["loop"] == 0
        for index, frame in enumerate(frames):
            back.seek(index)
            back.load()
            assert back.info["duration"] == duration
            assert np.abs(np.asarray(back.convert("RGB")).astype(int) - frame).max() <= 8


def test_a_gif_uses_one_palette_for_all_frames(tmp_path):
    save_animation(tmp_path / "a.gif", [noise(i) // 64 * 64 for i in range(4)])
    data = (tmp_path / "a.gif").read_bytes()
    with Image.open(tmp_path / "a.gif") as back:
        assert back.n_frames == 4
    # An image descriptor is 0x2C, four 16-bit numbers and flags, whose highest bit announces a local palette.
    descriptor = b"\x2c" + bytes(4) + (60).to_bytes(2, "little") + (40).to_bytes(2, "little")
    flags = [data[i + 9] for i in range(len(data) - 9) if data[i : i + 9] == descriptor]
    assert flags
    assert all(flag & 0x80 == 0 for flag in flags)


def test_a_gif_keeps_greys_exactly_beside_many_colors(tmp_path):
    ramp = np.repeat(np.linspace(180, 255, 60).astype(np.uint8)[None, :, None], 20, axis=0).repeat(3, axis=2)
    frames = [np.concatenate([noise(i, 20), ramp, flat(255, 20)]) for i in range(3)]
    save_animation(tmp_path / "a.gif", frames)
    with Image.open(tmp_path / "a.gif") as back:
        for index, frame in enumerate(frames):
            back.seek(index)
            np.testing.assert_array_equal(np.asarray(back.convert("RGB"))[20:], frame[20:])


def test_a_grey_gif_is_exact(tmp_path):
    save_animation(tmp_path / "a.gif", [flat(v) for v in (0, 90, 255)])
    with Image.open(tmp_path / "a.gif") as back:
        values = []
        for index in range(3):
            back.seek(index)
            values.append(back.convert("RGB").getpixel((5, 5)))
    assert values == [(0, 0, 0), (90, 90, 90), (255, 255, 255)]


def test_an_mp4_has_its_frames_and_an_even_size(tmp_path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    save_animation(tmp_path / "a.mp4", [flat((40 * i, 120, 128), 63, 65) for i in range(6)], fps=10)
    reader = imageio_ffmpeg.read_frames(str(tmp_path / "a.mp4"))
    assert next(reader)["size"] == (66, 64)
    assert len(list(reader)) == 6


def test_an_mp4_without_its_library_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(RuntimeError, match=r"pip install ptdiff\[video\]"):
        save_animation(tmp_path / "a.mp4", rising())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("frames", "fps", "message"),
    [
        ([], 20, "at least one"),
        ([flat(0), flat(0, 41)], 20, "must have the same size"),
        ([flat(0)], 0, "0 fps in a .gif file is out of range"),
    ],
)
def test_an_animation_of_nonsense_is_refused(tmp_path, frames, fps, message):
    with pytest.raises(ValueError, match=message):
        save_animation(tmp_path / "a.gif", frames, fps)


@pytest.mark.parametrize("suffix", [".png", ".gif"])
def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"old")

    def save(self, part, **options):
        part.write_bytes(b"half a pict")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(OSError, match="No space"):
        save_image(path, flat(0)) if suffix == ".png" else save_animation(path, rising())
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_default_font_scales():
    assert ImageFont.load_default(40).getlength("wide") > 1.8 * ImageFont.load_default(20).getlength("wide")


@pytest.mark.parametrize(("size", "expected"), [((400, 200), (100, 50)), ((30, 1000), (3, 100)), ((1, 5000), (1, 100))])
def test_a_large_picture_is_fitted_with_its_proportions(size, expected):
    assert fitted(np.full((*size, 3), 90, dtype=np.uint8), 100).shape == (*expected, 3)


def test_a_small_picture_is_left_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (40, 100, 3), dtype=np.uint8)
    assert fitted(image, 100) is image
