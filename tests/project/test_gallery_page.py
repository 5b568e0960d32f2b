"""docs/gallery.md: every picture stands over the command that makes it, and ``make gallery`` runs them all."""

import importlib.util
import os
import re
from pathlib import Path

from typer.main import get_command

from ptdiff.gallery import OF_RUN, THEORY
from ptdiff.modality import registry
from ptdiff_cli.main import app

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")
_spec = importlib.util.spec_from_file_location("build_gallery", ROOT / "docs" / "build_gallery.py")
assert _spec is not None and _spec.loader is not None
build_gallery = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build_gallery)


def test_under_every_picture_stands_the_command_that_makes_it() -> None:
    pictures = re.findall(r"!\[[^]]+\]\(([^)]+)\)\n(.*?)(?=!\[|\Z)", PAGE, re.DOTALL)
    assert len(pictures) > 30
    for picture, below in pictures:
        command = re.match(r"\n```\n(ptdiff gallery .* --out docs/(\S+))\n```\n", below)
        assert command is not None and command[2] == picture, picture


def test_the_commands_can_be_parsed_and_their_runs_are_trained_before() -> None:
    trained: set[str] = set()
    for words in build_gallery.commands(PAGE):
        command = get_command(app()).commands[words[0]]  # type: ignore[attr-defined]
        context = command.make_context(words[0], list(words[1:]), resilient_parsing=False)
        if words[0] == "train":
            trained.add(str(context.params["out"]))
        elif context.params["run"] is not None:
            assert str(context.params["run"]) in trained
            kinds = [registry.load(name).gallery() for name in ("points2d", "images", "pointcloud")]
            assert context.params["name"] in OF_RUN or any(context.params["name"] in kind for kind in kinds)
        else:
            assert context.params["name"] in THEORY


def test_every_picture_of_the_theory_and_of_runs_is_on_the_page() -> None:
    shown = {words[1] for words in build_gallery.commands(PAGE) if words[0] == "gallery"}
    # a sheet of samples is what 'ptdiff render' draws
    assert set(THEORY) | set(OF_RUN) - {"samples"} <= shown


def test_the_pictures_are_small() -> None:
    sizes = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images" / "gallery").iterdir()}
    assert sum(sizes.values()) < 12e6
    assert max(sizes.values()) < 1.5e6, max(sizes, key=sizes.__getitem__)


def test_what_is_there_is_not_made_again(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(build_gallery, "ROOT", tmp_path)
    words = ["gallery", "reverse", "runs/gallery/roll", "--out", "roll.png"]
    assert not build_gallery.up_to_date(words)
    (tmp_path / "roll.png").touch()
    assert not build_gallery.up_to_date(words), "of a run that is not trained"
    run = tmp_path / "runs" / "gallery" / "roll"
    run.mkdir(parents=True)
    (run / build_gallery.TRAINED).touch()
    os.utime(tmp_path / "roll.png", (0, 0))
    assert not build_gallery.up_to_date(words), "older than its run"
    os.utime(run / build_gallery.TRAINED, (0, 0))
    assert build_gallery.up_to_date(words)
