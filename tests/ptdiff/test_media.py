"""Sound and film on pages: embedded bytes come out as they were, text stays text, and nothing is loaded."""

from __future__ import annotations

import base64
import io
import re
import wave
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ptdiff.errors import UnknownName
from ptdiff.modality import Media, Visualizer
from ptdiff.pictures.media import MEDIA, media_page, players


def sound(length: int) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.arange(length, dtype="<i2").tobytes())
    return buffer.getvalue()


class Sounds(Visualizer):
    """One gray pixel for each sample, and its numbers as sound."""

    def sheet(self, samples: Any, titles: Any) -> Any:
        return np.full((8, 8 * len(samples), 3), 128, dtype=np.uint8)

    def media(self, sample: Any) -> Media:
        return Media("audio/wav", sound(len(sample)))


def test_a_visualizer_with_sound_has_a_page_with_a_player_for_each_sample() -> None:
    x = np.zeros((3, 40), np.float32)
    page = Sounds().page(x, ["a", "<b>", "c"])
    found = re.findall(r'<audio controls preload="metadata" src="data:audio/wav;base64,([^"]*)"></audio>', page)
    assert [base64.b64decode(one) for one in found] == [sound(40)] * 3
    assert page.count('src="data:image/png;base64,') == 3
    assert "<figcaption>&lt;b&gt;</figcaption>" in page and "<b>" not in page


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    page = media_page([Media("video/mp4", b"....ftyp")], ['"><script src="https://example.com"></script>'], [])
    assert not re.search(r"<script|<link|<iframe|url\(|@import", page)
    assert set(re.findall(r'src="([^":]*):', page)) == {"data"}
    assert escape("default-src 'none'") in page and "media-src data:" in page and "prefers-color-scheme: dark" in page
    assert "<video controls" in page and "<audio" not in page


@pytest.mark.parametrize("kind", ["text/html", "audio/wave", 'audio/wav"><script>', ""])
def test_other_types_are_refused(kind: str) -> None:
    with pytest.raises(UnknownName, match="media type"):
        Media(kind, b"")


def test_every_type_has_its_kind_of_player() -> None:
    for kind in MEDIA:
        assert f'src="data:{kind};base64,AAAA"' in players([Media(kind, b"\0\0\0")], [])


def test_samples_are_rendered_to_such_a_page(tmp_path: Path) -> None:
    from ptdiff.sampling.files import Stored
    from ptdiff.sampling.pictures import save

    stored = Stored(np.zeros((2, 40), np.float32), np.full(2, -1))
    save(tmp_path / "x.html", stored, Sounds())
    assert (tmp_path / "x.html").read_text(encoding="utf-8").count("<audio") == 2


def test_samples_in_a_report_have_players_if_they_can_be_heard() -> None:
    from ptdiff_cli.shared.report import _shown

    class Silent(Visualizer):
        sheet = Sounds.sheet

    x, titles = np.zeros((2, 40), np.float32), ["one", "two"]
    assert _shown(Sounds(), x, titles).count("<audio controls") == 2
    assert "<audio" not in _shown(Silent(), x, titles) and "<img" in _shown(Silent(), x, titles)
