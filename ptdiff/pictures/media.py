"""Sound and film on HTML pages: players that load nothing from elsewhere."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from io import BytesIO
from typing import TYPE_CHECKING

from ptdiff.choices import one_of

if TYPE_CHECKING:
    from ptdiff.pictures.files import Picture

MEDIA = ("audio/wav", "audio/flac", "audio/mpeg", "audio/ogg", "video/mp4", "video/webm")
"""Types that the browsers of today play."""

POLICY = "default-src 'none'; img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
"""Content security policy of a page that loads nothing; a page adds the hash of its style."""

STYLE = """
.media { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem; margin: 1rem 0; }
.media figure { margin: 0; } .media figcaption { font-size: .85rem; overflow-wrap: anywhere; }
.media audio, .media video, .media img { width: 100%; display: block; }
"""
"""The style of :func:`players`; colors are those of the page."""

_PAGE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8ec; --paper: #15171b; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 68rem; padding: 0 1rem; }
img { border-radius: 6px; }
"""


@dataclass(frozen=True)
class Media:
    """Sound or film of one sample: the bytes of a file.

    ``type``: the media type of the file, one of :data:`MEDIA`.  Raises UnknownName for another.
    """

    type: str
    content: bytes

    def __post_init__(self) -> None:
        one_of("media type", self.type, MEDIA)


def players(media: Sequence[Media], titles: Sequence[str], images: Sequence[Picture] = ()) -> str:
    """HTML of a player for each of ``media``, with its title and, if given, its image; ``titles`` may be empty."""
    figures = []
    for i, one in enumerate(media):
        image = png(images[i]) if images else ""
        kind = one.type.partition("/")[0]
        player = f'<{kind} controls preload="metadata" src="{_address(one.type, one.content)}"></{kind}>'
        title = f"<figcaption>{escape(titles[i])}</figcaption>" if titles else ""
        figures.append(f"<figure>{image}{player}{title}</figure>")
    return f'<div class="media">{"".join(figures)}</div>'


def media_page(media: Sequence[Media], titles: Sequence[str], images: Sequence[Picture]) -> str:
    """A self-contained HTML page of :func:`players`."""
    style = _PAGE + STYLE
    return html_page("samples", style, players(media, titles, images))


def html_page(title: str, style: str, body: str) -> str:
    """An HTML page that loads nothing: images and media are in it, and there are no scripts.

    ``title`` is text; ``body`` is HTML, in which the caller has escaped all text.
    """
    import hashlib

    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}; style-src \'sha256-{digest}\'">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{style}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def png(picture: Picture) -> str:
    """HTML of an image, uint8 RGB (height, width, 3), as a PNG file in the page."""
    from PIL import Image

    buffer = BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return f'<img alt="" src="{_address("image/png", buffer.getvalue())}">'


def _address(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
