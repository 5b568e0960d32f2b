"""Pictures and folders of them: upright, square, of the right class and split, kept between runs."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from image_examples import encoded, photo
from PIL import Image

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.images.file import MOST_PIXELS, Look, look, read_picture
from ptdiff_datasets.images.folder import flowers, scan
from ptdiff_datasets.images.sets import ImageSet
from ptdiff_datasets.images.store import load_pictures


def flat(seed: int) -> bytes:
    """A small picture of one color, which tells it from others."""
    color = np.random.default_rng(seed).integers(0, 256, 3, dtype=np.uint8)
    return encoded(np.broadcast_to(color, (6, 6, 3)).copy(), "PNG")


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Writes different pictures below a folder, at the paths that are given."""

    def write(*names: str) -> Path:
        for name in names:
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(flat(zlib.crc32(name.encode())))
        return tmp_path / "root"

    return write


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ImageSet]:
    def read(root: Path, size: int = 8, gray: bool = False) -> ImageSet:
        return load_pictures(scan(root), size, gray=gray, cache=tmp_path / "cache")

    return read


def told(root: Path) -> dict[str, tuple[str, str | None]]:
    return {picture.id: (picture.label, picture.split) for picture in scan(root).pictures}


@pytest.mark.parametrize("format", ["PNG", "WEBP", "BMP", "JPEG"])
def test_the_middle_is_cut_out_and_colors_stay_where_they_are(tmp_path: Path, format: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photo(40, 60), format, **({"lossless": True} if format == "WEBP" else {})))
    read = read_picture(path, 40).astype(int)
    # forty pixels high already: only the sides are cut, ten columns each
    difference = np.abs(read - photo(40, 60)[:, 10:50].transpose(2, 0, 1))
    assert read.shape == (3, 40, 40)
    assert difference.max() <= (20 if format == "JPEG" else 0)


def test_shrinking_takes_means_and_not_single_pixels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    checkers = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    path.write_bytes(encoded(np.repeat(checkers[..., None], 3, axis=2), "PNG"))
    assert np.abs(read_picture(path, 16).astype(int) - 127.5)[:, 2:-2, 2:-2].max() < 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_upright_however_the_camera_was_held(tmp_path: Path, orientation: int) -> None:
    upright = photo(48, 48)
    # EXIF 2.32: where the first row and the first column of the file are to be seen
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: a.transpose(1, 0, 2)[::-1],
        7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],
        8: lambda a: a.transpose(1, 0, 2)[:, ::-1],
    }[orientation](upright)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.png"
    path.write_bytes(encoded(np.ascontiguousarray(stored), "PNG", exif=exif.tobytes()))
    assert np.array_equal(read_picture(path, 48), upright.transpose(2, 0, 1))


def test_gray_sixteen_bits_palettes_and_transparency_become_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    deep = np.array([[0, 257], [257 * 100, 65535]], np.uint16)
    Image.fromarray(deep).save(path)
    assert read_picture(path, 2, gray=True).tolist() == [[[0, 1], [100, 255]]]
    clear = np.zeros((4, 4, 4), np.uint8)
    path.write_bytes(encoded(clear, "PNG"))
    assert read_picture(path, 4).min() == 255  # black that nobody sees
    palette = Image.fromarray(photo(16, 16)).quantize(8)
    palette.save(path)
    assert np.array_equal(read_picture(path, 16), np.asarray(palette.convert("RGB")).transpose(2, 0, 1))
    Image.fromarray(photo(16, 16)).convert("CMYK").save(tmp_path / "a.jpg")
    assert read_picture(tmp_path / "a.jpg", 16).shape == (3, 16, 16)


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_of_an_animation_the_first_frame_is_taken(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    first, *rest = (Image.new("RGB", (8, 8), color) for color in ("red", "lime", "blue"))
    first.save(path, save_all=True, append_images=rest, lossless=True)
    assert read_picture(path, 8)[:, 4, 4].tolist() == [255, 0, 0]
    assert look(path).frames == 3


def test_a_look_tells_the_size_as_it_is_to_be_seen(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.jpg").write_bytes(encoded(photo(40, 60), "JPEG", exif=exif.tobytes()))
    assert look(tmp_path / "a.jpg") == Look("JPEG", 40, 60, False, 1)
    (tmp_path / "a.png").write_bytes(encoded(np.zeros((3, 5, 4), np.uint8), "PNG"))
    assert look(tmp_path / "a.png") == Look("PNG", 5, 3, True, 1)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    path = tmp_path / "a.png"
    side = int(MOST_PIXELS**0.5) + 1
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1 << 20))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    with pytest.raises(FormatError, match="pixels; at most 50,000,000 are read"):
        read_picture(path, 8)


