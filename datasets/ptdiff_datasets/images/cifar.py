"""CIFAR-10 and CIFAR-100 as published (Krizhevsky 2009), in the binary and the Python version.

binary   records of a label (CIFAR-100: a coarse and a fine one) and 3 x 32 x 32 bytes: red, green, blue, row by row
python   pickled dictionaries of the same data, read by ``pickled.py`` without unpickling
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.images.pickled import read_batch
from ptdiff_datasets.images.sets import ImageSet, ImageSplit, numbered, without_official_split

_SHAPE, _PIXELS = (3, 32, 32), 3072
_TEN = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass(frozen=True)
class Layout:
    """A published version: its folder and files, the number of classes, and the file that names them."""

    folder: str
    train: tuple[str, ...]
    test: str
    classes: int
    names: str
    pickled: bool

    def inside(self, folder: Path) -> Path | None:
        """Return the folder with the training files: ``folder``, or the archive's folder inside it; None if neither."""
        places = (folder, folder / self.folder)
        return next((place for place in places if any((place / name).is_file() for name in self.train)), None)


LAYOUTS = (
    Layout("cifar-10-batches-bin", tuple(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin", 10, "", False),
    Layout("cifar-100-binary", ("train.bin",), "test.bin", 100, "fine_label_names.txt", False),
    Layout("cifar-10-batches-py", tuple(f"data_batch_{n}" for n in range(1, 6)), "test_batch", 10, "", True),
    Layout("cifar-100-python", ("train",), "test", 100, "meta", True),
)


def found(folder: Path) -> tuple[Layout, Path] | None:
    """Find the first version of CIFAR in ``folder``: its layout and the folder it lies in, or None."""
    return next(((layout, place) for layout in LAYOUTS if (place := layout.inside(folder)) is not None), None)


def cifar(folder: Path, layout: Layout) -> ImageSet:
    """Read the images of a folder, each (3, 32, 32) uint8; validates on the test batch, or a sixth of each class.

    Raises FormatError for a file that is not what its name says.
    """
    files = [folder / name for name in layout.train if (folder / name).is_file()]
    parts = [_read(file, layout) for file in files]
    train = parts[0]
    if len(parts) > 1:
        labels = np.concatenate([part.label for part in parts if part.label is not None])
        train = ImageSplit(np.concatenate([part.pixels for part in parts]), labels)
    missing = [name for name in layout.train if folder / name not in files]
    notes = (f"missing files: {', '.join(missing)}",) if missing else ()
    if (folder / layout.test).is_file():
        val = _read(folder / layout.test, layout)
    else:
        train, val = without_official_split(train)
    return ImageSet(train, val, classes=_names(folder, layout), notes=notes)


def _read(path: Path, layout: Layout) -> ImageSplit:
    return _pickled(path, layout.classes) if layout.pickled else _binary(path, layout.classes)


def _binary(path: Path, classes: int) -> ImageSplit:
    ahead = 1 if classes == 10 else 2
    length = path.stat().st_size
    if length == 0 or length % (ahead + _PIXELS):
        raise FormatError(path, f"{length} bytes do not make whole records of {ahead + _PIXELS} bytes")
    records = np.memmap(path, np.uint8, mode="r").view(np.ndarray).reshape(-1, ahead + _PIXELS)
    return _checked(path, records[:, ahead:], records[:, ahead - 1].astype(np.int64), classes)


def _pickled(path: Path, classes: int) -> ImageSplit:
    batch = read_batch(path)
    pixels, label = batch.get(b"data"), batch.get(b"labels" if classes == 10 else b"fine_labels")
    if not isinstance(pixels, np.ndarray) or pixels.ndim != 2 or pixels.shape[1] != _PIXELS or not len(pixels):
        raise FormatError(path, f"no array of shape (images, {_PIXELS}) under the key data")
    if not isinstance(label, list) or not all(type(n) is int for n in label) or len(label) != len(pixels):
        raise FormatError(path, f"the labels do not match its {len(pixels)} images")
    return _checked(path, pixels, np.array(label, np.int64), classes)


def _checked(path: Path, pixels: np.ndarray, label: np.ndarray, classes: int) -> ImageSplit:
    wrong = np.flatnonzero((label < 0) | (label >= classes))
    if len(wrong):
        raise FormatError(path, f"image {wrong[0]} has label {label[wrong[0]]}, but there are {classes} classes")
    return ImageSplit(pixels.reshape(-1, *_SHAPE), label)


def _names(folder: Path, layout: Layout) -> tuple[str, ...]:
    """Return the class names; numbers if CIFAR-100 comes without names."""
    if layout.classes == 10:
        return _TEN
    path = folder / layout.names
    if not path.is_file():
        return numbered(layout.classes)
    if layout.pickled:
        texts = read_batch(path).get(b"fine_label_names")
        names = [text for text in texts if isinstance(text, bytes)] if isinstance(texts, list) else []
    else:
        with path.open("rb") as file:
            names = file.read(10_000).split()
    if len(names) != layout.classes:
        raise FormatError(path, f"{len(names)} names for {layout.classes} classes")
    return tuple(name.decode("ascii", "replace") for name in names)
