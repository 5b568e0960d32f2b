"""Pictures and files of images: values in [0, 1], one color channel (gray) or three (RGB)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptdiff.modality import Visualizer
from ptdiff.pictures import contact_sheet, fitted, save_image, sheet_columns

if TYPE_CHECKING:
    from ptdiff.modality import Array, Image

# sides in pixels of a whole sheet and of one image on it
_SHEET, _LARGEST = 1400, 128
# pixels between the images of a tile, and the largest square for a pixel there: larger ones are hard to read
_GAP, _BLOCK = 4, 8


@dataclass(frozen=True)
class Sheets(Visualizer):
    """The images side by side, enlarged by whole numbers so that every pixel stays a square."""

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """A contact sheet of ``samples`` (n, channels, height, width)."""
        samples = np.asarray(samples)
        side = max(samples.shape[-2:])
        room = min(_LARGEST, _SHEET / math.sqrt(max(len(samples), 1)))
        factor = max(1, int(room / side))
        images = [_enlarged(to_bytes(sample), factor) for sample in samples]
        return contact_sheet(images, list(titles) or None)

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """As many pixels a pixel of the image as fit; images larger than their place are made smaller."""
        samples = np.asarray(samples)
        columns = sheet_columns(len(samples))
        room = (side - _GAP * (columns - 1)) // columns
        factor = min(_BLOCK, max(1, room // max(samples.shape[-2:])))
        images = [fitted(_enlarged(to_bytes(sample), factor), room) for sample in samples]
        return contact_sheet(images, columns=columns, gap=_GAP)[_GAP:-_GAP, _GAP:-_GAP]


def to_bytes(sample: Array) -> Image:
    """An image (channels, height, width) in [0, 1] as RGB bytes (height, width, 3); values outside are cut
    off.

    Raises ValueError for other than one or three channels, or values that are not finite.
    """
    sample = np.asarray(sample)
    if sample.ndim != 3 or sample.shape[0] not in (1, 3):
        raise ValueError(f"an image has shape (1 or 3, height, width), not {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("an image with values that are NaN or infinite")
    scaled = np.rint(np.clip(sample, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0))


def _enlarged(image: Image, factor: int) -> Image:
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def write_png(path: Path, sample: Array) -> None:
    """One image in its own size."""
    save_image(path, to_bytes(sample))
