"""``ptdiff modalities``, ``solvers``, ``processes``, ``list``: names to choose from, with their options."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ptdiff_cli.shared import options
from ptdiff_cli.shared.terminal import say, show, show_json, show_table

if TYPE_CHECKING:
    from ptdiff.choices import Catalog


def modalities(
    name: Annotated[str | None, typer.Argument(help="Modality to describe; default: list all.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Check that it meets the plugin contract.")] = False,
    as_json: options.Json = False,
) -> None:
    """List the installed kinds of data, or describe one: ptdiff modalities images."""
    from ptdiff.modality import registry

    if name is None:
        if check:
            raise ValueError("--check needs the name of a modality: ptdiff modalities NAME --check")
        found = registry.modalities()
        if as_json:
            show_json([dataclasses.asdict(item) for item in found])
        else:
            rows = [[m.name, f"{m.distribution} {m.version}", m.target] for m in found]
            show_table(["modality", "installed by", "class"], rows)
            _mention_others()
        return
    if check:
        from ptdiff_cli.plugin import check_modality

        check_modality(name, as_json)
        return
    registry.trust(name)
    cls = registry.modality_class(name)
    options = _options(cls)
    if as_json:
        show_json({"name": name, "summary": _first_line(cls), "options": options})
        return
    show(f"{name}: {_first_line(cls)}\n")
    show_table(
        ["option (-o key=value)", "default", "meaning"], [[o["name"], str(o["default"]), o["help"]] for o in options]
    )


def _mention_others() -> None:
    """Say how many modalities are declared and cannot be used."""
    from ptdiff.modality.registry import DOOR
    from ptdiff.plugins.claims import claims

    bad = [claim for claim in claims() if claim.plugin.door == DOOR.name and claim.state not in ("ok", "disabled")]
    if bad:
        say(f"{len(bad)} declared {'modality' if len(bad) == 1 else 'modalities'} cannot be used: ptdiff plugin ls")


def solvers(as_json: options.Json = False) -> None:
    """List the solvers with their orders and options: ptdiff solvers."""
    from ptdiff.solvers import ADAPTIVE, SOLVERS

    _catalog("solver", SOLVERS | ADAPTIVE, as_json, lambda cls: {"order": cls().order})


def processes(as_json: options.Json = False) -> None:
    """List the processes with their options: ptdiff processes."""
    from ptdiff.process import PROCESSES

    _catalog("process", PROCESSES, as_json, lambda cls: {})


def choices(
    kind: Annotated[str | None, typer.Argument(help="Kind of choice to describe; default: list all names.")] = None,
    as_json: options.Json = False,
) -> None:
    """List models, recipes and the choices of a setting: ptdiff list spacing."""
    from ptdiff.choices import unknown
    from ptdiff.run.models import models
    from ptdiff.run.recipes import recipes

    # without the catalogs, which import torch
    if kind in ("model", "models"):
        _models(as_json)
        return

    from ptdiff.evaluation import METRICS
    from ptdiff.machine.engines import ENGINES
    from ptdiff.modality.backbones import BACKBONES
    from ptdiff.training.schema import CATALOGS
    from ptdiff.training.trackers import LOGGERS

    found: dict[str, Catalog[Any]] = {
        **CATALOGS,
        "metric": METRICS,
        "logger": LOGGERS,
        "engine": ENGINES,
        "backbone": BACKBONES,
    }
    if kind is None:
        names = {name: catalog.names() for name, catalog in found.items()}
        names |= {"recipe": [r.name for r in recipes()], "model": [m.name for m in models()]}
        if as_json:
            show_json(names)
        else:
            show_table(["ptdiff list …", "names"], [[name, ", ".join(there)] for name, there in names.items()])
        return
    # the plural is accepted too
    name = kind if kind in found else kind.removesuffix("s")
    if name == "recipe":
        _recipes(as_json)
        return
    if name not in found:
        raise unknown("kind of choice", kind, [*found, "recipe", "model"])
    _catalog(name, found[name], as_json, lambda cls: {})


def _models(as_json: bool) -> None:
    from ptdiff.run.models import models

    found = models()
    if as_json:
        show_json([{"name": m.name, "modality": m.modality, "path": str(m.path), "card": m.card} for m in found])
        return
    rows = [[m.name, m.modality, m.card.get("headline", "–"), m.summary] for m in found]
    show_table(["model", "modality", "score", "summary"], rows)


def _recipes(as_json: bool) -> None:
    from ptdiff.run.recipes import recipes

    found = recipes()
    if as_json:
        show_json([{"name": r.name, "modality": r.modality, "summary": r.summary} for r in found])
    else:
        show_table(["recipe (-c …)", "modality", "summary"], [[r.name, r.modality, r.summary] for r in found])


def _catalog(kind: str, catalog: Catalog[Any], as_json: bool, extra: Any) -> None:
    found = [
        {"name": name, **extra(cls), "options": _options(cls), "summary": _first_line(cls)}
        for name, cls in catalog.items()
    ]
    from ptdiff.plugins.claims import claims

    # their options are not known, because nothing is imported for a list
    plugins = catalog.names()[len(catalog) :]
    door = catalog.door.name if catalog.door is not None else None
    origins = {one.plugin.name: one.plugin.origin for one in claims() if one.plugin.door == door and one.state == "ok"}
    if as_json:
        show_json([*found, *({"name": name, "installed_by": origins[name]} for name in plugins)])
        return
    keys = [key for key in found[0] if key not in ("options", "summary")] if found else ["name"]
    rows = [
        [
            *(str(item[key]) for key in keys),
            ", ".join(f"{o['name']}={o['default']}" for o in item["options"]),
            item["summary"],
        ]
        for item in found
    ]
    rows += [[name, *[""] * len(keys), f"plugin of {origins[name]}"] for name in plugins]
    show_table([kind if key == "name" else key for key in keys] + ["options", "summary"], rows)


def _options(cls: Any) -> list[dict[str, Any]]:
    if not dataclasses.is_dataclass(cls):
        return []
    return [
        {
            "name": field.name,
            "default": _default(field),
            "type": str(field.type),
            "help": field.metadata.get("help", ""),
        }
        for field in dataclasses.fields(cls)
    ]


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return str(field.default_factory())
    return None if field.default is dataclasses.MISSING else field.default


def _first_line(cls: Any) -> str:
    return (cls.__doc__ or "").strip().splitlines()[0]
