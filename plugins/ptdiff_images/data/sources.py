"""Image sources: a set by name, or whatever a folder holds; stored as bytes, with batches of floats in [0, 1]."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ptdiff.choices import unknown
from ptdiff.errors import UnknownName
from ptdiff.modality.data import Condition, Data, Split
from ptdiff_datasets.directory_scan import expanded
from ptdiff_datasets.images import by_name as image_sets
from ptdiff_datasets.images.sets import ImageSet, ImageSplit
from ptdiff_images.data.films import Motion, moving


@dataclass(frozen=True, eq=False)
class PixelSamples:
    """A split of bytes, in memory or memory-mapped; the byte ``white`` becomes one."""

    split: ImageSplit
    white: int

    def __len__(self) -> int:
        return len(self.split)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return images or videos (b, *shape) in [0, 1] and their labels; the seed has no effect."""
        rows = ids.numpy()
        x = torch.from_numpy(np.divide(self.split.pixels[rows], self.white, dtype=np.float32))
        label = self.split.label
        return x, {} if label is None else {"label": torch.from_numpy(label[rows])}


def images(source: str, size: int | None, gray: bool, motion: Motion | None = None) -> Data:
    """Load the set called ``source``, or the folder or file, not measured; ``val`` is None if nothing is held out.

    size: side in pixels, as in :func:`ptdiff_datasets.images.by_name.read`.
    motion: load videos, from a folder that has some, otherwise of moving images; size is then that of the background.
    Raises UnknownName for what is neither, DataError or FormatError for unusable data.
    """
    films = None if motion is None else _films(source, motion, size, gray)
    found = films or _found(source, size if motion is None else None, gray)
    colors, *time, height, width = found.train.pixels.shape[1:]
    what = f"videos of {time[0]} frames" if time else "images"
    of = f", {len(found.classes)} classes" if found.classes else ""
    shade = "gray " if colors == 1 else ""
    counted = f"{len(found.train):,} {shade}{what} of {height} x {width} pixels{of}, and {len(found.val):,} held out"
    summary = {
        "text": "\n  ".join([f"{source}: {counted}", *found.notes]),
        "source": source,
        "train": len(found.train),
        "val": len(found.val),
    }
    if source not in image_sets.NAMES:
        summary["sha256"] = found.sha256 or _content(found)
    train, val = (PixelSamples(split, found.white) for split in (found.train, found.val))
    shape = (colors, *time, height, width)
    data = Data(shape, found.classes, train=train, val=val if len(val) else None, summary=summary)
    return data if motion is None or films is not None else moving(data, motion, size)


def _content(found: ImageSet) -> str:
    """Hash the pixels and labels of both splits."""
    digest = hashlib.sha256()
    for split in (found.train, found.val):
        label = () if split.label is None else split.label.tolist()
        digest.update(f"{split.pixels.shape} {label}".encode() + np.ascontiguousarray(split.pixels).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Unlabeled:
    """Samples with their labels hidden."""

    labeled: Split

    def __len__(self) -> int:
        return len(self.labeled)

    def batch(self, ids: Tensor, seed: int) -> tuple[Tensor, Condition]:
        """Return the batch without its labels."""
        x, cond = self.labeled.batch(ids, seed)
        return x, {name: value for name, value in cond.items() if name != "label"}


def unlabeled(data: Data) -> Data:
    """Return the same images without their labels."""
    train, val = (None if samples is None else Unlabeled(samples) for samples in (data.train, data.val))
    return replace(data, classes=(), train=train, val=val)


def _films(source: str, motion: Motion, size: int | None, gray: bool) -> ImageSet | None:
    if source in image_sets.NAMES:
        return None
    found = image_sets.films(expanded(source), motion.frames, size, gray=gray)
    if found is not None and motion.velocity is not None:
        raise ValueError(f"velocity has no effect on {source}, which holds videos; leave it out")
    return found


def _found(source: str, size: int | None, gray: bool) -> ImageSet:
    if source in image_sets.NAMES:
        return image_sets.named(source, size, gray=gray)
    path = expanded(source)
    if not (path.exists() or path.suffix or path.name != source):
        if (still := source.removeprefix("moving-")) in image_sets.NAMES:
            raise UnknownName(f"unknown image set {source!r}: {still} moves if frames is set (-o frames=4)")
        raise unknown("image set, file or folder", source, image_sets.NAMES)
    return image_sets.read(path, size, gray=gray)
