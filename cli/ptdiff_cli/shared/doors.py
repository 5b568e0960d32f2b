"""The catalog behind each door for plugins, and the names that ptdiff itself has there."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ptdiff.choices import Catalog

DESCRIBED = {"solvers": "solver", "processes": "process", "objectives": "objective", "guidance": "guidance"}
"""Doors whose catalog is in the schema of configurations, with its name there."""

OTHERS = {
    "metrics": ["sliced_wasserstein", "energy", "mmd_squared"],
    "trackers": ["tensorboard", "mlflow", "wandb", "trackio", "aim"],
    "engines": ["processes", "ray"],
    "backbones": [],
    "readers": [],
    "writers": [],
}
"""The names in the catalogs of the other doors."""


def builtin() -> Mapping[str, Collection[str]]:
    """The names of ptdiff itself by door, without importing the catalogs, which need torch.

    Modalities are not among them: the metadata of ptdiff declares those.
    """
    # tests compare the file, and OTHERS, with the catalogs
    schema = json.loads((Path(__file__).parents[1] / "config.schema.json").read_text(encoding="utf-8"))
    return OTHERS | {door: schema["$defs"][kind]["anyOf"][0]["enum"] for door, kind in DESCRIBED.items()}


def catalog(door: str) -> Catalog[Any]:
    """The catalog of a door other than ``modalities``."""
    match door:
        case "solvers":
            from ptdiff.solvers import SOLVERS

            return SOLVERS
        case "processes":
            from ptdiff.process import PROCESSES

            return PROCESSES
        case "objectives":
            from ptdiff.objective.consistency import OBJECTIVES

            return OBJECTIVES
        case "guidance":
            from ptdiff.guidance import GUIDANCE

            return GUIDANCE
        case "metrics":
            from ptdiff.evaluation import METRICS

            return METRICS
        case "trackers":
            from ptdiff.training.trackers import LOGGERS

            return LOGGERS
        case "readers":
            from ptdiff.sampling.formats import READERS

            return READERS
        case "writers":
            from ptdiff.choices import Catalog
            from ptdiff.sampling.formats import WRITERS

            # those of ptdiff belong to its modalities
            return Catalog("format", {}, WRITERS)
        case "backbones":
            from ptdiff.modality.backbones import BACKBONES

            return BACKBONES
        case "engines":
            from ptdiff.machine.engines import ENGINES

            return ENGINES
    raise AssertionError(door)


def finder(door: str) -> Callable[[str], object]:
    """A function that imports a plugin of the door by its name, as a command that names it would.

    The catalog of the door is imported now, which may take seconds.
    """
    from ptdiff.modality import registry

    return registry.modality_class if door == registry.DOOR.name else catalog(door).__getitem__
