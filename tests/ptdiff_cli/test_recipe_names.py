"""``-c NAME``: recipes on the command line, their precedence, and mistakes."""

import json
from pathlib import Path

import pytest
import yaml

import ptdiff_points2d
from ptdiff.modality import registry
from ptdiff.training.configuration import resolve
from ptdiff_cli.shared.configuration import overrides

RECIPES = {
    "rings": "# rings of Gaussians in a minute\nmodality: points2d\noptions: {data: moons, width: 32}\nseed: 5\n",
    "rings-fast": "# the same, sooner\noptions: {data: circles}\ntraining: {steps: 7}\n",
}


@pytest.fixture(autouse=True)
def _recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two recipes of points2d, and no others."""
    folder = tmp_path / "shelf" / "recipes"
    folder.mkdir(parents=True)
    for name, text in RECIPES.items():
        (folder / f"{name}.yaml").write_text(text)
    found = {path.stem: path for path in folder.iterdir()}
    monkeypatch.setattr(ptdiff_points2d.Points2D, "recipes", classmethod(lambda cls: found))
    real = registry.package_folder
    monkeypatch.setattr(
        registry,
        "package_folder",
        lambda listed: folder.parent if listed.name == "points2d" else real(listed),
    )


def test_a_recipe_names_the_modality_and_its_settings() -> None:
    config, kind = resolve(overrides(None, None, ["rings"], [], [], {}))
    assert (config.modality, config.seed, config.options["data"], config.options["width"]) == (
        "points2d",
        5,
        "moons",
        32,
    )
    assert type(kind) is ptdiff_points2d.Points2D


def test_recipes_files_and_settings_are_laid_over_each_other_in_order(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("seed: 6\noptions: {width: 40}\n")
    over = ["rings", str(mine), "rings-fast"]
    config, _ = resolve(overrides("points2d", None, over, ["blocks=1"], ["training.steps=9"], {}))
    options = config.options
    assert (config.seed, options["width"], options["data"], options["blocks"]) == (6, 40, "circles", 1)
    assert config.training.steps == 9
    config, _ = resolve(overrides(None, "checkerboard", over, [], [], {}))
    assert (config.options["data"], config.training.steps) == ("checkerboard", 7)


def test_a_file_goes_before_a_recipe_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rings").write_text("modality: points2d\nseed: 8\n")
    assert resolve(overrides(None, None, ["rings"], [], [], {}))[0].seed == 8


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-c", "ring"], "did you mean 'rings'?"),
        (["-m", "images", "-c", "rings"], "unknown recipe of images"),
        (["-c", "rings.yaml"], "rings.yaml"),
        (["-c", "folder/rings"], "folder/rings"),
    ],
)
def test_a_wrong_name_ends_with_two(ptdiff, arguments: list[str], message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", *arguments, "--dry-run", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr


def test_a_dry_run_of_a_recipe_prints_its_configuration(ptdiff, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    done = ptdiff("train", "-c", "rings", "-o", "count=128", "--dry-run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    shown = yaml.safe_load(done.stdout.partition("one sample")[0])
    assert (shown["seed"], shown["options"]["width"]) == (5, 32)


def test_recipes_are_listed_with_their_first_line(ptdiff) -> None:  # type: ignore[no-untyped-def]
    found = json.loads(ptdiff("list", "recipe", "--json").stdout)
    mine = [item for item in found if item["modality"] == "points2d"]
    assert mine == [
        {"name": "rings", "modality": "points2d", "summary": "rings of Gaussians in a minute"},
        {"name": "rings-fast", "modality": "points2d", "summary": "the same, sooner"},
    ]
    assert "rings of Gaussians" in " ".join(ptdiff("list", "recipes").stdout.split())
    assert "rings-fast" in json.loads(ptdiff("list", "--json").stdout)["recipe"]
