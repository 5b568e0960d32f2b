"""Recipes: found by name beside their modality, with the nearest right name for a mistake."""

import sys
from pathlib import Path

import pytest

from ptdiff.errors import UnknownName
from ptdiff.modality.registry import GROUP
from ptdiff.run.config import defaults, merged, validate
from ptdiff.run.recipes import recipe, recipes

CODE = """
from dataclasses import dataclass
from ptdiff.modality import Modality

@dataclass(frozen=True)
class Tiny(Modality):
    def dataset(self): raise OSError
    def backbone(self, data): raise OSError
    def visualizer(self): raise OSError
"""


@pytest.fixture
def _two_plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Distributions ``aa`` and ``zz`` as pip leaves them, with recipes, and ``broken``, which does not import."""
    monkeypatch.syspath_prepend(str(tmp_path))
    files = {
        "aa": {"spiral": "# a spiral\nmodality: aa\nseed: 7\n", "both": "seed: 1\n"},
        "zz": {"both": "# of zz\n", "wild": ""},
        "broken": {"lost": ""},
    }
    for name, texts in files.items():
        (tmp_path / name / "recipes").mkdir(parents=True)
        (tmp_path / name / "__init__.py").write_text("import no_such_package" if name == "broken" else CODE)
        for recipe_name, text in texts.items():
            (tmp_path / name / "recipes" / f"{recipe_name}.yaml").write_text(text)
        info = tmp_path / f"{name}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{name} = {name}:Tiny\n")
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("_two_plugins")
def test_recipes_are_the_files_beside_the_modality() -> None:
    assert [(r.name, r.modality) for r in recipes("aa")] == [("both", "aa"), ("spiral", "aa")]
    assert recipe("spiral", "aa").values() == {"modality": "aa", "seed": 7}
    assert recipe("spiral").summary == "a spiral"
    assert recipe("both", "aa").summary == ""
    assert recipe("both", "aa").values() == {"modality": "aa", "seed": 1}
    assert recipe("wild").values() == {"modality": "zz"}


@pytest.mark.usefixtures("_two_plugins")
def test_all_modalities_are_searched_and_none_is_imported() -> None:
    found = {(r.name, r.modality) for r in recipes()}
    assert {("spiral", "aa"), ("both", "aa"), ("both", "zz"), ("wild", "zz"), ("lost", "broken")} <= found
    assert not {"aa", "zz", "broken"} & set(sys.modules)


@pytest.mark.usefixtures("_two_plugins")
def test_a_name_in_two_modalities_asks_which() -> None:
    assert recipe("both", "zz").modality == "zz"
    with pytest.raises(ValueError, match="aa and zz each have a recipe 'both': choose one with -m"):
        recipe("both")


@pytest.mark.usefixtures("_two_plugins")
def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'spiral'"):
        recipe("spirall")
    with pytest.raises(UnknownName, match=r"recipe of zz 'spiral'.*choose from: both, wild"):
        recipe("spiral", "zz")


def test_every_recipe_that_ships_is_a_valid_configuration_and_says_what_it_is() -> None:
    for found in recipes():
        values = found.values()
        assert values["modality"] == found.modality, found.path
        assert len(found.summary) > 20, f"{found.path}: the first line says what it reproduces"
        validate(merged(defaults(found.modality), values))
