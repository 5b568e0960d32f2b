"""Turns command-line options into values that override a configuration."""

from __future__ import annotations

from typing import Any


def overrides(
    modality: str | None,
    data: str | None,
    files: list[str],
    options: list[str],
    settings: list[str],
    named: dict[str, Any],
) -> dict[str, Any]:
    """The values set on the command line, nested as in config.yaml; see ptdiff.run.config for the precedence.

    ``files``: paths of YAML files, or names of recipes.  ``options``: key=value.  ``settings``: section.key=value.
    ``named``: nested values that override all others, as the axes of a sweep must.

    Raises ValueError for an option or setting without "=", and UnknownName for an unknown recipe.
    """
    from ptdiff.modality import registry
    from ptdiff.run.config import merged
    from ptdiff.run.config import settings as parse

    if modality is not None:
        registry.trust(modality)
    over: dict[str, Any] = {}
    for file in files:
        over = merged(over, _values(file, modality))
    over = merged(over, parse(settings, "section.key=value"))
    over = merged(over, {"options": parse(options)})
    if data is not None:
        over["options"]["data"] = data
    if modality is not None:
        over["modality"] = modality
    return merged(over, named)


def _values(file: str, modality: str | None) -> dict[str, Any]:
    """The values of a -c argument: a YAML file, or a recipe if it is a name without suffix and not a file."""
    from ptdiff.documents.files import expanded
    from ptdiff.run.config import read
    from ptdiff.run.recipes import recipe

    path = expanded(file)
    by_name = not path.is_file() and path.suffix not in (".yaml", ".yml") and path.name == file
    return recipe(file, modality).values() if by_name else read(path)
