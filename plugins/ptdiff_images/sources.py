"""Where images come from: a set by name, or whatever a folder holds; kept as bytes, batches are floats in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ptdiff.data import Condition, Data, Samples
from ptdiff.names import unknown
from ptdiff_datasets import image_sets
from ptdiff_datasets.images import ImageSet, ImageSplit


@dataclass(frozen=True, eq=False)
class PixelSamples:
    """A split of bytes, in memory or memory-mapped; ``white`` is the byte that becomes one."""

    split: ImageSplit
    white: int

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Images (b, channels, height, width) in [0, 1], and their labels; the seed addresses nothing here."""
        rows = ids.numpy()
        x = torch.from_numpy(np.divide(self.split.pixels[rows], self.white, dtype=np.float32))
        label = self.split.label
        return x, {} if label is None else {"label": torch.from_numpy(label[rows])}


def images(source: str, size: int | None, gray: bool) -> Data:
    """The set called ``source``, or the folder or file: not yet measured; no val where nothing is held out.

    size: side in pixels, as :func:`ptdiff_datasets.image_sets.read` has it.
    Raises UnknownName for what is neither, DataError or FormatError for what cannot be used.
    """
    found = _found(source, size, gray)
    shape = tuple(found.train.pixels.shape[1:])
    of = f", {len(found.classes)} classes" if found.classes else ""
    pixels = " x ".join(str(n) for n in shape[1:])
    colors = "gray " if shape[0] == 1 else ""
    counted = f"{len(found.train):,} {colors}images of {pixels} pixels{of}, and {len(found.val):,} held out"
    summary = {
        "text": "\n  ".join([f"{source}: {counted}", *found.notes]),
        "source": source,
        "train": len(found.train),
        "val": len(found.val),
    }
    train, val = (PixelSamples(split, found.white) for split in (found.train, found.val))
    return Data(shape, found.classes, train=train, val=val if len(val) else None, summary=summary)


def unlabeled(data: Data) -> Data:
    """The same images without their labels."""

    def bare(samples: Samples | None) -> Samples | None:
        return replace(samples, split=replace(samples.split, label=None)) if isinstance(samples, PixelSamples) else None

    return replace(data, classes=(), train=bare(data.train), val=bare(data.val))


def _found(source: str, size: int | None, gray: bool) -> ImageSet:
    if source in image_sets.NAMES:
        return image_sets.named(source, size, gray=gray)
    path = Path(source).expanduser()
    if not (path.exists() or path.suffix or path.name != source):
        raise unknown("image set, file or folder", source, image_sets.NAMES)
    return image_sets.read(path, size, gray=gray)
