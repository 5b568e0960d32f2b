"""Installed models: trained runs inside a plugin, available by name wherever a command takes a run.

    <package>/models/<name>/    a run folder (ptdiff.run.folder) with float16 weights, card.json and README.md

``package`` is that of the modality's entry point, found without importing it.  These folders are read-only: files that
a command makes from a model go to :func:`outputs`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff.documents.files import expanded
from ptdiff.documents.jsons import read_json
from ptdiff.errors import RunError
from ptdiff.modality import registry
from ptdiff.run import exported, hub, links


@dataclass(frozen=True)
class Model:
    """A trained run that is installed with a modality.

    ``name``: of the model.
    ``modality``: name of the modality.
    ``path``: run folder of the model.
    """

    name: str
    modality: str
    path: Path

    @property
    def card(self) -> dict[str, Any]:
        """Scores, floors, license, size, machine and command, as ``benchmarks/models.py`` writes them; may be empty."""
        path = self.path / "card.json"
        found: dict[str, Any] = read_json(path) if path.is_file() else {}
        return found

    @property
    def summary(self) -> str:
        """A one-line description of the model, from its card; may be empty."""
        return str(self.card.get("summary", ""))


def models() -> list[Model]:
    """All models of the installed modalities, sorted by name; no modality is imported."""
    found: list[Model] = []
    for listed in registry.modalities():
        folder = registry.package_folder(listed)
        if folder is not None:
            paths = (path.parent for path in folder.glob("models/*/config.yaml"))
            found += [Model(path.name, listed.name, path) for path in paths if not path.name.startswith(".")]
    return sorted(found, key=lambda model: (model.name, model.modality))


def located(run: Path | str, warn: Callable[[str], None] | None = None) -> Path:
    """The folder of a run, given its path or the name of a model; any other path is returned unchanged.

    An exported model, as a folder or on the Hub (``hf://owner/name@revision``), is unpacked into the cache.  A run
    folder takes precedence over a model of the same name, and a model over a folder that is not a run; ``warn`` is
    called with one line about the choice.

    Raises ValueError if two modalities have a model of that name, and RunError for an exported model that cannot be
    used, and for a run folder with links inside.
    """
    if hub.is_address(run):
        return hub.downloaded(run, warn)
    path, name = expanded(run), str(run)
    if exported.is_exported(path):
        return exported.unpacked(path)
    check_links(path)
    there = [model for model in models() if model.name == name] if path.name == name else []
    if path.is_file() or not there:
        return path
    if (path / "config.yaml").is_file():
        if warn is not None:
            warn(f"{name} is the run in the folder ./{name}; the installed model of that name is in {there[0].path}")
        return path
    if len(there) > 1:
        kinds, paths = (" and ".join(str(part) for part in parts) for parts in zip(*_kinds(there), strict=True))
        raise ValueError(f"{kinds} each have a model {name!r}: give its folder, {paths}")
    if path.exists() and warn is not None:
        warn(f"{name} is the installed model: the folder ./{name} is not a run")
    return there[0].path


def check_links(run: Path) -> None:
    """Raise RunError if a folder is a run with a name inside that may lead out of it (:mod:`ptdiff.run.links`).

    Installed models are the user's own: some installers link all their files.
    """
    if os.path.lexists(run / "config.yaml") and (found := links.check(run)) is not None and not ships(run):
        raise RunError(found)


def _kinds(found: list[Model]) -> list[tuple[str, Path]]:
    return [(model.modality, model.path) for model in found]


def ships(run: Path) -> bool:
    """Return True for the folder of an installed or unpacked model, which is read-only."""
    place = run.resolve()
    return exported.is_unpacked(run) or any(place == model.path.resolve() for model in models())


def outputs(run: Path) -> Path:
    """Folder for files made from a run: its own, or ``runs/models/<name>`` for an installed or unpacked model.

    Raises OSError if there are links in ``runs/models/<name>``: the current folder may be a stranger's.
    """
    return links.chosen(Path("runs", "models", run.name)) if ships(run) else run


def near(path: Path) -> str:
    """End of an error message about a missing run: the nearest name, and the existing models and runs; may be empty."""
    names = [model.name for model in models()] if len(path.parts) == 1 else []
    places = {path.parent, *([Path("runs")] if len(path.parts) == 1 else [])}
    runs = sorted(str(found.parent) for place in places if place.is_dir() for found in place.glob("*/config.yaml"))
    known = [*names, *runs, *(Path(run).name for run in runs)]
    close = difflib.get_close_matches(path.name, known, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    lists = [f"{kind}: {', '.join(found[:5])}" for kind, found in (("models", names), ("runs", runs)) if found]
    return hint + (f" ({'; '.join(lists)})" if lists else "")
