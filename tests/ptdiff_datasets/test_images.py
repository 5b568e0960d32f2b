"""Digits and folders in MNIST's layout."""

import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.images.sets import ImageSet, ImageSplit, digits, mnist

REAL = Path(os.environ.get("PTDIFF_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data")) / "mnist"


def write(path: Path, array: np.ndarray) -> None:
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def images(count: int, seed: int = 0, side: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8)


def halves(data: ImageSet) -> tuple[ImageSplit, ImageSplit]:
    return data.train, data.val


def labels(count: int) -> np.ndarray:
    return (np.arange(count) % 3).astype(np.uint8)


def test_digits_are_those_of_scikit_learn_each_once() -> None:
    from sklearn.datasets import load_digits

    data = digits()
    assert len(data.train) + len(data.val) == 1797
    assert data.train.pixels.shape[1:] == (1, 8, 8)
    assert data.train.pixels.dtype == np.uint8
    assert data.white == data.train.pixels.max() == 16
    assert data.classes == tuple("0123456789")
    mine = np.concatenate([data.train.pixels, data.val.pixels]).reshape(1797, 64)
    theirs = load_digits().data
    assert np.array_equal(mine[np.lexsort(mine.T)], theirs[np.lexsort(theirs.T)])


def test_the_digits_held_out_are_a_sixth_of_each_class() -> None:
    train, val = digits().train, digits().val
    assert train.label is not None
    assert val.label is not None
    share = np.bincount(val.label) / (np.bincount(val.label) + np.bincount(train.label))
    assert np.abs(share - 1 / 6).max() < 0.005
    assert np.array_equal(digits().val.pixels, val.pixels)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_folder_in_the_layout_of_mnist_is_read(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"train-images-idx3-ubyte{suffix}", images(9))
    write(tmp_path / f"train-labels-idx1-ubyte{suffix}", labels(9))
    write(tmp_path / f"t10k-images-idx3-ubyte{suffix}", images(4, seed=1))
    write(tmp_path / f"t10k-labels-idx1-ubyte{suffix}", labels(4))
    data = mnist(tmp_path)
    assert np.array_equal(data.train.pixels[:, 0], images(9))
    assert np.array_equal(data.val.pixels[:, 0], images(4, seed=1))
    assert data.train.label is not None
    assert data.train.label.tolist() == labels(9).tolist()
    assert data.train.pixels.dtype == np.uint8
    assert data.classes == ("0", "1", "2")
    again = mnist(tmp_path / f"train-images-idx3-ubyte{suffix}").train
    assert np.array_equal(again.pixels, data.train.pixels)


def test_without_test_files_a_sixth_of_each_class_is_held_out(tmp_path: Path) -> None:
    write(tmp_path / "train-images-idx3-ubyte", images(36))
    write(tmp_path / "train-labels-idx1-ubyte", labels(36))
    train, val = halves(mnist(tmp_path))
    assert train.label is not None
    assert val.label is not None
    assert np.bincount(train.label).tolist() == [10, 10, 10]
    assert np.bincount(val.label).tolist() == [2, 2, 2]


def test_images_without_labels_are_read(tmp_path: Path) -> None:
    write(tmp_path / "train-images.idx3-ubyte.gz", images(12))
    train, val = halves(mnist(tmp_path))
    assert train.label is None
    assert (len(train), len(val)) == (10, 2)


def test_one_file_of_several_sets_must_be_named(tmp_path: Path) -> None:
    for name in ("letters", "digits"):
        write(tmp_path / f"emnist-{name}-train-images-idx3-ubyte", images(6))
        write(tmp_path / f"emnist-{name}-test-images-idx3-ubyte", images(3))
    with pytest.raises(DataError, match="several sets"):
        mnist(tmp_path)
    train, val = halves(mnist(tmp_path / "emnist-letters-train-images-idx3-ubyte"))
    assert (len(train), len(val)) == (6, 3)


def test_a_file_both_plain_and_packed_is_one_set(tmp_path: Path) -> None:
    for suffix in ("", ".gz"):
        write(tmp_path / f"train-images-idx3-ubyte{suffix}", images(6))
    assert len(mnist(tmp_path).train) == 5


def test_what_does_not_fit_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no train-images-idx3-ubyte"):
        mnist(tmp_path)
    with pytest.raises(FileNotFoundError):
        mnist(tmp_path / "nowhere")
    write(tmp_path / "train-images-idx3-ubyte", images(9))
    write(tmp_path / "train-labels-idx1-ubyte", labels(8))
    with pytest.raises(FormatError, match="not one uint8 for each of 9 images"):
        mnist(tmp_path)
    write(tmp_path / "train-labels-idx1-ubyte", labels(9))
    write(tmp_path / "t10k-images-idx3-ubyte", images(4))
    with pytest.raises(DataError, match=r"one of .* has labels, the other has none"):
        mnist(tmp_path)
    write(tmp_path / "t10k-images-idx3-ubyte", images(4, side=7))
    with pytest.raises(DataError, match=r"images of \(7, 7\)"):
        mnist(tmp_path)
    write(tmp_path / "train-images-idx3-ubyte", labels(9))
    with pytest.raises(FormatError, match="not uint8 of"):
        mnist(tmp_path)


def test_padding_puts_black_around_and_refuses_to_cut(tmp_path: Path) -> None:
    write(tmp_path / "train-images-idx3-ubyte", images(9)[:, :, :5])
    write(tmp_path / "t10k-images-idx3-ubyte", images(4, seed=1)[:, :, :5])
    data, wide = mnist(tmp_path), mnist(tmp_path).padded(9)
    assert wide.train.pixels.shape == (9, 1, 9, 9)
    assert wide.val.pixels.shape == (4, 1, 9, 9)
    assert np.array_equal(wide.train.pixels[:, :, 1:7, 2:7], data.train.pixels)
    assert wide.train.pixels.sum() == data.train.pixels.sum()
    with pytest.raises(ValueError, match="6 x 5 pixels can be padded, not cropped to 5"):
        data.padded(5)


def test_gray_is_luma_to_the_nearest_byte() -> None:
    colors = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 4), dtype=np.uint8)
    colors[0], colors[1] = 255, 0
    split = ImageSplit(colors, np.arange(5))
    gray = ImageSet(split, split).gray()
    exact = 0.299 * colors[:, 0].astype(float) + 0.587 * colors[:, 1] + 0.114 * colors[:, 2]
    assert gray.train.pixels.shape == (5, 1, 4, 4)
    assert np.abs(gray.train.pixels[:, 0] - exact).max() <= 0.5 + 1e-9
    assert gray.train.pixels[0].min() == 255
    assert gray.train.label is split.label
    assert np.array_equal(gray.gray().train.pixels, gray.train.pixels)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real MNIST is not in {REAL} (set PTDIFF_TEST_DATA)")
def test_the_real_mnist_has_its_published_counts() -> None:
    train, val = halves(mnist(REAL))
    assert train.pixels.shape == (60_000, 1, 28, 28)
    assert val.pixels.shape == (10_000, 1, 28, 28)
    assert val.label is not None
    assert np.bincount(val.label).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    # the mean and deviation that every tutorial quotes
    assert train.pixels.mean(dtype=np.float64) / 255 == pytest.approx(0.1307, abs=5e-5)
    assert train.pixels.std(dtype=np.float64) / 255 == pytest.approx(0.3081, abs=5e-5)