def test_what_is_no_picture_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    stream = io.BytesIO()
    Image.fromarray(photo()).save(stream, "PPM")
    whole = encoded(photo(), "PNG")
    for content, reason in (
        (b"", "the file is empty"),
        (b"hello", "neither PNG"),
        (whole[: len(whole) // 2], "truncated"),
        (stream.getvalue(), "neither PNG"),
    ):
        path.write_bytes(content)
        with pytest.raises(FormatError, match=rf"a\.png: not a readable image: .*{reason}") as caught:
            read_picture(path, 8)
        assert len(str(caught.value).splitlines()) == 1


def test_classes_are_folders_and_a_folder_around_everything_is_none(tree: Callable[..., Path]) -> None:
    root = tree("all/cat/1.png", "all/cat/deep/2.JPG", "all/dog/3.webp", "all/dog/notes.txt", "all/.hidden/4.png")
    assert {id: label for id, (label, _) in told(root).items()} == {
        "all/cat/1.png": "cat", "all/cat/deep/2.JPG": "cat", "all/dog/3.webp": "dog",
    }  # fmt: skip
    assert {split for _, split in told(root).values()} == {"train", "val"}


def test_pictures_side_by_side_have_no_class(tree: Callable[..., Path]) -> None:
    assert {label for label, _ in told(tree("jpg/1.png", "jpg/2.png")).values()} == {""}


def test_a_picture_beside_the_classes_is_left_out_and_told(tree: Callable[..., Path]) -> None:
    layout = scan(tree("a/1.png", "a/2.png", "b/3.png", "stray.png"))
    assert layout.skipped == (("stray.png", "beside the class folders"),)


def test_files_of_other_kinds_are_counted_and_told(tree: Callable[..., Path], load: Callable[..., ImageSet]) -> None:
    root = tree("1.png", "2.png", "3.png", "a.heic", "b.HEIC", "notes.txt", "README", ".hidden")
    assert scan(root).other == {".heic": 2, ".txt": 1, "no suffix": 1}
    assert load(root).notes[0] == "4 files of other types: 2 .heic, 1 .txt, 1 no suffix"
    for path in root.glob("*.png"):
        path.unlink()
    with pytest.raises(DataError, match=r"no images .*; 4 files of other types: 2 \.heic"):
        scan(root)


def test_folders_of_splits_are_believed(tree: Callable[..., Path]) -> None:
    root = tree("train/a/1.png", "train/b/2.png", "test/a/3.png", "test/b/4.png")
    assert told(root)["test/a/3.png"] == ("a", "val")
    assert told(root)["train/b/2.png"] == ("b", "train")
    tree("valid/a/5.png")
    layout = scan(root)
    assert {p.id for p in layout.pictures if p.split == "val"} == {"valid/a/5.png"}
    assert layout.skipped == (("test", "2 images, not used because there is a validation split"),)


def test_about_a_tenth_is_held_out_and_a_new_file_moves_no_other(tree: Callable[..., Path]) -> None:
    root = tree(*(f"{n % 3}/{n}.png" for n in range(300)))
    before = told(root)
    assert 0.05 < sum(split == "val" for _, split in before.values()) / 300 < 0.15
    tree("0/new.png")
    after = told(root)
    assert all(after[id] == before[id] for id in before)


def test_an_empty_folder_and_one_of_unreadable_files_are_refused(
    tree: Callable[..., Path], load: Callable[..., ImageSet], tmp_path: Path
) -> None:
    (tmp_path / "root").mkdir()
    with pytest.raises(DataError, match="no images"):
        scan(tmp_path / "root")
    (tmp_path / "root/a.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"no images .*skipped: a\.png: not a readable image"):
        load(tmp_path / "root")


def test_what_was_read_is_kept_as_bytes_and_mapped(
    tree: Callable[..., Path], load: Callable[..., ImageSet], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = tree(*(f"{name}/{n}.png" for name in "ab" for n in range(12)))
    (root / "a/broken.png").write_bytes(b"?")
    (root / "b/copy.png").write_bytes((root / "b/1.png").read_bytes())
    first = load(root)
    assert first.classes == ("a", "b")
    assert len(first.train) + len(first.val) == 24
    assert "2 skipped" in first.notes[0] and "the same image as b/1.png" in first.notes[0]
    assert isinstance(first.train.pixels.base, np.ndarray)
    assert not first.train.pixels.flags.writeable
    assert first.train.label is not None
    order = [p for p in scan(root).pictures if p.id not in ("a/broken.png", "b/copy.png")]
    for at, picture in enumerate(order[: len(first.train)]):
        assert np.array_equal(first.train.pixels[at], read_picture(root / picture.id, 8))
        assert first.classes[first.train.label[at]] == picture.label

    def fail(*arguments: object, **options: object) -> None:
        raise AssertionError("read again")

    with monkeypatch.context() as patch:
        patch.setattr("ptdiff_datasets.images.store.read_picture", fail)
        again = load(root)
        assert np.array_equal(again.train.pixels, first.train.pixels)
        with pytest.raises(AssertionError, match="read again"):
            load(root, gray=True)
        os.utime(root / "a/3.png", ns=(0, 0))
        with pytest.raises(AssertionError, match="read again"):
            load(root)
    assert len(list((tmp_path / "cache/pictures").iterdir())) == 1
    load(root)
    assert len(list((tmp_path / "cache/pictures").iterdir())) == 1  # in place of its forerunner
    assert load(root, gray=True).train.pixels.shape[1:] == (1, 8, 8)


@pytest.mark.parametrize("damage", ["cut", "gone", "other", "text", "swapped"])
def test_a_damaged_store_is_read_anew(
    tree: Callable[..., Path], load: Callable[..., ImageSet], tmp_path: Path, damage: str
) -> None:
    root = tree("1.png", "2.png", "3.png")
    whole = np.array(load(root).train.pixels)
    (entry,) = (tmp_path / "cache/pictures").iterdir()
    pixels, index = entry / "pixels.npy", entry / "index.json"
    match damage:
        case "cut":
            os.truncate(pixels, pixels.stat().st_size - 1)
        case "gone":
            pixels.unlink()
        case "other":
            np.save(pixels, np.zeros((3, 3, 8, 8)))
        case "text":
            index.write_text("[1]")
        case "swapped":
            index.write_text(index.read_text().replace('"train"', '"val"', 1))
    again = load(root)
    assert "damaged" in again.notes[0]
    assert np.array_equal(again.train.pixels, whole)


def test_checksums_are_those_of_the_files(
    tree: Callable[..., Path], load: Callable[..., ImageSet], tmp_path: Path
) -> None:
    import hashlib

    load(tree("1.png", "2.png", "3.png"))
    (entry,) = (tmp_path / "cache/pictures").iterdir()
    lines = [line.split("  ") for line in (entry / "SHA256SUMS").read_text().splitlines()]
    assert {name: digest for digest, name in lines} == {
        name: hashlib.sha256((entry / name).read_bytes()).hexdigest() for name in ("pixels.npy", "index.json")
    }


def test_flowers_have_the_labels_and_splits_of_their_files(tmp_path: Path) -> None:
    from scipy.io import savemat

    (tmp_path / "jpg").mkdir()
    for n in range(1, 8):
        (tmp_path / f"jpg/image_{n:05d}.jpg").write_bytes(encoded(np.full((9, 9, 3), 30 * n, np.uint8), "JPEG"))
    (tmp_path / "jpg/image_00007.jpg").unlink()
    savemat(tmp_path / "imagelabels.mat", {"labels": np.array([[77, 77, 1, 1, 102, 102, 5]], np.uint8)})
    savemat(tmp_path / "setid.mat", {"trnid": [[1, 3]], "valid": [[2]], "tstid": [[4, 5, 6, 7]]})
    data = load_pictures(flowers(tmp_path), 8, cache=tmp_path / "cache")
    assert data.classes == ("001", "077", "102")
    assert data.val.label is not None
    assert data.val.label.tolist() == [1]
    assert data.train.pixels[:, 0, 4, 4].tolist() == pytest.approx([30, 90, 120, 150, 180], abs=2)
    assert "image_00007.jpg" in data.notes[0]
    savemat(tmp_path / "imagelabels.mat", {"labels": np.array([[0.5, 77]])})
    with pytest.raises(FormatError, match="positive integers"):
        flowers(tmp_path)
    (tmp_path / "imagelabels.mat").write_bytes(b"no such thing")
    with pytest.raises(FormatError, match="cannot read the variable labels"):
        flowers(tmp_path)


def test_what_lies_beside_named_splits_is_left_out_and_named(tree: Callable[..., Path]) -> None:
    names = [f"{split}/{kind}/{i}.png" for split in ("train", "test") for kind in ("cat", "dog") for i in range(2)]
    root = tree(*names, "preview.png", "extra/1.png")
    found = scan(root)
    assert {(picture.label, picture.split) for picture in found.pictures} == {
        (kind, split) for kind in ("cat", "dog") for split in ("train", "val")
    }
    assert sorted(name for name, why in found.skipped if "beside" in why) == ["extra/1.png", "preview.png"]
