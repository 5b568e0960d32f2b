"""What ``ptdiff data check -m images`` says: counts, sizes, kinds, what is broken, what is there twice."""

import json
from pathlib import Path

import numpy as np
import pytest
from image_examples import cifar_binary, encoded, photo
from PIL import Image

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.images.checking import check


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes, and most of what a folder may hold that is not as it should be."""
    root = tmp_path / "mine"
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        for n in range(6):
            (root / name / f"{n}.jpg").write_bytes(encoded(photo(40 + n, 60) // (1 + n + ord(name[0]) % 2), "JPEG"))
    (root / "cat" / "copy.jpg").write_bytes((root / "cat" / "1.jpg").read_bytes())
    (root / "cat" / "clear.png").write_bytes(encoded(np.full((50, 50, 4), 99, np.uint8), "PNG"))
    (root / "cat" / "gray.png").write_bytes(encoded(photo(50, 50)[..., 0], "PNG"))
    frames = [Image.new("RGB", (9, 80), color) for color in ("red", "blue")]
    frames[0].save(root / "dog" / "film.gif", save_all=True, append_images=frames[1:])
    (root / "dog" / "cut.png").write_bytes(encoded(photo(), "PNG")[:300])
    (root / "dog" / "empty.png").write_bytes(b"")
    (root / "beside.png").write_bytes(encoded(photo(33, 33), "PNG"))
    (root / "dog" / "phone.heic").write_bytes(b"?")
    return root


def test_a_folder_of_pictures_is_counted_and_what_is_broken_is_named(pictures: Path) -> None:
    calls: list[tuple[int, int]] = []
    found = check(pictures, lambda done, total: calls.append((done, total)))
    assert calls == [(n, 18) for n in range(1, 19)]
    assert {name: sum(row.values()) for name, row in found.counts.items()} == {"cat": 9, "dog": 7}
    assert found.total == 16
    assert found.sizes[0] == (9, 80)
    assert found.sizes[-1] == (50, 50)
    assert found.formats == {"JPEG": 13, "PNG": 2, "GIF": 1}
    # one of them has colors in its file, that are all alike
    assert (found.gray, found.transparent, found.moving, found.small) == (2, 1, 1, 1)
    assert found.equal == (("cat/1.jpg", "cat/copy.jpg"),)
    assert [id for id, _ in found.unreadable] == ["dog/cut.png", "dog/empty.png"]
    assert found.skipped == (("beside.png", "beside the class folders"),)
    assert found.other == {".heic": 1}
    assert not found.ok
    assert json.loads(json.dumps(found.as_dict()))["total"] == 16


def test_the_text_says_all_of_it(pictures: Path) -> None:
    text = check(pictures).text()
    for words in (
        "16 images in 2 classes",
        "1 GIF, 13 JPEG, 2 PNG",
        "9 x 80 to 50 x 50",
        "1 animated: first frame only; -o frames=N for N frames of a GIF",
        "2 gray",
        "1 file of other types: 1 .heic",
        "unreadable: 2",
        "dog/empty.png: not a readable image: the file is empty",
        "2: cat/1.jpg, cat/copy.jpg",
    ):
        assert words in text
    assert text.splitlines()[-1] == "something is broken"
    # but for what a decoder says of a file
    assert all(len(line) <= 80 for line in text.splitlines()[1:] if "not a readable image" not in line)
    for name in ("cut.png", "empty.png"):
        (pictures / "dog" / name).unlink()
    assert check(pictures).text().splitlines()[-1] == "nothing is broken"


def test_where_all_are_gray_the_option_is_named(tmp_path: Path) -> None:
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(encoded(photo(40, 40 + n)[..., 0], "PNG"))
    assert "3 gray: -o gray=true uses one channel" in check(tmp_path).text()


def test_published_layouts_are_counted_and_their_copies_found(tmp_path: Path) -> None:
    batch = cifar_binary(20, 1)
    (tmp_path / "data_batch_1.bin").write_bytes(batch)
    (tmp_path / "test_batch.bin").write_bytes(cifar_binary(9, 2) + batch[3 * 3073 : 4 * 3073])
    found = check(tmp_path)
    assert found.counts["airplane"] == {"train": 2, "val": 1}
    assert found.counts["cat"] == {"train": 2, "val": 2}
    assert found.sizes == ((32, 32),) * 3
    assert found.equal == (("train 3", "val 9"),)
    assert "missing files: data_batch_2.bin" in found.text()
    (tmp_path / "data_batch_1.bin").write_bytes(batch[:-1])
    with pytest.raises(FormatError, match="whole records of 3073"):
        check(tmp_path)


def test_nothing_to_look_at_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no images"):
        check(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"no images .*skipped: a\.png: not a readable image: the file is empty"):
        check(tmp_path)


def test_many_faults_and_classes_fit_one_screen_and_what_is_not_held_out_is_named(tmp_path: Path) -> None:
    for split, names in (("train", "abcdefghijklmnopqrst"), ("val", "abc")):
        for name in names:
            for i in range(2):
                path = tmp_path / split / name / f"{'long' * 20}-{i}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                color = (ord(name), 7 * i, len(split))
                Image.new("RGB", (40, 40), color).save(path)
            (tmp_path / split / name / "broken.png").write_bytes(b"no")
            (tmp_path / split / name / "copy.png").write_bytes(path.read_bytes())
    found = check(tmp_path)
    lines = found.text().splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    for words in ("unreadable 23", "broken.png and 22 more", "unheld 17", "copy 23", "train + val: "):
        assert words in found.text(), words
