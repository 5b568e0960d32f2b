"""Image files, animations and contact sheets.

An image is an RGB array, uint8 (height, width, 3).
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ptdiff.documents.atomic import whole
from ptdiff.errors import Unsupported

if TYPE_CHECKING:
    from PIL import Image as PillowImage
    from PIL import ImageFont

__all__ = [
    "ANIMATION_SUFFIXES",
    "IMAGE_SUFFIXES",
    "contact_sheet",
    "fitted",
    "save_animation",
    "save_image",
    "sheet_columns",
]

Picture = npt.NDArray[np.uint8]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
ANIMATION_SUFFIXES = (".gif", ".webp", ".mp4")

_GIF_GREYS = 96  # entries of a palette of 256
_TITLE_COLOR = (110, 110, 110)


def contact_sheet(
    images: Sequence[Picture],
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    gap: int = 12,
) -> Picture:
    """Arrange images row by row on a white page, each above its centered title.

    ``images``: uint8 (height, width, 3); if sizes differ, each is centered in a cell of the largest size.
    ``titles``: one per image; a title wider than its cell is shortened and ends in "…".
    ``columns``: number of columns; by default the page is slightly wider than high.
    ``gap``: space between cells in pixels.

    Raises ValueError if there are no images, for something that is not an image, and if titles do not match images.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not images:
        raise ValueError("a contact sheet needs at least one image")
    for image in images:
        _check(image)
    if titles is not None and len(titles) != len(images):
        raise ValueError(f"{len(titles)} titles for {len(images)} images")
    if columns is not None and columns < 1:
        raise ValueError(f"columns must be at least 1, not {columns}")
    width = max(image.shape[1] for image in images)
    height = max(image.shape[0] for image in images)
    columns = min(columns or sheet_columns(len(images)), len(images))
    rows = math.ceil(len(images) / columns)

    title_font = ImageFont.load_default(max(11, round(width / 17)))
    title_height = round(_line_height(title_font) * 1.5) if titles is not None else 0

    page_width = columns * width + (columns + 1) * gap
    page_height = rows * (height + title_height) + (rows + 1) * gap
    page = Image.new("RGB", (page_width, page_height), "white")
    draw = ImageDraw.Draw(page)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left = gap + column * (width + gap)
        top = gap + row * (height + title_height + gap)
        inset = ((width - image.shape[1]) // 2, (height - image.shape[0]) // 2)
        page.paste(Image.fromarray(image), (left + inset[0], top + inset[1]))
        if titles is not None:
            text = _shortened(titles[index], title_font, width)
            at = (left + width / 2, top + height + title_height / 2)
            draw.text(at, text, fill=_TITLE_COLOR, font=title_font, anchor="mm")
    return np.asarray(page, dtype=np.uint8).copy()


def fitted(image: Picture, side: int) -> Picture:
    """Shrink an image to fit a square of ``side`` pixels; a smaller image is returned unchanged."""
    from PIL import Image

    _check(image)
    height, width = image.shape[:2]
    share = side / max(height, width)
    if share >= 1:
        return image
    size = max(1, round(width * share)), max(1, round(height * share))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS), dtype=np.uint8).copy()


def save_image(path: str | os.PathLike[str], image: Picture) -> None:
    """Write an image, uint8 (height, width, 3); the suffix (.png, .jpg, .jpeg or .webp) determines the format.

    The write is atomic: a temporary file is renamed.  Raises ValueError for an unknown suffix or a bad array.
    """
    from PIL import Image

    suffix = _suffix(path, IMAGE_SUFFIXES)
    _check(image)
    options: dict[str, Any] = {}
    if suffix == ".png":
        options = {"optimize": True}
    elif suffix in (".jpg", ".jpeg"):
        options = {"quality": 92, "subsampling": 0}
    elif suffix == ".webp":
        options = {"quality": 90, "method": 4}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with whole(Path(path)) as part:
        Image.fromarray(image).save(part, **options)


def save_animation(path: str | os.PathLike[str], frames: Sequence[Picture], fps: float = 20) -> None:
    """Write images of the same size as a looping .gif or .webp, or as an .mp4, which needs imageio-ffmpeg.

    ``frames``: uint8 (height, width, 3) each.
    ``fps``: frames per second in (0, 1000], for a GIF in (0, 50].  A GIF stores the duration of a frame in hundredths
    of a second, and viewers slow down if it is less than two.

    Raises ValueError for an unknown suffix, no frames, frames of different sizes, or fps out of range, and Unsupported
    for .mp4 without imageio-ffmpeg.
    """
    suffix = _suffix(path, ANIMATION_SUFFIXES)
    if not frames:
        raise ValueError("an animation needs at least one frame")
    for frame in frames:
        _check(frame)
        if frame.shape != frames[0].shape:
            raise ValueError(f"frames must have the same size, not {frames[0].shape[:2]} and {frame.shape[:2]}")
    if not 0 < fps <= (50 if suffix == ".gif" else 1000):
        raise ValueError(f"{fps} fps in a {suffix} file is out of range: (0, 50] for .gif, (0, 1000] otherwise")
    write = {".gif": _write_gif, ".webp": _write_webp, ".mp4": _write_mp4}[suffix]
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with whole(Path(path)) as part:
        write(part, frames, fps)


