"""The JSON Schema of configuration files, generated from the same dataclasses and catalogs that read them.

Everything in a file is optional, as it overrides defaults and the recipe of its modality.  The schema knows keys,
names, types and declared ranges.  It cannot know what depends on several values, such as ``sigma_min`` below
``sigma_max``, and it refuses a number written as a text, "3", which the reader takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter
from pydantic.errors import PydanticSchemaGenerationError

from ptdiff.choices import Catalog
from ptdiff.denoiser.network import PREDICTIONS
from ptdiff.density import DENSITIES
from ptdiff.grid import SPACINGS
from ptdiff.guidance import GUIDANCE
from ptdiff.guidance.threshold import THRESHOLDS
from ptdiff.modality import registry
from ptdiff.modality.contract import Modality
from ptdiff.objective.consistency import OBJECTIVES
from ptdiff.objective.corruption import NOISES
from ptdiff.objective.coupling import COUPLINGS
from ptdiff.objective.loss import LOSSES
from ptdiff.objective.weighting import WEIGHTINGS
from ptdiff.process import PROCESSES
from ptdiff.run.config import FORMAT, Config
from ptdiff.solvers import ADAPTIVE, SOLVERS
from ptdiff.training.ema import AVERAGES
from ptdiff.training.optimizer import OPTIMIZERS
from ptdiff.training.schedule import SCHEDULES

CATALOGS: Mapping[str, Catalog[type[Any]]] = {
    "process": PROCESSES,
    "objective": OBJECTIVES,
    "density": DENSITIES,
    "weighting": WEIGHTINGS,
    "loss": LOSSES,
    "noise": NOISES,
    "coupling": COUPLINGS,
    "average": AVERAGES,
    "schedule": SCHEDULES,
    "optimizer": OPTIMIZERS,
    "solver": SOLVERS | ADAPTIVE,
    "spacing": SPACINGS,
    "guidance": GUIDANCE,
    "threshold": THRESHOLDS,
}
"""Every catalog of choices, by its kind."""

PLACES = {
    "": ("process", "objective", "density", "weighting", "loss", "noise", "coupling"),
    "Training": ("optimizer", "schedule"),
    "Sampling": ("solver", "spacing", "guidance"),
}
"""Keys of each section that are choices from the catalog of the same name."""

Node = dict[str, Any]


def schema(modalities: Mapping[str, type[Modality]] | None = None) -> Node:
    """The JSON Schema (draft 2020-12) of a configuration file, as plain values.

    ``modalities``: those whose options it describes; by default all that are installed and can be imported.
    Names of solvers, processes and others that plugins bring are among the choices.
    """
    known = modalities
    if known is None:
        # one that cannot be imported must not hide the others; 'ptdiff modalities NAME' shows its error
        known = {listed.name: registry.modality_class(listed.name) for listed in registry.importable()[0]}
    root: Node = _untitled(Config.model_json_schema())
    definitions: Node = root["$defs"]
    for section, keys in PLACES.items():
        properties = (definitions[section] if section else root)["properties"]
        for key in keys:
            _refer(properties, key, key)
    training, sampling = definitions["Training"]["properties"], definitions["Sampling"]["properties"]
    _refer(training, "ema", "average")
    training["averages"]["items"] = {"$ref": "#/$defs/average"}
    _refer(sampling, "threshold", "threshold", {"type": "null"})
    definitions |= {kind: _choice(kind, catalog) for kind, catalog in CATALOGS.items()}
    for kind, meaning in (("average", "decay of the fixed average"), ("guidance", "scale of the guidance")):
        definitions[kind]["anyOf"].append({"type": "number", "description": meaning})
    definitions["average"]["anyOf"][-1] |= {"minimum": 0, "exclusiveMaximum": 1}
    # a section without keys is null in YAML
    root["properties"]["options"]["type"] = ["object", "null"]
    root["properties"] |= {
        "format": {"type": "integer", "minimum": 1, "maximum": FORMAT, "description": "format of the file"},
        # all of them are plugins, whose options are not known
        "backbone": root["properties"]["backbone"] | {"anyOf": [{"type": ["string", "object"]}, {"type": "null"}]},
        "prediction": {"enum": list(PREDICTIONS), "default": "velocity", "description": "output of the network"},
        "modality": {"anyOf": [{"enum": list(known)}, {"type": "string", "pattern": r"^[\w.]+:[\w.]+$"}]},
    }
    del root["required"]
    for name, cls in known.items():
        definitions[f"options-{name}"] = _options(cls)
    root["allOf"] = [
        {
            "if": {"properties": {"modality": {"const": name}}, "required": ["modality"]},
            "then": {"properties": {"options": {"anyOf": [{"$ref": f"#/$defs/options-{name}"}, {"type": "null"}]}}},
        }
        for name in known
    ]
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Configuration of ptdiff"}
    return head | root


def _untitled(node: Any) -> Any:
    """The schema without the titles that pydantic makes of names, and without what it says about choices."""
    if isinstance(node, dict):
        return {key: _untitled(value) for key, value in node.items() if key != "title" or not isinstance(value, str)}
    return [_untitled(value) for value in node] if isinstance(node, list) else node


def _refer(properties: Node, key: str, kind: str, *others: Node) -> None:
    """Let ``key`` be a choice from a catalog, or one of ``others``; its default and description stay."""
    node = properties[key]
    kept = {name: node[name] for name in ("default", "description") if name in node}
    place = {"$ref": f"#/$defs/{kind}"}
    properties[key] = kept | ({"anyOf": [place, *others]} if others else place)


def _choice(kind: str, catalog: Catalog[type[Any]]) -> Node:
    """A name, or a mapping with a name and options, or options for the name that a recipe gives.

    The options of a choice that a plugin brings are not described, because nothing is imported for that.
    """
    names = catalog.names()
    named: list[Node] = [{"enum": names}]
    if more := names[len(catalog) :]:
        named.append({"type": "object", "properties": {"name": {"enum": more}}, "required": ["name"]})
    every: Node = {}
    for name, cls in catalog.items():
        options = _fields(cls, kind)
        every |= dict.fromkeys(options, True)
        named.append(_closed({"name": {"const": name}, **options}) | {"required": ["name"], "description": _line(cls)})
    return {"anyOf": [*named, _closed(every)]}


def _options(cls: type[Modality]) -> Node:
    return _closed(_fields(cls, ""))


def _closed(properties: Node) -> Node:
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _fields(cls: type[Any], kind: str) -> Node:
    """The options of a dataclass by name, with their types, ranges, defaults and help."""
    types, found = get_type_hints(cls), {}
    for field in dataclasses.fields(cls):
        node = {"$ref": f"#/$defs/{kind}"} if field.name == "base" else _bounded(_type(types[field.name]), field)
        if isinstance(field.default, (bool, int, float, str, tuple)):
            node |= {"default": list(field.default) if isinstance(field.default, tuple) else field.default}
        if field.metadata.get("help"):
            node |= {"description": field.metadata["help"]}
        found[field.name] = node
    return found


def _type(annotation: Any) -> Node:
    try:
        node: Node = _untitled(TypeAdapter(annotation).json_schema())
    except PydanticSchemaGenerationError:
        # an object, which only Python can give
        return {}
    return node


def _bounded(node: Node, field: dataclasses.Field[Any]) -> Node:
    """The type with the range that the option declares, on every number in it."""
    if node.get("type") in ("integer", "number"):
        limits = {"minimum": field.metadata.get("least"), "maximum": field.metadata.get("most")}
        return node | {name: limit for name, limit in limits.items() if limit is not None}
    if "anyOf" in node:
        return node | {"anyOf": [_bounded(part, field) for part in node["anyOf"]]}
    return node | {"items": _bounded(node["items"], field)} if isinstance(node.get("items"), dict) else node


def _line(cls: type[Any]) -> str:
    return (cls.__doc__ or "").strip().partition("\n")[0]
