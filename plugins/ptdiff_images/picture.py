"""Contact sheets and files of images and videos: values in [0, 1], one color channel (gray) or three (RGB)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ptdiff.modality import Visualizer
from ptdiff.pictures.files import contact_sheet, fitted, save_animation, save_image, sheet_columns

if TYPE_CHECKING:
    from ptdiff.modality import Array, Image

# sides in pixels of a whole sheet and of one image on it
_SHEET, _LARGEST = 1400, 128
# pixels between the images of a tile, and the largest square for a pixel there: larger ones are hard to read
_GAP, _BLOCK = 4, 8
# pixels between the frames of a video, frames per strip, frames per second of a file
_SLIT, _FRAMES, _FPS = 2, 8, 8


@dataclass(frozen=True)
class Sheets(Visualizer):
    """Images side by side, enlarged by integer factors so that every pixel stays a square."""

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """Render a contact sheet of ``samples`` (n, channels, height, width)."""
        samples = np.asarray(samples)
        side = max(samples.shape[-2:])
        room = min(_LARGEST, _SHEET / math.sqrt(max(len(samples), 1)))
        factor = max(1, int(room / side))
        images = [_enlarged(to_bytes(sample), factor) for sample in samples]
        return contact_sheet(images, list(titles) or None)

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """Render images with pixels enlarged as far as they fit; images larger than their cell are shrunk."""
        samples = np.asarray(samples)
        columns = sheet_columns(len(samples))
        room = (side - _GAP * (columns - 1)) // columns
        factor = min(_BLOCK, max(1, room // max(samples.shape[-2:])))
        images = [fitted(_enlarged(to_bytes(sample), factor), room) for sample in samples]
        return contact_sheet(images, columns=columns, gap=_GAP)[_GAP:-_GAP, _GAP:-_GAP]


@dataclass(frozen=True)
class Strips(Sheets):
    """Videos as strips of their frames from left to right, subsampled if long; played, all frames in turn."""

    def sheet(self, samples: Array, titles: Sequence[str]) -> Image:
        """Render a contact sheet of ``samples`` (n, channels, frames, height, width)."""
        films = _some_frames(samples)
        room = min(_LARGEST, _SHEET / math.sqrt(films.shape[0] * films.shape[2]))
        factor = max(1, int(room / max(films.shape[-2:])))
        strips = [_strip([_enlarged(frame, factor) for frame in _frames(film)]) for film in films]
        return contact_sheet(strips, list(titles) or None, columns=_columns(films))

    def tile(self, samples: Array, titles: Sequence[str], side: int) -> Image:
        """Render the strips as large as they fit; the frames of a single video fill several rows, to be larger."""
        films = _some_frames(samples)
        if len(films) == 1:
            return super().tile(np.moveaxis(films[0], 1, 0), [], side)
        columns = _columns(films)
        room = (side - _GAP * (columns - 1)) // columns
        factor = min(_BLOCK, max(1, (room // films.shape[2] - _SLIT) // max(films.shape[-2:])))
        strips = [fitted(_strip([_enlarged(frame, factor) for frame in _frames(film)]), room) for film in films]
        return fitted(contact_sheet(strips, columns=columns, gap=_GAP)[_GAP:-_GAP, _GAP:-_GAP], side)

    def play(self, samples: Array, titles: Sequence[str]) -> list[Image]:
        """Render a contact sheet for every frame of ``samples`` (n, channels, frames, height, width)."""
        return [super(Strips, self).sheet(images, titles) for images in np.moveaxis(_films(samples), 2, 0)]


def _films(samples: Array) -> Array:
    samples = np.asarray(samples)
    if samples.ndim != 5:
        raise ValueError(f"a video must have shape (1 or 3, frames, height, width), not {samples.shape[1:]}")
    return samples


def _some_frames(samples: Array) -> Array:
    """Subsample videos (n, channels, frames, height, width) evenly to at most the frames of a strip."""
    films = _films(samples)
    return films[:, :, :: -(-films.shape[2] // _FRAMES)]


def _columns(films: Array) -> int:
    """Number of strips per row that makes a page slightly wider than high."""
    count, _, frames, height, width = films.shape
    return max(1, round(math.sqrt(1.3 * count * height / (frames * width))))


def _frames(film: Array) -> list[Image]:
    return [to_bytes(frame) for frame in np.moveaxis(film, 1, 0)]


def _strip(frames: list[Image]) -> Image:
    """Place images of one size side by side."""
    return contact_sheet(frames, columns=len(frames), gap=_SLIT)[_SLIT:-_SLIT, _SLIT:-_SLIT]


def to_bytes(sample: Array) -> Image:
    """Convert an image (channels, height, width) in [0, 1] to RGB bytes (height, width, 3), clipping values outside.

    Raises ValueError for other than one or three channels, and for values that are not finite.
    """
    sample = np.asarray(sample)
    if sample.ndim != 3 or sample.shape[0] not in (1, 3):
        raise ValueError(f"an image must have shape (1 or 3, height, width), not {sample.shape}")
    if not np.isfinite(sample).all():
        raise ValueError("the image has values that are NaN or infinite")
    scaled = np.rint(np.clip(sample, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(scaled, (3, *scaled.shape[1:])).transpose(1, 2, 0))


def _enlarged(image: Image, factor: int) -> Image:
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def write_png(path: Path, sample: Array) -> None:
    """Write one image (channels, height, width) in its own size."""
    save_image(path, to_bytes(sample))


def write_strip(path: Path, sample: Array) -> None:
    """Write all frames of one video (channels, frames, height, width) side by side, in their own size."""
    save_image(path, _strip(_frames(_films(sample[None])[0])))


def write_gif(path: Path, sample: Array) -> None:
    """Write one video (channels, frames, height, width) in its own size, as an endless animation."""
    save_animation(path, _frames(_films(sample[None])[0]), _FPS)
