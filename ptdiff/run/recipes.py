"""Recipes: configuration files that come with a modality and go by a name.

``ptdiff train -c NAME`` trains by one of them; :meth:`ptdiff.modality.contract.Modality.recipes` says which a modality
has. A recipe says in its first comment line what it reproduces.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff.choices import unknown
from ptdiff.errors import PluginError
from ptdiff.modality import registry
from ptdiff.run import config


@dataclass(frozen=True)
class Recipe:
    """A configuration file of a modality."""

    name: str
    modality: str
    path: Path

    @property
    def summary(self) -> str:
        """The first comment line of the file; empty where it does not begin with one."""
        first = self.path.read_text(encoding="utf-8").partition("\n")[0]
        return first.removeprefix("#").strip() if first.startswith("#") else ""

    def values(self) -> dict[str, Any]:
        """What it sets, as plain values, its modality included."""
        return {"modality": self.modality} | config.read(self.path)


def recipes(modality: str | None = None) -> list[Recipe]:
    """The recipes of a modality, or of all that are installed and can be imported."""
    if modality is not None:
        found = registry.modality_class(modality).recipes()
        return [Recipe(name, modality, path) for name, path in sorted(found.items())]
    result: list[Recipe] = []
    for listed in registry.modalities():
        # one that fails to import harms no other: 'ptdiff modalities NAME' says what is wrong with it
        with suppress(PluginError):
            result += recipes(listed.name)
    return result


def recipe(name: str, modality: str | None = None) -> Recipe:
    """The recipe of that name; UnknownName, with the nearest right one, or ValueError where two modalities have one."""
    there = recipes(modality)
    found = [recipe for recipe in there if recipe.name == name]
    if not found:
        kind = "recipe" if modality is None else f"recipe of {modality}"
        raise unknown(kind, name, [recipe.name for recipe in there])
    if len(found) > 1:
        raise ValueError(f"{' and '.join(r.modality for r in found)} each have a recipe {name!r}: say which with -m")
    return found[0]
