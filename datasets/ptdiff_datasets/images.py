"""Sets of small labelled images: scikit-learn's handwritten digits, and folders like MNIST's.

Pixels are float32 in [0, 1], images (n, channels, height, width), labels int64 (n,).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import DataError, FormatError
from ptdiff_datasets.holdout import held_out
from ptdiff_datasets.idx import read_idx


@dataclass(frozen=True)
class ImageSplit:
    """Images (n, channels, height, width) in [0, 1] and their labels (n,), or None where there are none."""

    pixels: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> ImageSplit:
        return ImageSplit(self.pixels[rows], None if self.label is None else self.label[rows])


def digits() -> tuple[ImageSplit, ImageSplit]:
    """The 1,797 handwritten digits of 8 x 8 pixels that ship inside scikit-learn, to train and to validate
    on.

    (Alpaydin and Kaynak 1998, UCI "Optical recognition of handwritten digits", the test part.)
    """
    from sklearn.datasets import load_digits

    table = load_digits()
    pixels = (table.images / 16).astype(np.float32)[:, None]
    return _held_out(ImageSplit(pixels, table.target.astype(np.int64)))


def mnist(path: str | Path) -> tuple[ImageSplit, ImageSplit]:
    """IDX images to train and to validate on: a folder in MNIST's layout, or one file of training images.

    A folder holds ``train-images-idx3-ubyte`` and, where there are any, ``train-labels-idx1-ubyte`` and the
    same two with ``t10k`` (or ``test``) for ``train``, each plain or ``.gz``; without those, every sixth
    image of each class is held out. Raises DataError where no training images are found.
    """
    images = _training_images(Path(path))
    train = _split(images)
    names = {re.sub("train", other, images.name) for other in ("t10k", "test")} - {images.name}
    held = _existing(images.parent, sorted(names))
    if held is None:
        return _held_out(train)
    val = _split(held)
    if val.pixels.shape[1:] != train.pixels.shape[1:]:
        sizes = f"{val.pixels.shape[2:]}, {images.name} of {train.pixels.shape[2:]}"
        raise DataError(f"{held.name} holds images of {sizes}")
    if (val.label is None) != (train.label is None):
        raise DataError(f"one of {images.name} and {held.name} has labels, the other has none")
    return train, val


def _training_images(path: Path) -> Path:
    if not path.is_dir():
        return path
    pattern = re.compile(r"train-images.idx3-ubyte(\.gz)?$")
    found = sorted(file for file in path.iterdir() if pattern.search(file.name))
    # a folder may hold the same file plain and packed
    plain = [file for file in found if file.suffix != ".gz" or file.with_suffix("") not in found]
    if len(plain) == 1:
        return plain[0]
    if not plain:
        raise DataError(f"no train-images-idx3-ubyte or train-images-idx3-ubyte.gz in {path}")
    raise DataError(f"several sets in {path}, name one file: {', '.join(file.name for file in plain)}")


def _existing(folder: Path, names: list[str]) -> Path | None:
    """The first of ``names`` in ``folder``, packed or not whichever the name says."""
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
        raise FormatError(images, f"{found}, not bytes of (images, height, width)", 2)
    name = images.name.replace("images", "labels").replace("idx3", "idx1")
    labels = _existing(images.parent, [name]) if name != images.name else None
    scaled = np.divide(pixels, 255, dtype=np.float32)[:, None]
    if labels is None:
        return ImageSplit(scaled, None)
    label = read_idx(labels)
    if label.shape != pixels.shape[:1] or label.dtype != np.uint8:
        found = f"{label.dtype} of shape {label.shape}"
        raise FormatError(labels, f"{found}, not a byte for each of {len(pixels)} images", 2)
    return ImageSplit(scaled, label.astype(np.int64))


def _held_out(whole: ImageSplit) -> tuple[ImageSplit, ImageSplit]:
    held = held_out(np.zeros(len(whole), dtype=np.int64) if whole.label is None else whole.label)
    return whole[~held], whole[held]
