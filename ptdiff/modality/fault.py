"""The plugin in whose code an error was raised."""

from __future__ import annotations

import sys
import traceback

from ptdiff.modality.contract import Modality
from ptdiff.plugins.metadata import OURS, declared


def plugin_of(error: BaseException) -> str | None:
    """The name and distribution of the plugin whose code raised ``error``; None if that was ptdiff and what it ships.

    The innermost frame of the traceback that belongs to ptdiff or to the package of a plugin decides: an error that
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
    found: dict[str, str] = {}
    for plugin in declared():
        if plugin.module in sys.modules and not plugin.builtin:
            found.setdefault(_package(plugin.target), f"{plugin.name} ({plugin.origin})")
    ours = {_package(plugin.target) for plugin in declared() if plugin.builtin}
    for cls in _below(Modality):
        package = _package(cls.__module__)
        if package not in ours and not package.startswith(OURS):
            found.setdefault(package, f"{cls.__module__}:{cls.__name__}")
    return found


def _below(cls: type) -> set[type]:
    found: list[type] = cls.__subclasses__()
    return {deeper for sub in found for deeper in (sub, *_below(sub))}


def _package(name: str) -> str:
    return name.partition(":")[0].partition(".")[0]
