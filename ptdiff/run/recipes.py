"""Recipes: named configuration files that come with a modality.

``ptdiff train -c NAME`` uses one; :meth:`ptdiff.modality.contract.Modality.recipes` lists those of a modality.  The
first comment line of a recipe states what it reproduces.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff.choices import unknown
from ptdiff.modality import registry
from ptdiff.run import config


@dataclass(frozen=True)
class Recipe:
    """A configuration file of a modality, with its name."""

    name: str
    modality: str
    path: Path

    @property
    def summary(self) -> str:
        """The first line of the file if it is a comment; empty otherwise."""
        first = self.path.read_text(encoding="utf-8").partition("\n")[0]
        return first.removeprefix("#").strip() if first.startswith("#") else ""

    def values(self) -> dict[str, Any]:
        """The settings of the file and the modality, as plain values."""
        return {"modality": self.modality} | config.read(self.path)


def recipes(modality: str | None = None) -> list[Recipe]:
    """Recipes of a modality, sorted by name; with None, of all installed modalities.

    A modality that does not ship with ptdiff is imported only if it is named, so with None its recipes are the files
    recipes/*.yaml of its package, whether or not it lists others.
    """
    if modality is not None:
        found = registry.modality_class(modality).recipes()
        return [Recipe(name, modality, path) for name, path in sorted(found.items())]
    result: list[Recipe] = []
    for listed in registry.modalities():
        folder = registry.package_folder(listed)
        paths = [] if folder is None else sorted(folder.glob("recipes/*.yaml"), key=lambda path: path.stem)
        result += [Recipe(path.stem, listed.name, path) for path in paths]
    return result


def recipe(name: str, modality: str | None = None) -> Recipe:
    """The recipe of that name.

    Raises UnknownName, with the nearest valid name, if there is none, and ValueError if several modalities have one.
    """
    there = recipes(modality)
    found = [recipe for recipe in there if recipe.name == name]
    if not found:
        kind = "recipe" if modality is None else f"recipe of {modality}"
        raise unknown(kind, name, [recipe.name for recipe in there])
    if len(found) > 1:
        raise ValueError(f"{' and '.join(r.modality for r in found)} each have a recipe {name!r}: choose one with -m")
    return found[0]
