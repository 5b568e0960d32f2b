"""``ptdiff gallery``: the list, one picture, all of a run, and what is said about mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from ptdiff.gallery import OF_RUN, THEORY


def test_the_list_names_every_picture_and_what_it_needs(ptdiff) -> None:  # type: ignore[no-untyped-def]
    found = {item["name"]: item for item in json.loads(ptdiff("gallery", "--json").stdout)}
    assert {name for name, item in found.items() if item["needs"] == "nothing"} == set(THEORY)
    assert {name for name, item in found.items() if item["needs"] == "a run"} == set(OF_RUN)
    assert all(item["summary"].endswith(".") for item in found.values())
    table = ptdiff("gallery").stdout
    assert all(name in table for name in found)


def test_a_strip_and_a_film_of_a_run_are_drawn(ptdiff, run: Path, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    strip = tmp_path / "new" / "strip.webp"
    done = ptdiff("gallery", "reverse", run, "--at", "0,0.5,1", "--steps", 4, "-n", 50, "--out", strip)
    assert done.returncode == 0, done.stderr
    with Image.open(strip) as image:
        assert image.width > 3 * 200 and image.height > 200
    done = ptdiff("gallery", "film", run, "--steps", 3, "-n", 50, "--out", tmp_path / "film.gif", "--fps", 10)
    assert done.returncode == 0, done.stderr
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames >= 4 and film.info["duration"] == 100  # type: ignore[attr-defined]


def test_all_pictures_of_a_run_go_into_its_folder(ptdiff, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    few = {name: OF_RUN[name] for name in ("forward", "points", "film")}
    monkeypatch.setattr("ptdiff.gallery.OF_RUN", few)
    monkeypatch.setattr("ptdiff_points2d.Points2D.gallery", lambda self: {"own": few["forward"]})
    done = ptdiff("gallery", run, "-n", 20, "--steps", 2)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (run / "gallery").iterdir()} == {"forward.png", "film.gif", "own.png"}
    assert "skipped points: only point sets" in done.stderr


def test_a_run_for_consistency_has_no_pictures_of_means(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    made = tmp_path / "run"
    done = ptdiff("train", "-m", "points2d", "-c", "swissroll-consistency", "--steps", 2, "--threads", 1, "--out", made)
    assert done.returncode == 0, done.stderr
    done = ptdiff("gallery", "losses", made, cwd=tmp_path)
    assert done.returncode == 1 and "does not estimate E[x0 | x]" in done.stderr
    assert not (made / "gallery").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["revers"], "did you mean 'reverse'"),
        (["reverse"], "ptdiff gallery reverse RUN"),
        (["reverse", "RUN", "--out", "a.gif"], "one of .png"),
        (["film", "RUN", "--out", "a.png"], "one of .gif"),
        (["schedules", "RUN"], "leave out the run"),
        (["reverse", "RUN", "--at", "0;1"], "separated by commas"),
        (["reverse", "RUN", "--at", "0,3"], "lie in [0, 1]"),
        (["guidnce", "RUN"], "did you mean 'guidance'"),
        (["RUN", "--out", "a.png"], "must be a folder"),
        (["reverse", "nowhere"], "is not a run folder"),
        (["points", "RUN", "--out", "points.png"], "only point sets"),
    ],
)
def test_mistakes_end_with_a_line_before_anything_is_drawn(  # type: ignore[no-untyped-def]
    ptdiff, run: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    done = ptdiff("gallery", *[str(run) if word == "RUN" else word for word in arguments], cwd=tmp_path)
    assert done.returncode in (1, 2) and done.stderr.count("\n") <= 2
    assert message in done.stderr
    assert list(tmp_path.iterdir()) == []
