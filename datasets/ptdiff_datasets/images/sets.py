"""Sets of small labeled images: scikit-learn's handwritten digits, and folders in MNIST's format.

Pixels are bytes from 0 to the ``white`` of their set, images (n, channels, height, width), labels int64 (n,).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.holdout import held_out
from ptdiff_datasets.images.idx import read_idx

Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class ImageSplit:
    """Images (n, channels, height, width) or videos (n, channels, frames, height, width), and labels (n,) or None.

    The pixels may be memory-mapped.
    """

    pixels: Bytes
    label: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: npt.NDArray[np.bool_] | slice) -> ImageSplit:
        return ImageSplit(self.pixels[rows], None if self.label is None else self.label[rows])


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Training and validation images, the value of white, the names of classes 0, 1, …, and notes, one line each.

    sha256: of the files' content, if it is known without reading all pixels.
    """

    train: ImageSplit
    val: ImageSplit
    white: int = 255
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sha256: str = ""

    def gray(self) -> ImageSet:
        """Convert to one channel, luma Y = 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601)."""

        def mixed(split: ImageSplit) -> ImageSplit:
            if split.pixels.shape[1] == 1:
                return split
            # in pieces: the products need eight times the memory
            pieces = np.array_split(split.pixels, max(1, split.pixels.size >> 24))
            luma = [np.rint(np.tensordot(piece, _LUMA, (1, 0))).astype(np.uint8) for piece in pieces]
            return replace(split, pixels=np.concatenate(luma)[:, None])

        return replace(self, train=mixed(self.train), val=mixed(self.val))

    def padded(self, size: int) -> ImageSet:
        """Pad to squares of ``size`` pixels with black; ValueError if the images are larger."""
        height, width = self.train.pixels.shape[2:]
        if size < max(height, width):
            raise ValueError(f"images of {height} x {width} pixels can be padded, not cropped to {size}")
        top, left = (size - height) // 2, (size - width) // 2
        room = ((0, 0), (0, 0), (top, size - height - top), (left, size - width - left))

        def larger(split: ImageSplit) -> ImageSplit:
            return replace(split, pixels=np.pad(split.pixels, room))

        return self if height == width == size else replace(self, train=larger(self.train), val=larger(self.val))


_LUMA = np.array([0.299, 0.587, 0.114])


def digits() -> ImageSet:
    """Load the 1,797 handwritten digits of 8 x 8 pixels that ship with scikit-learn; white is 16.

    (Alpaydin and Kaynak 1998, UCI "Optical recognition of handwritten digits", the test part.)
    """
    from sklearn.datasets import load_digits

    table = load_digits()
    pixels = table.images.astype(np.uint8)[:, None]
    train, val = without_official_split(ImageSplit(pixels, table.target.astype(np.int64)))
    return ImageSet(train, val, white=16, classes=numbered(10))


def numbered(count: int) -> tuple[str, ...]:
    """Name ``count`` classes by their numbers."""
    return tuple(str(n) for n in range(count))


def mnist(path: str | Path) -> ImageSet:
    """Read IDX images for training and validation: a folder in MNIST's format, or one file of training images.

    A folder holds ``train-images-idx3-ubyte`` and, optionally, ``train-labels-idx1-ubyte`` and the same two with
    ``t10k`` (or ``test``) instead of ``train``, each plain or ``.gz``. Without a test set, every sixth image of each
    class is held out. Raises DataError if there are no training images, FormatError for a broken file.
    """
    images = _training_images(Path(path))
    train = _split(images)
    names = {re.sub("train", other, images.name) for other in ("t10k", "test")} - {images.name}
    held = _existing(images.parent, sorted(names))
    if held is None:
        return _named(*without_official_split(train))
    val = _split(held)
    if val.pixels.shape[1:] != train.pixels.shape[1:]:
        sizes = f"{val.pixels.shape[2:]}, {images.name} of {train.pixels.shape[2:]}"
        raise DataError(f"{held.name} holds images of {sizes}")
    if (val.label is None) != (train.label is None):
        raise DataError(f"one of {images.name} and {held.name} has labels, the other has none")
    return _named(train, val)


def _named(train: ImageSplit, val: ImageSplit) -> ImageSet:
    """Number the classes that occur in the training images 0, 1, …, and name them by the labels of the file.

    A class that occurs in the validation images only cannot be learned: these images are left out.
    """
    if train.label is None or val.label is None:
        return ImageSet(train, val)
    there = np.unique(train.label)
    known = np.isin(val.label, there)
    notes = []
    if not known.all():
        never = ", ".join(map(str, np.unique(val.label[~known]).tolist()))
        notes.append(f"{(~known).sum():,} validation images left out: no training image has label {never}")
        val = val[known]
    assert val.label is not None and train.label is not None
    train = replace(train, label=np.searchsorted(there, train.label))
    val = replace(val, label=np.searchsorted(there, val.label))
    return ImageSet(train, val, classes=tuple(map(str, there.tolist())), notes=tuple(notes))


def has_idx(folder: Path) -> bool:
    """True if a folder holds training images in MNIST's format."""
    return any(_TRAINING.search(file.name) for file in folder.iterdir())


_TRAINING = re.compile(r"train-images.idx3-ubyte(\.gz)?$")


def _training_images(path: Path) -> Path:
    if not path.is_dir():
        return path
    found = sorted(file for file in path.iterdir() if _TRAINING.search(file.name))
    # a folder may hold the same file plain and gzipped
    plain = [file for file in found if file.suffix != ".gz" or file.with_suffix("") not in found]
    if len(plain) == 1:
        return plain[0]
    if not plain:
        raise DataError(f"no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in {path}")
    raise DataError(f"several sets in {path}; choose one file: {', '.join(file.name for file in plain)}")


def _existing(folder: Path, names: list[str]) -> Path | None:
    """Return the first of ``names`` in ``folder``, plain or gzipped, or None."""
    for name in names:
        plain = name.removesuffix(".gz")
        for file in (folder / plain, folder / f"{plain}.gz"):
            if file.is_file():
                return file
    return None


def _split(images: Path) -> ImageSplit:
    pixels = read_idx(images)
    if pixels.ndim != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        found = f"{pixels.dtype} of shape {pixels.shape}"
        raise FormatError(images, f"{found}, not uint8 of shape (images, height, width)", 2)
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    labels = _existing(images.parent, [name]) if name != images.name else None
    if labels is None:
        return ImageSplit(pixels[:, None], None)
    label = read_idx(labels)
    if label.shape != pixels.shape[:1] or label.dtype != np.uint8:
        found = f"{label.dtype} of shape {label.shape}"
        raise FormatError(labels, f"{found}, not one uint8 for each of {len(pixels)} images", 2)
    return ImageSplit(pixels[:, None], label.astype(np.int64))


def without_official_split(whole: ImageSplit) -> tuple[ImageSplit, ImageSplit]:
    """Hold out every sixth image of each class; returns (training, validation)."""
    held = held_out(np.zeros(len(whole), dtype=np.int64) if whole.label is None else whole.label)
    return whole[~held], whole[held]
