"""A page of small images in rows and columns, the basis of strips, grids and panels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptdiff.pictures.files import Picture

INK, FAINT = (51, 51, 51), (120, 120, 120)
GAP, MARGIN = 6, 12
_TEXT, _NOTE = 15, 13


def page(
    rows: Sequence[Sequence[Picture]],
    columns: Sequence[str] = (),
    names: Sequence[str] = (),
    notes: Sequence[Sequence[str]] = (),
    width: int = 1,
) -> Picture:
    """Arrange images, uint8 (height, width, 3), row by row on a white page; rows may have different lengths.

    ``columns``: title above each column.
    ``names``: name to the left of each row.
    ``notes``: note below each image.
    ``width``: minimum width of a cell in pixels.

    Raises ValueError if there are no images, and if the texts do not match the images.
    """
    from PIL import Image, ImageDraw, ImageFont

    most = max((len(row) for row in rows), default=0)
    if most == 0:
        raise ValueError("a page needs at least one image")
    if len(columns) not in (0, most) or len(names) not in (0, len(rows)):
        raise ValueError(
            f"{len(columns)} columns and {len(names)} names do not match {len(rows)} rows of {most} images"
        )
    if notes and [len(line) for line in notes] != [len(row) for row in rows]:
        raise ValueError("every row needs one note per image")
    text, note = ImageFont.load_default(_TEXT), ImageFont.load_default(_NOTE)
    height = max(picture.shape[0] for row in rows for picture in row)
    words = [*columns, *(word for line in notes for word in line)]
    # cells are as wide as the longest text above or below them
    width = max(
        width, *(picture.shape[1] for row in rows for picture in row), *(round(text.getlength(w)) for w in words)
    )
    left = MARGIN + (round(max(text.getlength(name) for name in names)) + MARGIN if names else 0)
    top = MARGIN + (2 * _TEXT if columns else 0)
    step = height + GAP + (round(1.7 * _NOTE) if notes else 0)
    size = left + most * (width + GAP) - GAP + MARGIN, top + len(rows) * step - GAP + MARGIN
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    for j, word in enumerate(columns):
        draw.text((left + j * (width + GAP) + width / 2, MARGIN + 0.8 * _TEXT), word, INK, text, "mm")
    for i, row in enumerate(rows):
        if names:
            draw.text((left - MARGIN, top + i * step + height / 2), names[i], INK, text, "rm")
        for j, picture in enumerate(row):
            x, y = left + j * (width + GAP), top + i * step
            inset = (width - picture.shape[1]) // 2, (height - picture.shape[0]) // 2
            sheet.paste(Image.fromarray(picture), (x + inset[0], y + inset[1]))
            if notes:
                draw.text((x + width / 2, y + height + 0.8 * _NOTE), notes[i][j], FAINT, note, "mm")
    return np.asarray(sheet, dtype=np.uint8).copy()


def bands(columns: Sequence[Sequence[Picture]], words: Sequence[str], most: int) -> Picture:
    """Arrange columns of images, each below its title in ``words``, with at most ``most`` columns side by side.

    Further columns go below.  Raises ValueError like :func:`page`.
    """
    from PIL import ImageFont

    # bands with about the same number of columns
    count = -(-len(columns) // max(1, -(-len(columns) // most)))
    text = ImageFont.load_default(_TEXT)
    width = max((round(text.getlength(word)) for word in words), default=1)
    pages = [
        page(list(zip(*columns[first : first + count], strict=True)), words[first : first + count], width=width)
        for first in range(0, len(columns), count)
    ]
    side = max(part.shape[1] for part in pages)
    return np.concatenate(
        [np.pad(part, ((0, 0), (0, side - part.shape[1]), (0, 0)), constant_values=255) for part in pages]
    )
