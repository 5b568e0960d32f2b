"""Registry of modalities: plugins of the door ``modalities``, or explicit ``module:Class`` names.

Listing imports nothing.  Only the named modality is imported, so a broken one does not affect others.  Names may come
from untrusted files, so ``module:Class`` imports nothing either: it finds classes of modules that the program
has already imported, or that the user named (:func:`trust`).  :mod:`ptdiff.plugins` says which plugins there are, and
which of them can be used.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from ptdiff.choices import SHOWN, build, unknown
from ptdiff.errors import UnknownName
from ptdiff.modality.contract import Modality
from ptdiff.plugins.claims import claimant, claimed, claims
from ptdiff.plugins.doors import Door
from ptdiff.plugins.loading import checked, imported
from ptdiff.plugins.loading import load as load_plugin
from ptdiff.plugins.trial import tried

DOOR = Door("modalities", "modality", Modality, options=False)
GROUP = DOOR.group


@dataclass(frozen=True)
class Listed:
    """An installed modality as its distribution declares it, without importing it."""

    name: str
    target: str
    distribution: str
    version: str

    @property
    def builtin(self) -> bool:
        """True for a modality that ships with ptdiff."""
        return self.distribution == "ptdiff"


def modalities() -> list[Listed]:
    """All installed modalities that can be used, as far as their metadata tells, sorted by name.

    A modality that ships with ptdiff is among them even if a plugin claims its name too.
    """
    usable = [
        claim.plugin
        for claim in claims()
        if claim.plugin.door == DOOR.name and (claim.state == "ok" or (claim.state == "clash" and claim.plugin.builtin))
    ]
    return [Listed(plugin.name, plugin.target, plugin.distribution, plugin.version) for plugin in usable]


def importable() -> tuple[list[Listed], list[str]]:
    """The modalities that can be imported, and one line for each that cannot.

    Those that do not ship with ptdiff are tried in processes of their own first (:mod:`ptdiff.plugins.trial`).
    """
    usable, problems = [], []
    listed = modalities()
    found = tried([[_TRY, one.name] for one in listed if not one.builtin])
    for one in listed:
        problem = None if one.builtin else next(found)
        if problem is None:
            usable.append(one)
        else:
            problems.append(problem if one.name in problem else f"modality {one.name!r}: {problem}")
    return usable, problems


_TRY = "from ptdiff.modality.registry import modality_class as use"


def package_folder(listed: Listed) -> Path | None:
    """The folder of the package of a modality, found without importing it; None for a single module."""
    module = listed.target.partition(":")[0]
    try:
        spec = _spec(module)
    except Exception:
        # 'ptdiff modalities NAME' reports the error
        return None
    if spec is None or spec.origin is None or (spec.submodule_search_locations is None and "." not in module):
        return None
    return Path(spec.origin).parent


def _spec(module: str) -> ModuleSpec | None:
    """What importlib.util.find_spec returns, without importing the parents of the module, which may do anything."""
    path, spec, name = None, None, ""
    for part in module.split("."):
        name = f"{name}.{part}".lstrip(".")
        finders = (finder for finder in sys.meta_path if hasattr(finder, "find_spec"))
        spec = next((found for finder in finders if (found := finder.find_spec(name, path)) is not None), None)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return spec


def modality_class(name: str) -> type[Modality]:
    """Return the class with an installed name, which is imported, or ``module:Class`` if the module is imported.

    Raises UnknownName for a name that is not installed, and PluginError if it cannot be imported or is no Modality.
    """
    if ":" in name:
        module, cls = _parts(name)
        # not getattr, because packages may import what they are asked for
        there = vars(sys.modules[module]) if module in sys.modules else {}
        if cls not in there:
            raise UnknownName(
                f"modality {name[:SHOWN]!r} is not installed, and a file never decides what is imported: add "
                f"--trust {name[:SHOWN]} if you trust that code"
            )
        return _checked(name, lambda: there[cls])
    plugin = claimant(DOOR, name)
    if plugin is None:
        raise unknown("modality", name, [listed.name for listed in modalities()])
    found: type[Modality] = load_plugin(DOOR, plugin)
    return found


def trust(name: str) -> None:
    """Import the modality ``module:Class``, as the user asked, so that names in files find it; others are unchanged.

    Raises UnknownName for a name of another form, and PluginError if it cannot be imported or is no Modality.
    """
    if ":" in name:
        _parts(name)
        importlib.invalidate_caches()
        _checked(name, lambda: imported(name))


def origin(name: str) -> dict[str, str]:
    """Distribution and version of an installed modality, for the record of a run; empty for ``module:Class``."""
    found = next((one for one in modalities() if one.name == name), None)
    return {} if found is None else {"distribution": found.distribution, "version": found.version}


def missing(name: str, recorded: object) -> str | None:
    """What to install for the modality ``name``, as the end of an error message; None if it is installed.

    ``recorded``: what :func:`origin` returned when the run was made, read from a file; anything else gives None.
    """
    if ":" in name or claimed(DOOR, name) or not isinstance(recorded, Mapping):
        return None
    words = [recorded.get("distribution"), recorded.get("version")]
    # the file may be that of a stranger: nothing that a shell or pip could take for more than a name
    if not all(isinstance(word, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,80}", word) for word in words):
        return None
    return f"the modality {name[:SHOWN]!r} of {words[0]} {words[1]}, which is not installed: pip install {words[0]}"


def _parts(name: str) -> tuple[str, str]:
    if not re.fullmatch(r"[\w.]+:\w+", name):
        raise UnknownName(f"modality {name[:SHOWN]!r} is not of the form module:Class")
    module, _, cls = name.partition(":")
    return module, cls


def _checked(name: str, find: Callable[[], object]) -> type[Modality]:
    cls: type[Modality] = checked(f"modality {name!r}", DOOR, find)
    return cls


def load(name: str, options: Mapping[str, Any] | None = None) -> Modality:
    """Build a modality with ``options``, checked against the types of its fields.

    Raises UnknownName for an unknown name or option, ValueError for a wrong value, and PluginError for a broken class.
    """
    return build(f"modality {name}", modality_class(name), options or {})
