"""Checks of the visualizer: images of one, many and extreme samples, and the optional animations and pages."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptdiff.errors import Unsupported
from ptdiff.modality.ragged import padded, sets_of
from ptdiff.modality.visualizer import Visualizer
from ptdiff.pictures.media import Media
from ptdiff.testing.subject import BATCH, Subject, skip

if TYPE_CHECKING:
    from ptdiff.modality.types import Array, Image

TITLES = ["", "a title that is much longer than an image is wide, with % _ & and an é", "$x^$", "from $5 to $10"]
"""Titles that are empty, long, no formulas, or that look like one."""


def the_visualizer_is_one(subject: Subject) -> None:
    """Check that visualizer() returns a ptdiff.modality.Visualizer."""
    found = subject.modality.visualizer()
    assert isinstance(found, Visualizer), (
        f"visualizer() must return a subclass of ptdiff.modality.Visualizer, not {type(found).__name__}"
    )


def images_are_rgb_arrays(subject: Subject) -> None:
    """Check that sheet returns uint8 (height, width, 3) that is not blank, with and without titles."""
    _assert_image(subject.sheet)
    _assert_image(_sheet(subject, subject.shown(), ["one", "two", "three", "four"]))


def images_show_the_samples(subject: Subject) -> None:
    """Check that other samples give another image, and the same samples the same."""
    import numpy as np

    x, noise = subject.shown(), subject.data.world(subject.noise(seed=3)).numpy()
    other = np.where(np.isnan(x), x, noise)
    image = subject.sheet
    assert np.array_equal(image, _sheet(subject, x, [])), "the same samples give another image the second time"
    assert not np.array_equal(image, _sheet(subject, other, [])), "other samples give the same image"


def images_have_any_number_of_samples(subject: Subject) -> None:
    """Check that sheet accepts one sample, two, and more than fill an image."""
    import numpy as np

    most = min(max(subject.modality.visualizer().many, 1), 64)
    some, cond = subject.train.batch(_ids(subject, most + 1), 0)
    x = padded(some, cond.get("mask")).numpy()
    for count in (1, 2, most + 1):
        _assert_image(_sheet(subject, np.ascontiguousarray(x[:count]), [f"{i}" for i in range(count)]), count)


def images_of_extreme_samples_are_made(subject: Subject) -> None:
    """Check that samples of an untrained or diverging model, constant or very large, do not stop a command."""
    x = subject.shown()
    for name, extreme in {"zeros": 0 * x, "a thousand times the data": 1000 * x}.items():
        try:
            _assert_image(_sheet(subject, extreme[:2], []), blank=True)
        except Exception as error:
            raise AssertionError(f"sheet fails for {name}: {type(error).__name__}: {error}") from error


def titles_may_be_any_text(subject: Subject) -> None:
    """Check that titles may be empty, long, and contain any character."""
    try:
        _assert_image(_sheet(subject, subject.shown(), TITLES))
    except Exception as error:
        raise AssertionError(
            f"sheet fails for unusual titles: {type(error).__name__}: {error}; names of classes may be any text: with "
            "matplotlib, set_title(text, parse_math=False)"
        ) from error


def images_leave_samples_and_styles_alone(subject: Subject) -> None:
    """Check that sheet changes no sample, no style of matplotlib, and leaves no figure open."""
    import sys

    import numpy as np

    x = subject.shown()[:1]
    kept, before = x.copy(), _matplotlib()
    _sheet(subject, x, [])
    assert np.array_equal(x, kept, equal_nan=True), "sheet changes its samples in place: copy them first"
    if "matplotlib" in sys.modules and before is not None:
        after = _matplotlib()
        assert after is not None
        assert before[0] == after[0], "sheet changes matplotlib.rcParams: use matplotlib.rc_context"
        assert before[1] == after[1], "sheet leaves a figure open: use matplotlib.figure.Figure in place of pyplot"


def tiles_fit_their_side(subject: Subject) -> None:
    """Check that tile returns an image at most ``side`` pixels wide and high."""
    image = subject.modality.visualizer().tile(sets_of(subject.shown()), [], 96)
    _assert_image(image)
    assert max(image.shape[:2]) <= 96, f"tile(..., side=96) returns {image.shape[1]} x {image.shape[0]} pixels"


def rendered_files_are_png_images(subject: Subject) -> None:
    """Check that ``ptdiff render --out x.png`` writes a file that opens as an image of the size of the sheet."""
    from PIL import Image

    from ptdiff.pictures.files import save_image

    sheet = subject.sheet
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.png"
        save_image(path, sheet)
        with Image.open(path) as image:
            image.load()
            assert (image.format, image.size) == ("PNG", (sheet.shape[1], sheet.shape[0]))


def optional_views_work(subject: Subject) -> None:
    """Check that turntable, play, page, media and tinted work if the visualizer defines them."""
    draw, x = subject.modality.visualizer(), sets_of(subject.shown())
    defined = [name for name in _VIEWS if getattr(type(draw), name) is not getattr(Visualizer, name)]
    if not defined:
        skip("the visualizer defines none of turntable, play, page, media and tinted")
    for name in defined:
        # views may need what these samples lack, such as a third coordinate or colors
        with suppress(Unsupported):
            _VIEWS[name](draw, x)


def _turntable(draw: Visualizer, x: Array) -> None:
    frames = draw.turntable(x[:2], [], frames=2)
    assert len(frames) == 2, f"turntable(..., frames=2) returns {len(frames)} images"
    for frame in frames:
        _assert_image(frame)


def _play(draw: Visualizer, x: Array) -> None:
    frames = draw.play(x[:2], [])
    assert len(frames) > 1, "play must return one image for every moment"
    assert len({frame.shape for frame in frames}) == 1, "the images of play have different sizes"
    _assert_image(frames[0], blank=True)


def _page(draw: Visualizer, x: Array) -> None:
    page = draw.page(x[:2], [])
    assert isinstance(page, str) and "<html" in page.lower(), "page must return the text of an HTML page"


def _media(draw: Visualizer, x: Array) -> None:
    for sample in (x[0], 1000 * x[0]):
        one = draw.media(sample)
        assert isinstance(one, Media), f"media must return a ptdiff.modality.Media, not {type(one).__name__}"
        marks = _MARKS[one.type]
        start = one.content[:16]
        assert any(mark in start for mark in marks), f"media says {one.type}, but its bytes begin with {start!r}"
    _page(draw, x)


def _tinted(draw: Visualizer, x: Array) -> None:
    assert draw.tints, "tinted is defined, but the property tints names no coloring"
    for tint in draw.tints:
        with suppress(Unsupported):
            other = draw.tinted(tint, [0, 1])
            assert isinstance(other, Visualizer), f"tinted({tint!r}, labels) must return a Visualizer"
            _assert_image(other.sheet(x[:2], []))


_VIEWS = {"turntable": _turntable, "play": _play, "page": _page, "media": _media, "tinted": _tinted}
"""The optional methods of a visualizer, each with its check."""

_MARKS = {
    "audio/wav": (b"WAVE",),
    "audio/flac": (b"fLaC",),
    "audio/mpeg": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    "audio/ogg": (b"OggS",),
    "video/mp4": (b"ftyp",),
    "video/webm": (b"\x1a\x45\xdf\xa3",),
}
"""Bytes near the beginning of files of each media type."""


def _ids(subject: Subject, count: int) -> Any:
    import torch

    return torch.arange(count) % len(subject.train)


def _sheet(subject: Subject, x: Array, titles: Sequence[str]) -> Image:
    return subject.modality.visualizer().sheet(sets_of(x), titles)


def _assert_image(image: Any, count: int = BATCH, blank: bool = False) -> None:
    import numpy as np

    assert isinstance(image, np.ndarray), f"an image must be a NumPy array, not {type(image).__name__}"
    assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size, (
        f"an image must be uint8 (height, width, 3), not {image.dtype} {image.shape}"
    )
    assert blank or int(image.min()) < int(image.max()), f"the image of {count} samples is blank"


def _matplotlib() -> tuple[dict[str, Any], list[int]] | None:
    import matplotlib
    from matplotlib import _pylab_helpers

    # an object of its own, because a mapping of all parameters has a type of many literals
    styles: Any = matplotlib.rcParams
    return dict(styles), sorted(_pylab_helpers.Gcf.figs)
