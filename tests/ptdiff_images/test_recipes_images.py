"""Recipes: they are complete configurations whose networks and samplers can be made."""

from pathlib import Path

import pytest
import torch

from ptdiff.choices import choose
from ptdiff.denoiser.network import NetworkDenoiser
from ptdiff.modality import registry
from ptdiff.modality.data import Data, TensorSplit
from ptdiff.objective.weighting import WEIGHTINGS
from ptdiff.run.config import defaults, merged, validate
from ptdiff.run.recipes import recipe, recipes
from ptdiff.sampling.sampler import Plan
from ptdiff.training.module import DiffusionModule
from ptdiff_images import Images

SHAPES = {"digits": (1, 8, 8), "cifar10": (3, 32, 32), "flowers": (3, 64, 64)}
NAMES = (
    "cifar10-ddpm",
    "cifar10-edm",
    "digits",
    "fashion-ddpm",
    "flowers-ddpm",
    "kmnist-ddpm",
    "mnist-cond",
    "mnist-ddpm",
    "mnist-edm",
    "mnist-x0-toy",
    "moving-mnist",
)


def test_all_recipes_are_found_by_name() -> None:
    assert set(NAMES) <= {found.name for found in recipes("images")}


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_what_it_is_and_what_it_costs_and_builds_what_it_names(name: str) -> None:
    found = recipe(name)
    head = [line for line in found.path.read_text().splitlines() if line.startswith("#")]
    assert 20 < len(found.summary) < 120
    assert any("Scores" in line for line in head)
    kind = registry.load("images", found.values()["options"])
    assert isinstance(kind, Images)
    config = validate(merged(merged(defaults("images"), kind.recipe()), found.values()))
    plan = Plan.chosen(config.process, config.sampling)
    if config.process["name"] == "chain":
        assert plan.table().calls == plan.steps == config.process["steps"]
    shape = SHAPES.get(kind.data, (1, 28, 28)) if kind.frames is None else (1, kind.frames, kind.pixels, kind.pixels)
    samples = TensorSplit(torch.rand(4, *shape), torch.arange(4) if kind.labels else None)
    data = Data(shape, tuple("0123456789") if kind.labels else (), train=samples, val=samples)
    with torch.device("meta"):
        network = kind.backbone(data)
    assert sum(p.numel() for p in network.parameters()) > 10_000
    # density, weighting, loss, averages and their fitting together are checked here
    module = DiffusionModule(NetworkDenoiser(network, config.prediction), data, config)
    assert module.objective.weighting == choose("weighting", WEIGHTINGS, config.weighting)


def test_the_two_that_are_compared_differ_in_no_number_of_the_network() -> None:
    ours, plain = (recipe(name).values()["options"] for name in ("mnist-cond", "mnist-ddpm"))
    assert {**plain, "labels": True} == {"labels": True, **ours}


def test_the_default_of_the_modality_is_the_recipe_digits() -> None:
    config = recipe("digits").values()
    own = Images().recipe()
    for section in ("training", "sampling"):
        assert config[section] == {key: own[section][key] for key in config[section]}


def test_the_folder_of_recipes_holds_nothing_else() -> None:
    folder = Path(recipe("digits").path).parent
    assert {path.stem for path in folder.iterdir()} == set(NAMES)
