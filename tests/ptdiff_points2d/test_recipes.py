"""The recipes: each is found by name, says what it is, and is a configuration that can be trained."""

from pathlib import Path

import pytest

from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.run.recipes import recipes
from ptdiff.sampling.sampler import Plan, prepared
from ptdiff.training.configuration import resolve
from ptdiff.training.module import DiffusionModule
from ptdiff_cli.shared.configuration import overrides

RECIPES = {recipe.name: recipe for recipe in recipes("points2d")}


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "table.tsv"
    path.write_text("dataset\tx\ty\n" + "".join(f"{'ab'[i % 2]}\t{i}\t{i * i % 7}\n" for i in range(40)))
    return str(path)


def test_the_recipes_are_there() -> None:
    expected = (
        "coins datasaurus swissroll-3d swissroll-consistency swissroll-ddpm swissroll-edm swissroll-flow table tree"
    )
    assert sorted(RECIPES) == [*expected.split(), "two-gaussians"]


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_can_be_trained_and_sampled(name: str, table: str) -> None:
    data = table if name in ("datasaurus", "table") else None
    config, kind = resolve(overrides("points2d", data, [str(RECIPES[name].path)], [], [], {}))
    assert len(RECIPES[name].summary) > 20
    read = kind.dataset()
    module = DiffusionModule(NetworkDenoiser(kind.backbone(read), config.prediction), read, config)
    # refused where noise does not drown the data
    prepared(module.denoiser, Plan.chosen(config.process, config.sampling), read)
    text = RECIPES[name].path.read_text(encoding="utf-8")
    assert text.count("\n") < 20


def test_the_page_of_points_names_every_recipe_and_distribution() -> None:
    from ptdiff_datasets.points.toys import TOYS

    page = (Path(__file__).parents[2] / "docs" / "points2d.md").read_text(encoding="utf-8")
    for name in [*RECIPES, *TOYS]:
        assert f"`{name}`" in page, name