def _write_gif(path: Path, frames: Sequence[Picture], fps: float) -> None:
    from PIL import Image

    # One palette for all frames avoids flicker and is many times faster than one per frame. Grays keep their exact
    # levels as far as there is room, so that a soft shadow fades into a white page without a visible edge; median cut
    # finds the other colors. Dithering would flicker.
    chosen = [frames[i] for i in np.linspace(0, len(frames) - 1, min(len(frames), 8)).astype(int)]
    sample = np.concatenate(chosen).reshape(-1, 3)
    grey = (sample == sample[:, :1]).all(axis=1)
    levels = np.unique(sample[grey][:, 0])
    levels = levels[np.linspace(0, len(levels) - 1, min(len(levels), _GIF_GREYS)).astype(int)]
    colored = sample[~grey] if not grey.all() else sample[:1]
    cut = Image.fromarray(colored[None]).quantize(256 - len(levels), method=Image.Quantize.MEDIANCUT)
    colors = (cut.getpalette() or [])[: 3 * (256 - len(levels))]
    table = bytes(colors) + np.repeat(levels, 3).tobytes()
    nearest = np.abs(np.arange(256)[:, None] - levels.astype(int)).argmin(axis=1) if len(levels) else None
    pages = []
    for frame in frames:
        index = np.array(Image.fromarray(frame).quantize(palette=cut, dither=Image.Dither.NONE), dtype=np.uint8)
        if nearest is not None:
            grey = (frame == frame[:, :, :1]).all(axis=2)
            index[grey] = len(colors) // 3 + nearest[frame[grey][:, 0]]
        page = Image.fromarray(index, "P")
        page.putpalette(table)
        pages.append(page)
    _save_pages(path, pages, max(2, round(100 / fps)) * 10, optimize=False, palette=table)


def _write_webp(path: Path, frames: Sequence[Picture], fps: float) -> None:
    from PIL import Image

    _save_pages(path, [Image.fromarray(frame) for frame in frames], round(1000 / fps), quality=85, method=3)


def _save_pages(path: Path, pages: list[PillowImage.Image], duration: int, **options: Any) -> None:
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=duration, loop=0, **options)


def _write_mp4(path: Path, frames: Sequence[Picture], fps: float) -> None:
    try:
        import imageio_ffmpeg
    except ImportError as error:
        raise Unsupported("writing .mp4 needs imageio-ffmpeg: pip install ptdiff[video]") from error
    height, width = frames[0].shape[:2]
    # The usual pixel format stores color in blocks of 2 x 2 pixels: odd sizes get another white row or column.
    pad = ((0, height % 2), (0, width % 2), (0, 0))
    size = (width + width % 2, height + height % 2)
    writer = imageio_ffmpeg.write_frames(str(path), size, fps=fps, macro_block_size=2, quality=8)
    writer.send(None)
    for frame in frames:
        writer.send(np.ascontiguousarray(np.pad(frame, pad, constant_values=255)))
    writer.close()


def _suffix(path: str | os.PathLike[str], allowed: tuple[str, ...]) -> str:
    suffix = Path(path).suffix.lower()
    if suffix not in allowed:
        raise ValueError(f"cannot write {Path(path).name!r}: the suffix must be one of {', '.join(allowed)}")
    return suffix


def _check(image: Picture) -> None:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        found = f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"an image must be a uint8 array of shape (height, width, 3), not {found}")
    if 0 in image.shape:
        raise ValueError(f"an image must have at least one pixel, not shape {image.shape}")


def sheet_columns(count: int) -> int:
    """Number of columns for ``count`` images: slightly more than rows, with a full last row if that is close."""
    best = math.sqrt(count * 1.3)
    full = [c for c in range(1, count + 1) if count % c == 0 and 0.75 * best <= c <= 1.6 * best]
    return min(full, key=lambda c: abs(c - best)) if full else round(best)


def _line_height(font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> float:
    box = font.getbbox("Ågj")
    return float(box[3] - box[1])


def _shortened(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    keep = len(text)
    while keep > 0 and font.getlength(text[:keep].rstrip() + "…") > width:
        keep -= 1
    return text[:keep].rstrip() + "…"
