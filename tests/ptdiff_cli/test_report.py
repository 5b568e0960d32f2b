"""The page of an evaluation: whole, quiet, well-formed, and for every modality; protocols by name."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from ptdiff_cli.shared.charts import interval, lines

VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """Tags that are opened and closed in order, and what they hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def checked(path: Path) -> Page:
    """The page, which asks for nothing and runs nothing."""
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    (policy,) = [m["content"] for m in page.all("meta") if m.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:; media-src data:; ")
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    assert "prefers-color-scheme: dark" in style[1]
    assert not re.search(r"https?://|url\(|@import|<script|<link|<iframe", text)
    for _, attrs in page.tags:
        assert not any(name == "style" or name.startswith("on") or name == "href" for name in attrs)
    for image in page.all("img"):
        source = image["src"] or ""
        assert source.startswith("data:image/png;base64,")
        with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as picture:
            assert min(picture.size) > 50
    return page


def test_points_in_the_plane_have_a_report(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "deep" / "report.html"
    done = ptdiff("eval", run, "-n", 40, "--steps", 4, "--report", path)
    assert done.returncode == 0, done.stderr
    page = checked(path)
    text = " ".join(page.text)
    for words in ("Scores", "Samples", "Nearest training samples", "Failures", "Loss by noise level", "Configuration"):
        assert words in text
    result = json.loads(next((run / "eval").glob("*-n40.json")).read_text())
    for name, score in result["metrics"].items():
        assert name in text
        assert f"{score['value']:.4g}" in text and f"{score['floor']:.4g}" in text
    assert "memorization" in result["metrics"]
    assert result["sets"]["sha256_drawn"].keys() == {"generated", "reference", "training"}
    assert "--report" in text
    assert len(page.all("img")) == 3
    assert page.all("polyline")


@pytest.fixture(scope="module")
def clouds(ptdiff, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    path = tmp_path_factory.mktemp("runs") / "clouds"
    options = ["points=24", "dense=128", "shapes_per_class=20", "classes=[chair, mug]", "width=16", "layers=1"]
    given = [word for option in options for word in ("-o", option)]
    train = ["training.batch=8", "training.shards=1"]
    settings = [word for setting in train for word in ("--set", setting)]
    done = ptdiff("train", "-m", "pointcloud", "--steps", 3, "--out", path, *given, *settings)
    assert done.returncode == 0, done.stderr
    return path


def test_clouds_have_a_report_and_keep_their_distances(  # type: ignore[no-untyped-def]
    ptdiff, clouds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ptdiff_cli.shared.report.SHOWN", 1)
    path = tmp_path / "report.html"
    call = ("eval", clouds, "--steps", 2, "-n", 2, "--json")
    done = ptdiff(*call, "--report", path)
    assert done.returncode == 0, done.stderr
    assert len(checked(path).all("img")) == 3
    result = json.loads(done.stdout)
    assert result["protocol"] == "full-set"
    assert result["sets"]["points"] == 24 and result["sets"]["normalization"]
    assert {"1nna_cd", "1nna_cd_ref", "1nna_cd_gen", "cov_cd", "mmd_cd", "jsd", "memorization"} <= set(
        result["metrics"]
    )
    kept = {p: p.stat().st_mtime_ns for p in (clouds / "distances").glob("*.distances")}
    assert len(kept) == 5
    assert json.loads(ptdiff(*call).stdout)["metrics"] == result["metrics"]
    assert {p: p.stat().st_mtime_ns for p in (clouds / "distances").glob("*.distances")} == kept
    damaged = min(kept)
    damaged.write_bytes(damaged.read_bytes()[:-1])
    done = ptdiff(*call)
    assert done.returncode == 2
    assert "is damaged" in done.stderr
    damaged.unlink()


def test_protocols_are_chosen_by_name(ptdiff, clouds: Path, run: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("eval", clouds, "--steps", 2, "-n", 4, "--protocol", "pvd")
    assert done.returncode == 2
    assert "--points 2048" in done.stderr
    done = ptdiff("eval", clouds, "--steps", 2, "--protocol", "pdv")
    assert done.returncode == 2
    assert "did you mean 'pvd'" in done.stderr
    done = ptdiff("eval", run, "-n", 4, "--steps", 2, "--protocol", "full-set", "--json")
    assert json.loads(done.stdout)["protocol"] == "full-set"


def test_what_figures_depend_on_is_said(ptdiff, clouds: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("eval", clouds, "--steps", 2, "-n", 2, "--seed", 3, env={"COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    result = json.loads(next((clouds / "eval").glob("*-n2.json")).read_text())
    for words in (
        "normalization none: world units",
        "points 24",
        "seed 3",
        result["sets"]["sha256_drawn"]["generated"][:12],
    ):
        assert words in done.stderr
    for words in ("full-set, n = 2", "95 % interval", "floor", "1nna_cd_gen", "memorization"):
        assert words in done.stdout


def test_a_report_is_an_html_file(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("eval", run, "--report", tmp_path / "report.pdf")
    assert done.returncode == 2
    assert "must end in .html" in done.stderr


def test_a_line_has_gaps_where_values_are_missing() -> None:
    page = Page(lines({"a": [1.0, 10.0, None, 100.0, float("nan")], "b<": [0.1] * 5}, "noise", ("clean", "noisy")))
    points = [p["points"] or "" for p in page.all("polyline")]
    assert [len(p.split()) for p in points] == [2, 1, 5]
    # logarithmic: equal ratios are equal distances
    heights = [float(p.split(",")[1]) for line in points for p in line.split()]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert "b<" in page.text
    assert "No losses" in lines({"a": [None]}, "noise", ("clean", "noisy"))


def test_values_that_may_be_negative_are_drawn_on_a_plain_scale() -> None:
    page = Page(lines({"a": [-1.0, 0.0, 1.0]}, "noise", ("clean", "noisy")))
    heights = [float(p.split(",")[1]) for p in (page.all("polyline")[0]["points"] or "").split()]
    assert heights[0] - heights[1] == pytest.approx(heights[1] - heights[2], abs=0.2)
    assert heights[0] > heights[2]


def test_an_interval_shows_value_and_floor_where_they_are() -> None:
    page = Page(interval(5.0, 4.0, 6.0, 2.0))
    (dot,) = page.all("circle")
    assert float(dot["cx"] or 0) == pytest.approx(8 + 144 * 0.75)
    Page(interval(1.0, 1.0, 1.0, 1.0))
    Page(interval(float("nan"), 0.0, float("inf"), 1.0))
