"""The plugin in whose code an error was raised."""

from __future__ import annotations

import traceback

from ptdiff.modality import registry
from ptdiff.modality.contract import Modality

OURS = "ptdiff"
"""The distribution, and the start of the names of all its packages."""


def plugin_of(error: BaseException) -> str | None:
    """The name and distribution of the plugin whose code raised ``error``; None if that was ptdiff and what it ships.

    The innermost frame of the traceback that belongs to ptdiff or to the package of a modality decides: an error that
    ptdiff raises about what a plugin gave it names the culprit itself.
    """
    plugins = _plugins()
    for frame, _ in reversed(list(traceback.walk_tb(error.__traceback__))):
        package = _package(str(frame.f_globals.get("__name__", "")))
        if package in plugins:
            return plugins[package]
        if package.startswith(OURS):
            return None
    return None


def _plugins() -> dict[str, str]:
    """What to call the plugins that have been imported, by package."""
    found = {}
    listed = {_package(kind.target): kind for kind in registry.modalities()}
    for cls in _below(Modality):
        package = _package(cls.__module__)
        kind = listed.get(package)
        if kind is None and not package.startswith(OURS):
            found[package] = f"{cls.__module__}:{cls.__name__}"
        elif kind is not None and kind.distribution != OURS:
            found[package] = f"{kind.name} ({kind.distribution} {kind.version})"
    return found


def _below(cls: type) -> set[type]:
    found: list[type] = cls.__subclasses__()
    return {deeper for sub in found for deeper in (sub, *_below(sub))}


def _package(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]
