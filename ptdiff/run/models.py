"""Models that ship: trained runs inside a plugin, found by name wherever a command takes a run.

    <package>/models/<name>/    a run folder (ptdiff.run.folder) with float16 weights, card.json and README.md

``package`` is that of the modality's entry point, found without importing it.  These folders are read-only: whatever
a command makes from a model goes to :func:`outputs`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ptdiff.modality import registry


@dataclass(frozen=True)
class Model:
    """A trained run installed with a modality."""

    name: str
    modality: str
    path: Path

    @property
    def card(self) -> dict[str, Any]:
        """Figures, floors, licence, size, machine, command, as ``benchmarks/models.py`` writes them; may be empty."""
        path = self.path / "card.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found

    @property
    def summary(self) -> str:
        """One line about the model, from its card."""
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
    """The folder of a run given by its path or by the name of a model; any other path is returned unchanged.

    A run folder takes precedence over a model of the same name, and a model over a folder that is no run; ``warn`` is
    told which was chosen.  Raises ValueError if two modalities ship a model of that name.
    """
    path, name = Path(run).expanduser(), str(run)
    there = [model for model in models() if model.name == name] if path.name == name else []
    if path.is_file() or not there:
        return path
    if (path / "config.yaml").is_file():
        if warn is not None:
            warn(f"{name} is the run in the folder ./{name}; the model of that name that ships is {there[0].path}")
        return path
    if len(there) > 1:
        kinds, paths = (" and ".join(str(part) for part in parts) for parts in zip(*_kinds(there), strict=True))
        raise ValueError(f"{kinds} each ship a model {name!r}: say which by its folder, {paths}")
    if path.exists() and warn is not None:
        warn(f"{name} is the model that ships: the folder ./{name} is no run")
    return there[0].path


def _kinds(found: list[Model]) -> list[tuple[str, Path]]:
    return [(model.modality, model.path) for model in found]


def ships(run: Path) -> bool:
    """True for the folder of a model that ships, into which nothing may be written."""
    place = run.resolve()
    return any(place == model.path.resolve() for model in models())


def outputs(run: Path) -> Path:
    """The folder for whatever is made from a run: its own, or ``runs/models/<name>`` for a model that ships."""
    return Path("runs", "models", run.name) if ships(run) else run


def near(path: Path) -> str:
    """A clause for the error about a run that does not exist: the nearest name, and what there is; may be empty."""
    names = [model.name for model in models()] if len(path.parts) == 1 else []
    places = {path.parent, *([Path("runs")] if len(path.parts) == 1 else [])}
    runs = sorted(str(found.parent) for place in places if place.is_dir() for found in place.glob("*/config.yaml"))
    known = [*names, *runs, *(Path(run).name for run in runs)]
    close = difflib.get_close_matches(path.name, known, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    lists = [f"{kind}: {', '.join(found[:5])}" for kind, found in (("models", names), ("runs", runs)) if found]
    return hint + (f" ({'; '.join(lists)})" if lists else "")
