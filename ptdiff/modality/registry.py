"""Registry of modalities: entry points in the group ``ptdiff.modalities.v1``, or explicit ``module:Class`` names.

Listing imports nothing.  Only the named modality is imported, so a broken one does not affect others.  Names may come
from untrusted files, so ``module:Class`` imports nothing either: it finds classes of modules that the program
has already imported, or that the user named (:func:`trust`).  For the same reason the metadata of distributions in the
current folder is not used: the folder may be from someone else.
The number in the name of the group is the version of the contract in :mod:`ptdiff.modality.contract`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, distributions
from pathlib import Path
from typing import Any

from ptdiff.choices import SHOWN, build, unknown
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
    # Python adds the current folder for python -c, python -m and notebooks
    own = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    folders = [folder for folder in map(Path, sys.path) if folder.exists()]
    folders = [folder for folder in folders if folder in own or not folder.samefile(".")]
    return _of_path(tuple((folder, folder.stat().st_mtime_ns) for folder in folders))


@lru_cache(maxsize=1)
def _of_path(state: tuple[tuple[Path, int], ...]) -> dict[str, EntryPoint]:
    """Read the entry points of all distributions once, and again after something was installed."""
    # two distributions may claim one name: the first in alphabetical order of distributions wins, whatever the path
    # order
    installed: dict[str, EntryPoints] = {}
    for each in distributions(path=[str(folder) for folder, _ in state]):
        if declared := each.entry_points.select(group=GROUP):
            # of two versions, the first on the path is the one that is imported
            installed.setdefault(re.sub(r"[-_.]+", "-", each.name).lower(), declared)
    entries = [entry for declared in installed.values() for entry in declared]
    found = sorted(entries, key=lambda e: (e.name, e.dist.name if e.dist else ""), reverse=True)
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
        return _checked(f"modality {name!r}", lambda: there[cls])
    known = _entries()
    if name not in known:
        raise unknown("modality", name, sorted(known))
    entry = known[name]
    importlib.invalidate_caches()
    return _checked(f"modality {name!r} ({entry.value})", entry.load)


def trust(name: str) -> None:
    """Import the modality ``module:Class``, as the user asked, so that names in files find it; others are unchanged.

    Raises UnknownName for a name of another form, and PluginError if it cannot be imported or is no Modality.
    """
    if ":" in name:
        _parts(name)
        importlib.invalidate_caches()
        _checked(f"modality {name!r}", EntryPoint(name=name, value=name, group=GROUP).load)


def origin(name: str) -> dict[str, str]:
    """Distribution and version of an installed modality, for the record of a run; empty for ``module:Class``."""
    entry = _entries().get(name)
    return (
        {} if entry is None or entry.dist is None else {"distribution": entry.dist.name, "version": entry.dist.version}
    )


def missing(name: str, recorded: object) -> str | None:
    """What to install for the modality ``name``, as the end of an error message; None if it is installed.

    ``recorded``: what :func:`origin` returned when the run was made, read from a file; anything else gives None.
    """
    if ":" in name or name in _entries() or not isinstance(recorded, Mapping):
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


def _checked(label: str, found: Callable[[], Any]) -> type[Modality]:
    """The class that ``found`` returns; PluginError if it cannot be imported, or is not a complete Modality."""
    try:
        cls = found()
    except PluginError as error:
        # the class does not match the contract
        raise PluginError(f"{label}: {error}") from error
    except (Exception, SystemExit) as error:
        # importing a third-party module may raise anything
        raise PluginError(f"{label} cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(cls, type) and issubclass(cls, Modality)):
        raise PluginError(f"{label} is not a subclass of ptdiff.modality.Modality")
    undefined = sorted(getattr(cls, "__abstractmethods__", ()))
    if undefined:
        raise PluginError(f"{label} does not define {', '.join(undefined)}")
    return cls


def load(name: str, options: Mapping[str, Any] | None = None) -> Modality:
    """Build a modality with ``options``, checked against the types of its fields.

    Raises UnknownName for an unknown name or option, ValueError for a wrong value, and PluginError for a broken class.
    """
    return build(f"modality {name}", modality_class(name), options or {})
