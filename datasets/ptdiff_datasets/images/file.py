"""One image (PNG, JPEG, WebP, BMP, GIF, TIFF) or one video (GIF) from a file, the only reader of pictures.

All are turned upright by their EXIF orientation and placed on white where they are transparent; palettes, CMYK and
sixteen bits become plain gray or colors. For training they become squares of bytes: the shorter side scaled to the size
with antialiasing, then center-cropped.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ptdiff_datasets.errors import FormatError
from ptdiff_datasets.images.gif import delays

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
FILMS = (".gif",)
MOST_PIXELS = 50_000_000
"""Maximum of an image, or of all frames of a video together; a small file may claim billions of pixels."""
MOST_BYTES = 256 << 20
_ORIENTATION = 0x0112  # the EXIF tag
_PHOTOMETRIC = 0x0106  # the TIFF tag: 0 if white is zero
_BITS, _SAMPLE_FORMAT = 0x0102, 0x0153  # TIFF tags; the format 2 is signed


@dataclass(frozen=True)
class Look:
    """Facts about an image file: format, displayed size, whether anything is transparent, and number of frames."""

    format: str
    width: int
    height: int
    transparent: bool
    frames: int


def look(path: Path) -> Look:
    """Return facts about an image file without decoding it; errors as in :func:`read_picture`."""
    with _opened(path, _content(path)) as image:
        width, height = image.size if _orientation(image) < 5 else reversed(image.size)
        frames = int(getattr(image, "n_frames", 1))
        return Look(image.format or "", width, height, image.has_transparency_data, frames)


def read_picture(path: Path, size: int, *, gray: bool = False) -> npt.NDArray[np.uint8]:
    """Read an image as (3, size, size), or (1, size, size) if ``gray``; transparent pixels are placed on white.

    Of an animation, only the first frame is read. FormatError for a broken image, an unknown format, or more than
    ``MOST_PIXELS`` pixels; OSError if the file cannot be opened.
    """
    with _opened(path, _content(path)) as image:
        if image.format == "JPEG":
            # the decoder may halve as long as twice the size is left
            image.draft(None, (2 * size, 2 * size))
        return _square(path, image, size, gray)


def read_gray(path: Path) -> npt.NDArray[np.float64]:
    """Read the luminance of an image in its own size, (height, width) from 0 (black) to 1, at full bit depth.

    Errors as in :func:`read_picture`.
    """
    with _opened(path, _content(path)) as image:
        turn = _orientation(image)
        if (deep := _deep(path, image)) is not None:
            return np.asarray(_upright(_as_image(deep), turn), np.float64)
        return np.asarray(_upright(_plain(path, image, "L"), turn), np.float64) / 255


def read_film(path: Path, frames: int, size: int, *, gray: bool = False) -> npt.NDArray[np.uint8]:
    """Read the first ``frames`` time steps of an animated GIF as (3, frames, size, size), or (1, …) if ``gray``.

    A time step is as long as the shortest frame: GIF stores what does not change as one frame that is shown for longer.
    Errors as in :func:`read_picture`, and FormatError for a shorter video.
    """
    content = _content(path)
    shown = delays(content, path)
    moment = min(filter(None, shown), default=1)
    over = np.cumsum([max(1, round(delay / moment)) for delay in shown], dtype=np.int64)
    length = int(over[-1]) if shown else 0
    if length < frames:
        raise FormatError(path, f"a video of {length} frames, not of {frames} or more")
    turns = np.searchsorted(over, np.arange(frames), side="right")
    squares = []
    # decoders of animations hold several frames at a time
    with _opened(path, content, ("GIF",), MOST_PIXELS // max(frames, 8)) as image:
        for frame in range(turns[-1] + 1):
            image.seek(frame)
            squares.append(_square(path, image, size, gray))
    return np.stack([squares[frame] for frame in turns], axis=1)


def _content(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise FormatError(path, f"more than {MOST_BYTES >> 20} MB")
    return path.read_bytes()


@contextmanager
def _opened(
    path: Path, content: bytes, formats: tuple[str, ...] = _FORMATS, most: int = MOST_PIXELS
) -> Iterator[Image.Image]:
    """Open an image of at most ``most`` pixels for decoding; whatever fails becomes a FormatError."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=formats) as image:
            width, height = image.size
            if width * height > most:
                raise FormatError(path, f"{width} x {height} pixels; at most {most:,} are read")
            yield image
    except (FormatError, MemoryError):
        raise
    except UnidentifiedImageError:
        what = "neither PNG, JPEG, WebP, BMP, GIF nor TIFF" if content else "the file is empty"
        raise FormatError(path, f"not a readable image: {what}") from None
    except Exception as error:  # decoders may raise anything for broken files
        raise FormatError(path, f"not a readable image: {str(error) or type(error).__name__}") from None


def _square(path: Path, image: Image.Image, size: int, gray: bool) -> npt.NDArray[np.uint8]:
    from PIL import Image

    plain = _upright(_plain(path, image, "L" if gray else "RGB"), _orientation(image))
    width, height = plain.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    scaled = np.asarray(plain.resize((size, size), Image.Resampling.BICUBIC, box=box))
    return np.ascontiguousarray(scaled.reshape(size, size, -1).transpose(2, 0, 1))


def _plain(path: Path, image: Image.Image, mode: str) -> Image.Image:
    """Convert to eight-bit colors without transparency."""
    from PIL import Image

    if (deep := _deep(path, image)) is not None:
        deep *= 255
        return Image.fromarray(np.rint(deep, out=deep).astype(np.uint8)).convert(mode)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert(mode)


def _deep(path: Path, image: Image.Image) -> npt.NDArray[np.float32] | None:
    """Return gray with more than eight bits as numbers from 0 to 1, None for other images.

    FormatError for numbers of which nothing says what is white.
    """
    if not image.mode.startswith(("I", "F")):
        return None
    values = np.asarray(image)
    white = 65535.0 if image.mode.startswith("I") else 1.0
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    (bits,) = {*tags.get(_BITS, (16,))} if image.mode.startswith("I") else (16,)
    signed = 2 in tags.get(_SAMPLE_FORMAT, ()) and image.mode.startswith("I")
    if (bits > 16 and values.max(initial=0) <= 255) or (bits <= 16 and signed):
        what = f"{'signed ' * signed}whole numbers of {bits} bits"
        raise FormatError(path, f"gray of {what} without a known white: save it with 8 or 16 bits")
    white = min(white, 2.0**bits - 1)  # of twelve bits say
    if values.min() < 0 or values.max() > white:
        low, high = values.min(), values.max()
        raise FormatError(path, f"gray from {low:g} to {high:g} without a known white: save it with 8 or 16 bits")
    level = values.astype(np.float32)  # exact for 16 bits, and half as large as float64
    level /= np.float32(white)
    if tags.get(_PHOTOMETRIC) == 0:
        level = np.subtract(1, level, out=level)  # Pillow inverts eight bits only
    through = image.info.get("transparency")
    if isinstance(through, int):
        level[values == through] = 1
    return level


def _as_image(level: npt.NDArray[np.float32]) -> Image.Image:
    from PIL import Image

    return Image.fromarray(level)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; 1 for TIFF, which Pillow turns upright itself, size first."""
    if image.format == "TIFF":
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # broken camera data does not make a broken image
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """Turn an image upright by its EXIF orientation (EXIF 2.32, tag Orientation)."""
    from PIL.Image import Transpose

    moves = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    return image.transpose(moves[orientation]) if orientation in moves else image
