"""Registry of modalities: entry points in the group ``ptdiff.modalities.v1``, or explicit ``module:Class`` names.

Listing imports nothing.  Only the named modality is imported, so a broken one does not affect others.
The number in the name of the group is the version of the contract in :mod:`ptdiff.modality.contract`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from ptdiff.choices import build, unknown
from ptdiff.errors import PluginError, UnknownName
from ptdiff.modality.contract import Modality

GROUP = "ptdiff.modalities.v1"


@dataclass(frozen=True)
class Listed:
    """An installed modality as its distribution declares it, without importing it."""

    name: str
    target: str
    distribution: str
    version: str


def _entries() -> dict[str, EntryPoint]:
    folders = [Path(folder) for folder in sys.path]
    return _of_path(tuple((folder, folder.stat().st_mtime_ns) for folder in folders if folder.exists()))


@lru_cache(maxsize=1)
def _of_path(state: tuple[tuple[Path, int], ...]) -> dict[str, EntryPoint]:
    """Read the entry points of all distributions once, and again after something was installed."""
    # two distributions may claim one name: the first in alphabetical order of distributions wins, whatever the path
    # order
    found = sorted(entry_points(group=GROUP), key=lambda e: (e.name, e.dist.name if e.dist else ""), reverse=True)
    return {entry.name: entry for entry in found}


def modalities() -> list[Listed]:
    """All installed modalities, sorted by name."""
    return [
        Listed(name, entry.value, entry.dist.name if entry.dist else "?", entry.dist.version if entry.dist else "?")
        for name, entry in sorted(_entries().items())
    ]


def package_folder(listed: Listed) -> Path | None:
    """The folder of the package of a modality, found without importing it; None for a single module.

    If the entry point names a module inside a package, only the parent packages are imported.
    """
    module = listed.target.partition(":")[0]
    try:
        spec = importlib.util.find_spec(module)
    except Exception:
        # 'ptdiff modalities NAME' reports the error
        return None
    if spec is None or spec.origin is None or (spec.submodule_search_locations is None and "." not in module):
        return None
    return Path(spec.origin).parent


def modality_class(name: str) -> type[Modality]:
    """Import the class with an installed name, or ``module:Class``.

    Raises UnknownName for a name that is not installed, and PluginError if it cannot be imported or is no Modality.
    """
    if ":" in name:
        if not re.fullmatch(r"[\w.]+:[\w.]+", name):
            raise UnknownName(f"modality {name!r} is not of the form module:Class")
        entry = EntryPoint(name=name, value=name, group=GROUP)
    else:
        known = _entries()
        if name not in known:
            raise unknown("modality", name, sorted(known))
        entry = known[name]
    origin = f"modality {name!r} ({entry.value})"
    importlib.invalidate_caches()
    try:
        found = entry.load()
    except PluginError as error:
        # the class does not match the contract
        raise PluginError(f"{origin}: {error}") from error
    except (Exception, SystemExit) as error:
        # importing a third-party module may raise anything
        raise PluginError(f"{origin} cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Modality)):
        raise PluginError(f"{origin} is not a subclass of ptdiff.modality.Modality")
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise PluginError(f"{origin} does not define {', '.join(missing)}")
    return found


def load(name: str, options: Mapping[str, Any] | None = None) -> Modality:
    """Build a modality with ``options``, checked against the types of its fields.

    Raises UnknownName for an unknown name or option, ValueError for a wrong value, and PluginError for a broken class.
    """
    return build(f"modality {name}", modality_class(name), options or {})
